r"""Train any network of the zoo on small images, or on a folder of images.

    python examples/train.py --model resnet_cifar --set depth=20 shortcut=A
    python examples/train.py --model mobilenet_v2 --image-size 64 --data cifar10 --download --lr 0.05
    python examples/train.py --model googlenet --image-size 224 --data DIR --epochs 30

A network for large images halves them five times: --image-size enlarges small ones. Where a network has auxiliary
classifiers, as GoogLeNet has, their losses count --aux-weight times.
"""

import argparse
import sys

from minidl import models
from minidl.train import Trainer, command
from minidl.train.network import Settings


def parser() -> command.Parser:
    """The arguments that every example has, and those of the network."""
    parser = command.Parser(__doc__, name="train", epochs=16, batch_size=32, lr=0.1)
    add = parser.add_argument_group("network").add_argument
    add("--model", choices=models.list_models(), metavar="NAME", help=f"one of {', '.join(models.list_models())}")
    add("--set", nargs="+", action=Settings, default={}, metavar="NAME=VALUE", help="arguments of that function")
    add("--aux-weight", type=command.positive(float), default=0.3, metavar="W", help="of auxiliary classifiers' losses")
    return parser


def build(args: argparse.Namespace) -> Trainer:
    """Data, network, optimiser and schedule, ready to train."""
    if args.model is None:
        raise ValueError("which network? Name it with --model (--help lists them)")
    return command.trainer(args, getattr(models, args.model), aux_weight=args.aux_weight, **args.set)


if __name__ == "__main__":
    sys.exit(command.run(parser(), build))
