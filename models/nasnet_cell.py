"""The cells of NASNet-A, which a search on small images found.

B. Zoph, V. Vasudevan, J. Shlens, Q. V. Le, "Learning Transferable Architectures for Scalable Image Recognition",
CVPR 2018, arXiv:1707.07012.

A cell makes h_(i+1) of h_i and h_(i-1), the outputs of the two cells before it. First 1×1 convolutions give both the
cell's number of filters; then come five sums of two operations, in the tables below (Figure 4):

    b_k = o_k(x) + o'_k(x'),   x, x' ∈ {h_(i-1), h_i, b_1, …, b_(k-1)}

and of them a concatenation. In a reduction cell the operations on h_i and h_(i-1) have stride 2. The network is in
`nasnet`.

Departures from the paper: none. What it leaves open is as in the authors' code: how h_(i-1) is halved, and padding,
with which ⌈n/s⌉ windows fit, and its larger half is behind. The names of the parts are those of the well-known
translation of that code to PyTorch.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from minidl import concatenate, nn, pad
from minidl.nn import functional as F
from minidl.tensor import Tensor

NORMAL = [
    # operation, its input, operation, its input: 0 is h_(i-1), 1 is h_i, 2… are b_1…
    ("5×5", 1, "3×3", 0),
    ("5×5", 0, "3×3", 0),
    ("average", 1, "identity", 0),
    ("average", 0, "average", 0),
    ("3×3", 1, "identity", 1),
]
REDUCTION = [
    ("5×5", 1, "7×7", 0),
    ("maximum", 1, "7×7", 0),
    ("average", 1, "5×5", 0),
    ("identity", 3, "average", 2),
    ("3×3", 2, "maximum", 1),
]
KINDS = {  # blocks, and which of h_(i-1), h_i, b_1… the cell returns
    "normal": (NORMAL, [0, 2, 3, 4, 5, 6]),
    "reduction": (REDUCTION, [3, 4, 5, 6]),
}


def norm(channels: int) -> nn.BatchNorm2d:
    """Batch normalisation with the authors' ε."""
    return nn.BatchNorm2d(channels, eps=0.001)


class Pool(nn.Module):
    """The average or maximum of each 3×3; a window at the edge takes what there is."""

    def __init__(self, stride: int, pool: Callable[..., Tensor], **settings: Any):
        super().__init__()
        self.stride, self.pool, self.settings = stride, pool, settings

    def forward(self, x: Tensor) -> Tensor:
        padding = [1 if self.stride == 1 else n % 2 for n in x.shape[2:]]
        return self.pool(x, 3, self.stride, padding, ceil_mode=True, **self.settings)


class SeparableConv2d(nn.Module):
    """Depthwise k×k, then 1×1."""

    def __init__(self, channels: int, filters: int, kernel_size: int, stride: int):
        super().__init__()
        self.depthwise_conv2d = nn.Conv2d(channels, channels, kernel_size, stride, groups=channels, bias=False)
        self.pointwise_conv2d = nn.Conv2d(channels, filters, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        (k, _), (s, _) = self.depthwise_conv2d.kernel_size, self.depthwise_conv2d.stride
        missing = [max(0, (-(-n // s) - 1) * s + k - n) for n in x.shape[2:]]
        x = pad(x, ((0, 0), (0, 0), *((m // 2, m - m // 2) for m in missing)))
        return self.pointwise_conv2d(self.depthwise_conv2d(x))


class Separable(nn.Sequential):
    """ReLU - separable convolution - BN, twice; the first has the stride."""

    def __init__(self, kernel_size: int, channels: int, filters: int, stride: int):
        layers: dict[str, nn.Module] = {}
        for i, (inputs, step) in enumerate([(channels, stride), (filters, 1)], start=1):
            layers[f"relu_{i}"] = nn.ReLU()
            layers[f"separable_{i}"] = SeparableConv2d(inputs, filters, kernel_size, step)
            layers[f"bn_sep_{i}"] = norm(filters)
        super().__init__(layers)


OPERATIONS: dict[str, Callable[[int, int, int], nn.Module]] = {  # of channels, filters, stride
    "identity": lambda channels, filters, stride: nn.Identity(),
    "average": lambda channels, filters, stride: Pool(stride, F.avg_pool2d, count_include_pad=False),
    "maximum": lambda channels, filters, stride: Pool(stride, F.max_pool2d),
    **{f"{k}×{k}": partial(Separable, k) for k in (3, 5, 7)},
}


def pointwise(channels: int, filters: int) -> nn.Sequential:
    """ReLU - 1×1 - BN."""
    return nn.Sequential({"relu": nn.ReLU(), "conv": nn.Conv2d(channels, filters, 1, bias=False), "bn": norm(filters)})


class Cell(nn.Module):
    """h_(i+1) of h_(i-1), which has `before` channels, and h_i, which has `channels`.

    `fit` is what h_(i-1) needs first: "nothing", a "pointwise" convolution, or to be "halved" where it is as large as
    two of h_i: half of the filters see its even pixels, half its odd ones.
    """

    def __init__(self, kind: str, before: int, channels: int, filters: int, fit: str):
        super().__init__()
        self.fit, (self.blocks, self.kept) = fit, KINDS[kind]
        if fit == "pointwise":
            self.conv_prev_1x1 = pointwise(before, filters)
        self.conv_1x1 = pointwise(channels, filters)
        if fit == "halved":
            halves = (nn.Conv2d(before, filters // 2, 1, bias=False) for _ in range(2))
            self.path_1, self.path_2 = (nn.Sequential({"conv": half}) for half in halves)
            self.final_path_bn = norm(filters)
        widths = [before if fit == "nothing" else filters, *[filters] * 6]
        for k, (left, i, right, j) in enumerate(self.blocks):
            for side, name, x in (("left", left, i), ("right", right, j)):
                stride = 2 if kind == "reduction" and x < 2 else 1
                self.add_module(f"comb_iter_{k}_{side}", OPERATIONS[name](widths[x], filters, stride))
        self.out_channels = len(self.kept) * filters

    def forward(self, before: Tensor, h: Tensor) -> Tensor:
        x = [self.fitted(before), self.conv_1x1(h)]
        for k, (_, i, _, j) in enumerate(self.blocks):
            left, right = getattr(self, f"comb_iter_{k}_left"), getattr(self, f"comb_iter_{k}_right")
            x.append(left(x[i]) + right(x[j]))
        return concatenate([x[i] for i in self.kept], axis=1)

    def fitted(self, h: Tensor) -> Tensor:
        """h_(i-1) with the filters and of the size that the cell works on."""
        if self.fit != "halved":
            return h if self.fit == "nothing" else self.conv_prev_1x1(h)
        h = F.relu(h)
        odd = pad(h, ((0, 0), (0, 0), (0, 1), (0, 1)))[:, :, 1::2, 1::2]
        return self.final_path_bn(concatenate([self.path_1(h[:, :, ::2, ::2]), self.path_2(odd)], axis=1))
