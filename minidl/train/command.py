"""The command line that the examples share: arguments, and what they mean; errors in one line; exit codes.

    parser = command.Parser(__doc__, name="resnet", epochs=10, batch_size=64, lr=0.1)
    parser.add_argument("--depth", type=command.positive(int), default=20)
    sys.exit(command.run(parser, lambda args: command.trainer(args, resnet_cifar, depth=args.depth)))

Exit codes: 0 all epochs are done, 1 it could not go on, 2 it could not begin, 130 Ctrl-C.
"""

from __future__ import annotations

import argparse
import math
import shlex
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, Protocol

from minidl.backend import module_named
from minidl.data import DataError, DataLoader, Dataset, load_dataset
from minidl.data.catalogue import SOURCES
from minidl.data.transforms import Compose, Normalize, RandomCrop, RandomHorizontalFlip, Resize, ToFloat, Transform
from minidl.nn import Module
from minidl.optim import SGD, Optimizer
from minidl.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LRScheduler, MultiStepLR, OneCycleLR
from minidl.random import manual_seed
from minidl.train.evaluation import DivergedError
from minidl.train.network import network
from minidl.train.record import Record
from minidl.train.trainer import Trainer, load_run

SCHEDULES: dict[str, Callable[[Optimizer, int, float], LRScheduler]] = {
    "one-cycle": lambda optimizer, steps, lr: OneCycleLR(optimizer, lr, steps),
    "cosine": lambda optimizer, steps, lr: CosineAnnealingLR(optimizer, steps),
    "multistep": lambda optimizer, steps, lr: MultiStepLR(optimizer, [steps // 2, 3 * steps // 4]),
    "constant": lambda optimizer, steps, lr: LambdaLR(optimizer, lambda step: 1.0),
}
CENTRED = {"fashion-mini", "fashion", "mnist"}
"""Sets whose images are centred: in few epochs, crops at random places cost more accuracy than they bring."""
ELSEWHERE = {"backend", "data_dir", "download", "out", "resume", "workers"}
"""Arguments that say where and how a run runs, not which run it is: they may change when it is resumed."""
FAILURES = ImportError, OSError, RuntimeError, ValueError
"""What is said in one line: a package, file or device is missing, or an argument makes no sense."""


class Run(Protocol):
    """What a command does once it can begin."""

    @property
    def out(self) -> Path: ...

    @property
    def saved(self) -> int: ...

    def fit(self, epochs: int) -> Sequence[Record]: ...


class DataParser(argparse.ArgumentParser):
    """A parser that knows the arguments about data."""

    def __init__(self, description: str | None, *, batch_size: int):
        super().__init__(description=description, formatter_class=_Help, allow_abbrev=False)
        add = self.add_argument_group("data").add_argument
        add(
            "--data",
            default="fashion-mini",
            help="fashion-mini (2,000 images that ship with minidl), fashion, mnist, cifar10, cifar100, or a folder "
            "with train/ and test/, in which each subfolder is a class of images",
        )
        add("--data-dir", metavar="DIR", help="where a named set is; else in $MINIDL_DATA or ~/.cache/minidl")
        add("--download", action="store_true", help="fetch a named set that is not there yet")
        add(
            "--image-size",
            type=positive(int),
            metavar="S",
            help="side to which images are scaled, a folder's also cut",
        )
        add("--workers", type=natural, default=1, metavar="N", help="threads that prepare batches")
        add(
            "--batch-size",
            type=positive(int),
            default=batch_size,
            metavar="N",
            help="images a step; one left alone is not trained on",
        )
        add("--backend", choices=["numpy", "cupy"], default="numpy", help="the array library: cupy is for NVIDIA GPUs")

    def error(self, message: str) -> NoReturn:
        """Leave with one line and exit code 2."""
        self.exit(2, f"{self.prog}: {message} (--help lists the arguments)\n")


class Parser(DataParser):
    """A parser that knows the arguments of training.

    name: names the folders of runs: runs/name-1 and so on.
    part: the folder in them that holds the first of several runs, if there are several.
    """

    def __init__(self, description: str | None, name: str, *, epochs: int, batch_size: int, lr: float, part: str = ""):
        super().__init__(description, batch_size=batch_size)
        self.name, self.part = name, part
        add = self.add_argument_group("training").add_argument
        add("--limit", type=positive(int), metavar="N", help="train on the first N images only")
        add("--augment", action=argparse.BooleanOptionalAction, default=True, help="crop and flip images at random")
        add("--padding", type=natural, metavar="P", help="zeros around a cropped image; else 4, for the MNISTs 0")
        add("--epochs", type=positive(int), default=epochs, metavar="N", help="passes over the training images")
        add("--lr", type=positive(float), default=lr, help="the highest learning rate of the schedule")
        add("--schedule", choices=SCHEDULES, default="one-cycle", help="how the learning rate goes from epoch to epoch")
        add("--seed", type=natural, default=0, metavar="N", help="of weights, order, augmentation and dropout")
        add = self.add_argument_group("run").add_argument
        add("--out", metavar="DIR", help=f"a new or empty folder for results; else the next of runs/{name}-1, -2, ...")
        add("--resume", action="store_true", help="go on with the run in --out, else with the last, with its arguments")

    def arguments(self, argv: Sequence[str] | None = None) -> argparse.Namespace:
        """The arguments, `out` among them; of a run that is resumed, its own, where the line does not repeat them."""
        args = self.parse_args(argv)
        numbers = [path.name.removeprefix(f"{self.name}-") for path in Path("runs").glob(f"{self.name}-*")]
        last = max((int(number) for number in numbers if number.isdecimal()), default=0)
        if not args.resume:
            args.out = args.out or str(Path("runs", f"{self.name}-{last + 1}"))
            return args
        if args.out is None and not last:
            raise ValueError(f"--resume: there is no run in runs/{self.name}-1 or after: say where it is, with --out")
        out = args.out or str(Path("runs", f"{self.name}-{last}"))
        saved = load_run(Path(out, self.part))["settings"]
        self.set_defaults(**saved)
        args = self.parse_args(argv)
        args.out = out
        _want_same_run(args, saved)
        return args


def run(parser: Parser, build: Callable[[argparse.Namespace], Run], argv: Sequence[str] | None = None) -> int:
    """Make a trainer (or several, as one run) from the arguments and let it train; returns the exit code."""
    try:
        args = parser.arguments(argv)
        module_named(args.backend)
        trainer = build(args)
    except KeyboardInterrupt:
        return complain(parser, "interrupted before the training began", code=130)
    except FAILURES as error:
        return complain(parser, error, code=2)
    try:
        trainer.fit(args.epochs)
    except KeyboardInterrupt:
        code = complain(parser, f"interrupted.\n{_go_on(trainer)}", code=130)
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second Ctrl-C does not wait for the end of threads
        return code
    except MemoryError as error:
        return complain(parser, f"out of memory ({error}): a smaller --batch-size needs less", code=1)
    except DataError as error:
        return complain(parser, error, code=2)
    except DivergedError as error:
        return complain(parser, error, code=1)
    except OSError as error:
        return complain(parser, f"{error}; results go to {trainer.out}\n{_go_on(trainer)}", code=1)
    return 0


def trainer(
    args: argparse.Namespace,
    build: Callable[..., Module],
    *,
    out: str | Path | None = None,
    aux_weight: float = 0.3,
    **settings: Any,
) -> Trainer:
    """Data, a network for it, SGD with Nesterov's momentum and a schedule, ready to train.

    build: a function of the zoo, which gets the settings, the number of classes and that of channels. The checkpoint
        keeps its name as `model`, the settings as `set`, and the `mean` and `std` by which images are normalised, so
        that others can build the network again and use it.
    out: the folder, instead of --out.
    """
    train, test = datasets(args)
    normalize = Normalize(*train.mean_std())
    train_loader, test_loader = loaders(args, train, test, normalize)
    manual_seed(args.seed)
    model = network(build, settings, train, args.image_size, args.batch_size).to(args.backend)
    optimizer = SGD(model.parameters(), lr=args.lr, momentum=0.9, nesterov=True, weight_decay=5e-4)
    return Trainer(
        model,
        optimizer,
        schedule(args, optimizer, steps=args.epochs * len(train_loader)),
        train_loader,
        test_loader,
        out=out or args.out,
        aux_weight=aux_weight,
        seed=args.seed,
        settings={**vars(args), **vars(normalize), "model": build.__name__, "set": settings},
        resume=args.resume,
    )


def datasets(args: argparse.Namespace) -> tuple[Dataset, Dataset]:
    """(train, test): --data, --data-dir, --download, --limit, and --image-size, if it is about a folder of images."""
    is_folder = args.data not in SOURCES and (Path(args.data).expanduser() / "train").is_dir()
    try:
        train, test = load_dataset(args.data, args.data_dir, args.download, args.image_size if is_folder else None)
    except DataError as error:
        help_is_in = "--image-size" if Path(args.data).is_dir() else "--data-dir and --download"
        raise DataError(f"--data {args.data}: {error} (on this command line: {help_is_in})") from error
    return train.subset(slice(args.limit)), test


def loaders(
    args: argparse.Namespace, train: Dataset, test: Dataset, normalize: Normalize
) -> tuple[DataLoader, DataLoader]:
    """Loaders of normalised images: --augment, --padding, --image-size, --batch-size, --seed, --workers.

    Where whole batches leave a single training image, each epoch goes without one, another each time: batch norm over
    maps of 1×1 needs two images.
    """
    moves: list[Transform] = []
    if args.augment:
        padding = args.padding if args.padding is not None else 0 if args.data in CENTRED else 4
        height, width = train.images.shape[2:]
        moves = [RandomCrop((height, width), padding), RandomHorizontalFlip(0.0 if args.data == "mnist" else 0.5)]
    sizes = {"batch_size": args.batch_size, "num_workers": args.workers}
    same = [*pixels(train, args.image_size), normalize]
    alone = len(train) % args.batch_size == 1
    if alone and len(train) == 1:
        raise ValueError("there is a single image to train on; wanted two or more: see --data and --limit")
    return (
        DataLoader(train, shuffle=True, transform=Compose([*moves, *same]), seed=args.seed, drop_last=alone, **sizes),
        DataLoader(test, transform=Compose(same), **sizes),
    )


def pixels(dataset: Dataset, image_size: int | None) -> list[Transform]:
    """Pixels to floats, and images to squares of this side, where they are not."""
    size = (image_size, image_size) if image_size else dataset.images.shape[2:]
    return [ToFloat()] if size == dataset.images.shape[2:] else [ToFloat(), Resize(size)]


def schedule(args: argparse.Namespace, optimizer: Optimizer, steps: int) -> LRScheduler:
    """The schedule over all steps of a run: --schedule, --lr."""
    return SCHEDULES[args.schedule](optimizer, steps, args.lr)


def positive(kind: type[int] | type[float]) -> Callable[[str], float]:
    """A type of arguments: finite numbers above 0."""

    def convert(text: str) -> float:
        value = _number(kind, text)
        if not 0 < value < math.inf:
            raise argparse.ArgumentTypeError(f"{text} is not above 0 and finite")
        return value

    return convert


def natural(text: str) -> float:
    """A type of arguments: 0, 1, 2 and so on."""
    value = _number(int, text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is below 0")
    return value


def _number(kind: type[int] | type[float], text: str) -> float:
    try:
        return kind(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no {'integer' if kind is int else 'number'}") from None


class _Help(argparse.RawDescriptionHelpFormatter):
    """Shows the description as it is written, and the defaults that say something."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        silent = not action.default or action.default == argparse.SUPPRESS
        return action.help if silent else f"{action.help} (default: %(default)s)"


def _want_same_run(args: argparse.Namespace, saved: dict[str, Any]) -> None:
    changed = {key for key, value in saved.items() if key not in ELSEWHERE and getattr(args, key, value) != value}
    if "epochs" in changed and args.schedule == "constant":
        changed.remove("epochs")
    if changed:
        was, now = (" ".join(_option(key, values[key]) for key in sorted(changed)) for values in (saved, vars(args)))
        because = f" (its {args.schedule} schedule was made for that length)" if "epochs" in changed else ""
        raise ValueError(
            f"--resume: the run in {args.out} was begun with {was}{because} and cannot go on with {now}: "
            "leave that out to go on with it, or begin another run, with another --out"
        )


def _option(key: str, value: Any) -> str:
    name = key.replace("_", "-")
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no-{name}"
    if isinstance(value, dict):
        value = " ".join(f"{key}={part}" for key, part in value.items()) or None
    return f"no --{name}" if value is None else f"--{name} {value}"


def _go_on(trainer: Run) -> str:
    """What to type here to go on."""
    python = Path(sys.executable)
    if python.is_relative_to(Path.cwd()):
        python = python.relative_to(Path.cwd())
    elif shutil.which(python.name) == sys.executable:
        python = Path(python.name)
    command = shlex.join([str(python), sys.argv[0], "--out", str(trainer.out), "--resume"])
    return f"Go on after epoch {trainer.saved} with: {command}"


def complain(parser: DataParser, error: object, code: int) -> int:
    """Say what is wrong in a line; returns the exit code."""
    sys.stderr.write(f"{parser.prog}: {error}\n")
    return code
