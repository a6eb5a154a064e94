"""The command line that the training examples share: arguments, and what they mean; errors in one line; exit codes.

    parser = command.Parser(__doc__, name="lenet", epochs=10, batch_size=64, lr=0.1)
    parser.add_argument("--width", type=command.positive(int), default=6)
    sys.exit(command.run(parser, build))        # build(args) makes the Trainer

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
from typing import Any, NoReturn

from minidl.backend import module_named
from minidl.data import DataError, DataLoader, Dataset, load_dataset
from minidl.data.transforms import Compose, Normalize, RandomCrop, RandomHorizontalFlip, ToFloat, Transform
from minidl.optim import Optimizer
from minidl.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LRScheduler, MultiStepLR, OneCycleLR
from minidl.train.trainer import DivergedError, Trainer, load_run

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


class Parser(argparse.ArgumentParser):
    """A parser that knows the common arguments. `name` names the folders of runs: runs/name-1 and so on."""

    def __init__(self, description: str | None, name: str, *, epochs: int, batch_size: int, lr: float):
        super().__init__(description=description, formatter_class=_Help, allow_abbrev=False)
        self.name = name
        add = self.add_argument_group("data").add_argument
        add(
            "--data",
            default="fashion-mini",
            help="fashion-mini (2,000 images that ship with minidl), fashion, mnist, cifar10, cifar100, or a folder "
            "with train/ and test/, in which each subfolder is a class of images",
        )
        add("--data-dir", metavar="DIR", help="where a named set is; else in $MINIDL_DATA or ~/.cache/minidl")
        add("--download", action="store_true", help="fetch a named set that is not there yet")
        add("--limit", type=positive(int), metavar="N", help="train on the first N images only")
        add("--image-size", type=positive(int), metavar="S", help="side to which a folder's images are scaled and cut")
        add("--augment", action=argparse.BooleanOptionalAction, default=True, help="crop and flip images at random")
        add("--padding", type=natural, metavar="P", help="zeros around a cropped image; else 4, for the MNISTs 0")
        add("--workers", type=natural, default=1, metavar="N", help="threads that prepare batches")
        add = self.add_argument_group("training").add_argument
        add("--epochs", type=positive(int), default=epochs, metavar="N", help="passes over the training images")
        add("--batch-size", type=positive(int), default=batch_size, metavar="N", help="images a step")
        add("--lr", type=positive(float), default=lr, help="the highest learning rate of the schedule")
        add("--schedule", choices=SCHEDULES, default="one-cycle", help="how the learning rate goes from epoch to epoch")
        add("--seed", type=natural, default=0, metavar="N", help="of weights, order, augmentation and dropout")
        add("--backend", choices=["numpy", "cupy"], default="numpy", help="the array library: cupy is for NVIDIA GPUs")
        add = self.add_argument_group("run").add_argument
        add("--out", metavar="DIR", help=f"a new or empty folder for results; else the next of runs/{name}-1, -2, ...")
        add("--resume", action="store_true", help="go on with the run in --out, else with the last, with its arguments")

    def error(self, message: str) -> NoReturn:
        """Leave with one line and exit code 2."""
        self.exit(2, f"{self.prog}: {message} (--help lists the arguments)\n")

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
        saved = load_run(out)["settings"]
        self.set_defaults(**saved)
        args = self.parse_args(argv)
        args.out = out
        _want_same_run(args, saved)
        return args


def run(parser: Parser, build: Callable[[argparse.Namespace], Trainer], argv: Sequence[str] | None = None) -> int:
    """Make a trainer from the arguments and let it train; returns the exit code."""
    try:
        args = parser.arguments(argv)
        module_named(args.backend)
        trainer = build(args)
    except KeyboardInterrupt:
        return _complain(parser, "interrupted before the training began", code=130)
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        return _complain(parser, error, code=2)
    try:
        trainer.fit(args.epochs)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second Ctrl-C does not wait for the end of threads
        return _complain(parser, f"interrupted.\n{_go_on(trainer)}", code=130)
    except MemoryError as error:
        return _complain(parser, f"out of memory ({error}): a smaller --batch-size needs less", code=1)
    except DataError as error:
        return _complain(parser, error, code=2)
    except DivergedError as error:
        return _complain(parser, error, code=1)
    except OSError as error:
        return _complain(parser, f"{error}; results go to {trainer.out}\n{_go_on(trainer)}", code=1)
    return 0


def datasets(args: argparse.Namespace) -> tuple[Dataset, Dataset]:
    """(train, test): --data, --data-dir, --download, --limit, --image-size."""
    try:
        train, test = load_dataset(args.data, args.data_dir, args.download, args.image_size)
    except DataError as error:
        help_is_in = "--image-size" if Path(args.data).is_dir() else "--data-dir and --download"
        raise DataError(f"--data {args.data}: {error} (on this command line: {help_is_in})") from error
    return train.subset(slice(args.limit)), test


def loaders(args: argparse.Namespace, train: Dataset, test: Dataset) -> tuple[DataLoader, DataLoader]:
    """Loaders of images normalised by the training set's: --augment, --padding, --batch-size, --seed, --workers."""
    pixels: list[Transform] = [ToFloat(), Normalize(*train.mean_std())]
    moves: list[Transform] = []
    if args.augment:
        padding = args.padding if args.padding is not None else 0 if args.data in CENTRED else 4
        height, width = train.images.shape[2:]
        moves = [RandomCrop((height, width), padding), RandomHorizontalFlip(0.0 if args.data == "mnist" else 0.5)]
    sizes = {"batch_size": args.batch_size, "num_workers": args.workers}
    return (
        DataLoader(train, shuffle=True, transform=Compose([*moves, *pixels]), seed=args.seed, **sizes),
        DataLoader(test, transform=Compose(pixels), **sizes),
    )


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
        silent = action.default in (None, False, argparse.SUPPRESS)
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
    return f"no --{name}" if value is None else f"--{name} {value}"


def _go_on(trainer: Trainer) -> str:
    """What to type here to go on."""
    python = Path(sys.executable)
    if python.is_relative_to(Path.cwd()):
        python = python.relative_to(Path.cwd())
    elif shutil.which(python.name) == sys.executable:
        python = Path(python.name)
    command = shlex.join([str(python), sys.argv[0], "--out", str(trainer.out), "--resume"])
    return f"Go on after epoch {trainer.saved} with: {command}"


def _complain(parser: Parser, error: object, code: int) -> int:
    sys.stderr.write(f"{parser.prog}: {error}\n")
    return code
