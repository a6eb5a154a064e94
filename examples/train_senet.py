r"""Train MobileNet and SE-MobileNet on the same images, and compare them.

With no arguments: both at a quarter of their width, on 2,000 images that ship with minidl, enlarged to 56×56, in a few
minutes. The two differ in the gates alone: 13 blocks that scale each channel by what the averages of all channels say.

    python examples/train_senet.py --data cifar10 --download --image-size 64 --width 0.5 --epochs 30

Each run has a folder of its own in --out, with its checkpoint and metrics; comparison.png there shows both.
"""

import argparse
import sys
from pathlib import Path

from minidl.models import mobilenet_v1, se_mobilenet_v1
from minidl.train import Comparison, command

MODELS = {"mobilenet_v1": mobilenet_v1, "se_mobilenet_v1": se_mobilenet_v1}


def parser() -> command.Parser:
    """The arguments that every example has, and those of the two networks."""
    parser = command.Parser(__doc__, name="senet", epochs=12, batch_size=32, lr=0.1, part="mobilenet_v1")
    parser.set_defaults(image_size=56)
    add = parser.add_argument_group("network").add_argument
    add("--width", type=command.positive(float), default=0.25, metavar="ALPHA", help="of all layers, times that of 1")
    add(
        "--reduction",
        type=command.positive(int),
        default=16,
        metavar="R",
        help="channels per hidden unit of a gate",
    )
    return parser


def build(args: argparse.Namespace) -> Comparison:
    """Both runs, ready to train."""
    settings: dict[str, dict[str, int]] = {"mobilenet_v1": {}, "se_mobilenet_v1": {"reduction": args.reduction}}
    trainers = {
        name: command.trainer(args, model, out=Path(args.out, name), width=args.width, **settings[name])
        for name, model in MODELS.items()
    }
    return Comparison(trainers, args.out)


if __name__ == "__main__":
    sys.exit(command.run(parser(), build))
