"""Squeeze and excitation: every channel is scaled by a gate that has seen them all.

J. Hu, L. Shen, S. Albanie, G. Sun, E. Wu, "Squeeze-and-Excitation Networks", CVPR 2018 and TPAMI 2020,
arXiv:1709.01507.

    z_c = 1/(H·W) Σ_i Σ_j u_c(i, j)        (2)  squeeze
    s = σ(W_2 δ(W_1 z))                     (3)  excitation: δ is ReLU, W_1 leaves C/r channels, W_2 makes C again
    x̃_c = s_c u_c                           (4)  scale

The ablations with SE-ResNet-50 are settings: `reduction` (Table 10: r = 2, 4, 8, 16, 32 makes 45.7M, 35.7M, 30.7M,
28.1M, 26.9M parameters), `squeeze` (Table 11: the average, or the maximum), `scale_activation` (Table 12: ReLU, tanh,
sigmoid). Networks are in `senet` and `se_variants`.

Departures from the paper: W_1 and W_2 have biases, as in the authors' networks; with `bias=False` they have none, as
the paper found better in ResNet. Squeezing by the standard deviation came later (Lee et al., arXiv:1903.10829). The
names of the parts are torchvision's.
"""

from collections.abc import Callable
from typing import Any, TypedDict

from minidl import nn, sqrt
from minidl.nn import functional as F
from minidl.tensor import Tensor

SQUEEZES: dict[str, Callable[[Tensor], Tensor]] = {  # (N, C, H, W) -> (N, C, 1, 1)
    "avg": F.global_avg_pool2d,
    "max": lambda u: u.amax(axis=(2, 3), keepdims=True),
    "std": lambda u: sqrt(u.var(axis=(2, 3), correction=0, keepdims=True) + 1e-5),
}


class GateSettings(TypedDict, total=False):
    """What gates take beside their channels: see `se_module` and `SqueezeExcitation`."""

    reduction: int
    squeeze: str
    bias: bool
    activation: Callable[[], nn.Module]
    scale_activation: Callable[[], nn.Module]


class SqueezeExcitation(nn.Module):
    """Equations (2) to (4): u scaled by a gate for each channel; W_1 and W_2 are 1×1 convolutions."""

    def __init__(
        self,
        channels: int,
        squeeze_channels: int,
        activation: Callable[[], nn.Module] = nn.ReLU,
        scale_activation: Callable[[], nn.Module] = nn.Sigmoid,
        squeeze: str = "avg",
        bias: bool = True,
    ):
        super().__init__()
        if squeeze not in SQUEEZES:
            raise ValueError(
                f"SqueezeExcitation: squeeze must be one of {', '.join(map(repr, SQUEEZES))}; got {squeeze!r}"
            )
        self.squeeze = squeeze
        self.fc1 = nn.Conv2d(channels, squeeze_channels, 1, bias=bias)
        self.fc2 = nn.Conv2d(squeeze_channels, channels, 1, bias=bias)
        self.activation, self.scale_activation = activation(), scale_activation()

    def forward(self, u: Tensor) -> Tensor:
        z = SQUEEZES[self.squeeze](u)  # (2)
        s = self.scale_activation(self.fc2(self.activation(self.fc1(z))))  # (3)
        return s * u  # (4)


def se_module(channels: int, reduction: int = 16, **settings: Any) -> SqueezeExcitation:
    """The gate of C channels that leaves C/r of them, but one at least, between W_1 and W_2."""
    if reduction < 1:
        raise ValueError(f"se_module: reduction must be at least 1, got {reduction}")
    return SqueezeExcitation(channels, max(1, channels // reduction), **settings)
