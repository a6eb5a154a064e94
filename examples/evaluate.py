r"""Evaluate trained networks on test images: loss and accuracy, for several views of each image and for ensembles.

    python examples/evaluate.py --weights runs/densenet-1 --tta none flip ten-crop
    python examples/evaluate.py --weights runs/train-1 --ensemble runs/train-2 runs/train-3
    python examples/evaluate.py --weights resnet50.pth --model resnet50 --data DIR --image-size 256 --crop-size 224 \
        --tta none ten-crop --mean 0.485 0.456 0.406 --std 0.229 0.224 0.225

Weights are the folder of a run (its best ones) or one of its files, where the run says which network and data they are
for; or a file of safetensors, .pth, .pt or .npz, where --model, --set and --data do.
"""

import argparse
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minidl import Tensor, models, nn, tensor
from minidl.backend import module_named
from minidl.data import DataLoader, Dataset
from minidl.data.transforms import Compose
from minidl.train import command, evaluate
from minidl.train.display import Display
from minidl.train.network import Settings, network
from minidl.train.trainer import BEST, CHECKPOINT, load_run
from minidl.tta import AVERAGES, VIEWS, FiveCrop, TenCrop, TestTimeAugmentation, View
from minidl.tta import Compose as ComposedViews
from minidl.weights import load_weights

ROW = "{:32}  {:12}  {:>8}"


def parser() -> command.DataParser:
    """Data, networks, views."""
    parser = command.DataParser(__doc__, batch_size=100)
    parser.set_defaults(data=None, limit=None)
    add = parser.add_argument_group("network").add_argument
    add("--weights", required=True, type=Path, metavar="FILE", help="of the network; or the folder of a run")
    add("--ensemble", nargs="+", type=Path, default=[], metavar="FILE", help="more weights, to average with")
    add("--model", choices=models.list_models(), metavar="NAME", help="of weights that are not a run's: which function")
    add("--set", nargs="+", action=Settings, default={}, metavar="NAME=VALUE", help="arguments of that function")
    add("--mean", nargs="+", type=float, metavar="M", help="of pixels from 0 to 1; else the run's or the data's")
    add("--std", nargs="+", type=command.positive(float), metavar="S", help="likewise")
    add = parser.add_argument_group("views").add_argument
    add("--tta", nargs="+", choices=VIEWS, metavar="VIEWS", help=f"a line for each of these: {', '.join(VIEWS)}")
    add("--crop-size", type=command.positive(int), metavar="S", help="side of crops; else 7/8 of the images' side")
    add("--average", choices=AVERAGES, default="probabilities", help="what of views and networks is averaged")
    return parser


class Normalized(nn.Module):
    """A network that normalises the images it gets: those of an ensemble may know different data."""

    def __init__(self, model: nn.Module, mean: Sequence[float], std: Sequence[float]):
        super().__init__()
        self.model = model
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(name, tensor([*values]).reshape(1, -1, 1, 1))
        self.mean: Tensor
        self.std: Tensor

    def forward(self, x: Tensor) -> Tensor:
        return self.model((x - self.mean) / self.std)


def settings_of(path: Path) -> dict[str, Any]:
    """What a run says of its network and data; nothing where weights are not a run's."""
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file or folder")
    if path.is_dir() and not (path / CHECKPOINT).is_file():
        runs = ", ".join(sorted(str(found.parent) for found in path.glob(f"*/{CHECKPOINT}")))
        raise FileNotFoundError(f"{path}: is not the folder of a run" + (f"; these in it are: {runs}" if runs else ""))
    folder = path if path.is_dir() else path.parent
    run = path.is_dir() or (path.name in (BEST, CHECKPOINT) and (folder / CHECKPOINT).is_file())
    return load_run(folder)["settings"] if run else {}


def choose(args: argparse.Namespace, known: dict[Path, dict[str, Any]]) -> None:
    """Let runs say what the line leaves open; ValueError if they disagree, with each other or with the line."""
    runs = {path: settings for path, settings in known.items() if "model" in settings}
    for path, settings in runs.items():
        asked = {"model": args.model or settings["model"], "set": {**settings["set"], **args.set}}
        if len(runs) == len(known) and any(asked[key] != settings[key] for key in asked):
            was = " ".join([settings["model"], *(f"{name}={value}" for name, value in settings["set"].items())])
            raise ValueError(f"{path}: is a run of {was}: leave out --model and --set, which are for other weights")
    for key in ("data", "image_size"):
        values = {path: settings.get(key) for path, settings in runs.items()}  # None: that of the images
        if getattr(args, key) is None and values:
            first, *others = values
            for other in others:
                if values[other] != values[first]:
                    option = "--" + key.replace("_", "-")
                    was = " and ".join(f"{values[run] or 'not given'} in {run}" for run in (first, other))
                    raise ValueError(f"{option} was {was}: choose one for all, with {option}, or evaluate them apart")
            setattr(args, key, values[first])
    args.data = args.data or "fashion-mini"
    args.data_dir = args.data_dir or next(iter(known.values())).get("data_dir")


def load(path: Path, known: dict[str, Any], args: argparse.Namespace, train: Dataset) -> nn.Module:
    """The network of these weights, of which so much is known."""
    name, settings = (known["model"], known["set"]) if "model" in known else (args.model, args.set)
    if name is None:
        raise ValueError(f"{path}: which network is it for? Name it with --model (and --set)")
    model = network(getattr(models, name), settings, train, args.image_size)
    if path.name == CHECKPOINT:
        model.load_state_dict(load_run(path.parent)["model"])
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            initial = load_weights(model, path / BEST if path.is_dir() else path).initial_keys
        if initial:
            raise ValueError(f"{path}: is not for the {len(train.classes)} classes of {args.data}: see {initial[0]}")
    moments = known if "mean" in known else dict(zip(("mean", "std"), train.mean_std(), strict=True))
    return Normalized(model, args.mean or moments["mean"], args.std or moments["std"]).to(args.backend)


def views(name: str, crop_size: int | None) -> Sequence[View]:
    """The views of this name, of crops of a side if it is given."""
    if crop_size is None:
        return VIEWS[name]
    kinds: dict[str, View] = {"five-crop": FiveCrop(crop_size), "ten-crop": TenCrop(crop_size)}
    centre: View = lambda x: FiveCrop(crop_size)(x)[4]  # noqa: E731 (a view like the others)
    return [kinds[name]] if name in kinds else [ComposedViews([centre, view]) for view in VIEWS[name]]


def report(args: argparse.Namespace) -> None:
    """Print the table."""
    module_named(args.backend)
    known = {path: settings_of(path) for path in [args.weights, *args.ensemble]}
    choose(args, known)
    train, test = command.datasets(args)
    channels = test.images.shape[1]
    for name in ("mean", "std"):
        if getattr(args, name) and len(getattr(args, name)) not in (1, channels):
            raise ValueError(
                f"--{name} has {len(getattr(args, name))} numbers, and the images have {channels} channels"
            )
    networks = {str(path): load(path, settings, args, train) for path, settings in known.items()}
    rows: dict[str, Sequence[nn.Module]] = {name: [network] for name, network in networks.items()}
    if len(networks) > 1:
        rows[f"all {len(networks)}"] = [*networks.values()]
    transform = Compose(command.pixels(test, args.image_size))
    loader = DataLoader(test, args.batch_size, transform=transform, num_workers=args.workers)
    topk = (1, 5) if len(test.classes) > 5 else (1,)
    show = Display()
    show.note(f"{len(test):,} images of {args.data}, {len(test.classes)} classes; averages of {args.average}")
    show.note(ROW.format("weights", "views", "loss") + "".join(f"{f'top-{k}':>9}" for k in topk))
    for tta in args.tta or ["none"]:
        for name, members in rows.items():
            model = TestTimeAugmentation(members, views(tta, args.crop_size), args.average)
            try:
                with show.bar(f"{name}, {tta}", len(test)) as bar:
                    loss, *accuracies = evaluate(model, loader, bar=bar, topk=topk)
            except ValueError as error:
                raise ValueError(f"--tta {tta}: {error} (on this command line: --image-size, --crop-size)") from error
            show.note(ROW.format(name, tta, f"{loss:.4f}") + "".join(f"{share:9.2%}" for share in accuracies))


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0, or 2 if something is wrong with what was asked for."""
    asked = parser()
    try:
        report(asked.parse_args(argv))
    except KeyboardInterrupt:
        return command.complain(asked, "interrupted", code=130)
    except (*command.FAILURES, ArithmeticError) as error:
        return command.complain(asked, error, code=2)
    return 0


if __name__ == "__main__":
    sys.exit(main())
