"""Stochastic depth: a deep network is trained as one of many short ones, and used as a whole.

G. Huang, Y. Sun, Z. Liu, D. Sedra, K. Weinberger, "Deep Networks with Stochastic Depth", ECCV 2016, arXiv:1603.09382.

    H_ℓ = ReLU(b_ℓ f_ℓ(H_(ℓ-1)) + id(H_(ℓ-1))),  b_ℓ 1 with probability p_ℓ, else 0         (2)
    p_ℓ = 1 - ℓ/L (1 - p_L)                                                                 (4)
    H_ℓ = ReLU(p_ℓ f_ℓ(H_(ℓ-1)) + H_(ℓ-1)),  in evaluation                                  (5)

One b_ℓ is drawn for a whole batch; where it is 0, f_ℓ is not computed, and nothing in it learns. With p_L = 0.5, of the
L = 54 blocks of 110 layers (3L - 1) / 4 = 40.25 are there on average. Parameters are those of ResNet (1.7M, 19.4M):

    110  1,727,962        1202  19,421,274

Departures from the paper: where a stage begins, the shortcut takes one pixel of every 2×2 before it pads with zeros, as
ResNet's option A; the paper's takes their mean.
"""

from minidl import nn, random
from minidl.models.residual import BasicBlock
from minidl.models.resnet import ResNet, layers_of_depth
from minidl.nn import functional as F
from minidl.tensor import Tensor


class StochasticDepth(nn.Module):
    """b_ℓ in training, its expectation p_ℓ in evaluation."""

    def __init__(self, p: float = 1.0):
        super().__init__()
        self.p = p

    def forward(self) -> float:
        return float(random.generator().random() < self.p) if self.training else self.p

    def extra_repr(self) -> str:
        return f"p={self.p:.4g}"


class StochasticBlock(BasicBlock):
    """Equations (2) and (5); f is the F of ResNet."""

    def __init__(self, channels: int, width: int, stride: int = 1, shortcut: str = "B"):
        super().__init__(channels, width, stride, shortcut=shortcut)
        self.survival = StochasticDepth()

    def forward(self, x: Tensor) -> Tensor:
        b = self.survival()
        past = self.downsample(x)
        return F.relu(b * self.residual(x) + past if b else past)


def stochastic_depth_resnet_cifar(
    depth: int = 110,
    p_L: float = 0.5,
    shortcut: str = "A",
    num_classes: int = 10,
    in_channels: int = 3,
    zero_init_residual: bool = False,
    large_images: bool = False,
) -> ResNet:
    """ResNet for images of about 32×32 whose L blocks survive with probabilities that fall linearly to p_L."""
    if not 0 < p_L <= 1:
        raise ValueError(f"stochastic_depth_resnet_cifar: p_L is a probability and must be in (0, 1], got {p_L}")
    layers = layers_of_depth("stochastic_depth_resnet_cifar", depth)
    settings = (num_classes, in_channels, zero_init_residual, large_images)
    model = ResNet(StochasticBlock, layers, *settings, shortcut=shortcut)
    gates = [module for module in model.modules() if isinstance(module, StochasticDepth)]
    for i, gate in enumerate(gates, start=1):
        gate.p = 1 - i / len(gates) * (1 - p_L)
    return model
