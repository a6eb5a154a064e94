r"""Train a DenseNet on small images.

With no arguments: DenseNet-BC-22 with growth rate 12, on 2,000 images that ship with minidl, in two to three minutes.
The paper's DenseNet-40 (with 10,000 images of CIFAR-10, for a taste of it on a CPU):

    python examples/train_densenet.py --data cifar10 --download --limit 10000 \
        --depth 40 --growth-rate 12 --no-bottleneck --compression 1
"""

import argparse
import sys

from minidl.models import densenet_cifar
from minidl.train import Trainer, command


def parser() -> command.Parser:
    """The arguments that every example has, and those of the network."""
    parser = command.Parser(__doc__, name="densenet", epochs=16, batch_size=32, lr=0.2)
    add = parser.add_argument_group("network").add_argument
    add("--depth", type=command.positive(int), default=22, metavar="L", help="6n + 4, or 3n + 4 if --no-bottleneck")
    add("--growth-rate", type=command.positive(int), default=12, metavar="K", help="channels that each layer adds")
    add("--bottleneck", action=argparse.BooleanOptionalAction, default=True, help="a 1x1 before each 3x3 convolution")
    add("--compression", type=command.positive(float), default=0.5, metavar="THETA", help="of channels, between blocks")
    return parser


def build(args: argparse.Namespace) -> Trainer:
    """Data, network, optimiser and schedule, ready to train."""
    names = ("depth", "growth_rate", "bottleneck", "compression")
    return command.trainer(args, densenet_cifar, **{name: getattr(args, name) for name in names})


if __name__ == "__main__":
    sys.exit(command.run(parser(), build))
