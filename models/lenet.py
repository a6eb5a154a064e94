"""LeNet-5: convolutions that share weights, and subsampling, in place of features made by hand.

Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-Based Learning Applied to Document Recognition", Proceedings of
the IEEE 86(11), 1998.

    x = f(a),  f(a) = A tanh(S a),  A = 1.7159,  S = 2/3          (5), (6)
    y_i = Σ_j (x_j − w_ij)²                                       (7)

Each unit of S2 and S4 adds four inputs, times a coefficient, plus a bias. The maps of C3 see only the maps of S2 that
Table I marks. The output compares F6 with a fixed picture of each digit, 7×12 pixels of ±1. Parameters (section II-B):

    C1 6@28×28   S2 6@14×14   C3 16@10×10   S4 16@5×5   C5 120   F6 84   all
        156          12          1,516          32       48,120  10,164  60,000      lenet5
        156           -          2,416           -       48,120  10,164  61,706      lenet: and 850 of a linear output

Departures from the paper: the output is −y, so that the largest is the class, and cross-entropy of it is criterion (9)
without its constant j. The pictures are drawn anew, after Figure 3. Images below 32×32 get a border (the 28×28 of
MNIST, 2 pixels of zeros); on larger ones C5 is a map, as the paper remarks, and F6 sees its average. `lenet` is the
usual simplification: ReLU, maxima in place of subsampling, a full C3, a linear output.
"""

import numpy as np

from minidl import concatenate, nn, pad, random, tanh
from minidl.nn import functional as F
from minidl.nn import init
from minidl.tensor import Tensor

TABLE_I = """
X . . . X X X . . X X X X . X X
X X . . . X X X . . X X X X . X
X X X . . . X X X . . X . X X X
. X X X . . X X X X . . X . X X
. . X X X . . X X X X . X X . X
. . . X X X . . X X X X . X X X
"""  # rows: maps of S2; columns: maps of C3

DIGITS = """
....... ....... ....... ....... ....... ....... ....... ....... ....... .......
..###.. ...##.. .#####. .#####. ....##. ####### ..####. ####### .#####. .#####.
.##.##. ..###.. ##...## ##...## ...###. ##..... .##.... .....## ##...## ##...##
##...## .####.. .....## .....## ..####. ##..... ##..... .....## ##...## ##...##
##...## ...##.. .....## .....## .##.##. ######. ######. ....##. .#####. ##...##
##...## ...##.. ....##. ..####. ##..##. .....## ##...## ...##.. ##...## .######
##...## ...##.. ...##.. .....## ####### .....## ##...## ..##... ##...## .....##
##...## ...##.. ..##... .....## ....##. .....## ##...## ..##... ##...## .....##
.##.##. ...##.. .##.... ##...## ....##. ##...## ##...## ..##... ##...## ....##.
..###.. .###### ####### .#####. ....##. .#####. .#####. ..##... .#####. .####..
....... ....... ....... ....... ....... ....... ....... ....... ....... .......
....... ....... ....... ....... ....... ....... ....... ....... ....... .......
"""


def f(a: Tensor) -> Tensor:
    """The squashing function, f(±1) = ±1."""
    return 1.7159 * tanh(2 / 3 * a)


class Subsampling(nn.Module):
    """f(coefficient · sum of 2×2 + bias), with one of each a map."""

    def __init__(self, channels: int):
        super().__init__()
        self.weight = nn.Parameter(np.empty(channels, np.float32))
        self.bias = nn.Parameter(np.empty(channels, np.float32))
        init.uniform_(self.weight, -2.4 / 4, 2.4 / 4)
        init.uniform_(self.bias, -2.4 / 4, 2.4 / 4)

    def forward(self, x: Tensor) -> Tensor:
        total = F.avg_pool2d(x, kernel_size=2, divisor_override=1)
        return f(self.weight.reshape(-1, 1, 1) * total + self.bias.reshape(-1, 1, 1))


class SparseConvolution(nn.Module):
    """C3: each map is a convolution of the maps that its column of Table I marks."""

    def __init__(self) -> None:
        super().__init__()
        columns = zip(*(row.split() for row in TABLE_I.strip().splitlines()), strict=True)
        self.inputs = [[i for i, mark in enumerate(column) if mark == "X"] for column in columns]
        self.maps = nn.ModuleList([nn.Conv2d(len(chosen), 1, kernel_size=5) for chosen in self.inputs])

    def forward(self, x: Tensor) -> Tensor:
        return concatenate([conv(x[:, chosen]) for conv, chosen in zip(self.maps, self.inputs, strict=True)], axis=1)


class RBF(nn.Module):
    """Minus the squared distances from fixed codes of ±1: of digits the pictures, of other classes drawn by chance."""

    codes: Tensor

    def __init__(self, num_classes: int):
        super().__init__()
        codes = np.array([list("".join(DIGITS.split()[digit::10])) for digit in range(10)]) == "#"
        if num_classes != 10:
            codes = random.generator().random((num_classes, 84)) < 0.5
        self.register_buffer("codes", Tensor(np.where(codes, 1, -1).astype(np.float32)))

    def forward(self, x: Tensor) -> Tensor:
        return -((x.unsqueeze(1) - self.codes) ** 2).sum(axis=2)


class LeNet5(nn.Module):
    """The network of Figure 2; weights start uniform on ±2.4 / fan in (section II-B and appendix A)."""

    def __init__(self, num_classes: int = 10, in_channels: int = 1):
        super().__init__()
        self.c1 = nn.Conv2d(in_channels, 6, kernel_size=5)
        self.s2 = Subsampling(6)
        self.c3 = SparseConvolution()
        self.s4 = Subsampling(16)
        self.c5 = nn.Conv2d(16, 120, kernel_size=5)
        self.f6 = nn.Linear(120, 84)
        self.output = RBF(num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
                bound = 2.4 / module.weight[0].numel()
                init.uniform_(module.weight, -bound, bound)
                init.uniform_(module.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        x = self.s2(f(self.c1(with_border(x))))
        x = self.s4(f(self.c3(x)))
        x = F.global_avg_pool2d(f(self.c5(x))).flatten(1)
        return self.output(f(self.f6(x)))


class LeNet(nn.Module):
    """The usual simplification; larger images are averaged to a grid of 5×5 before the linear layers."""

    def __init__(self, num_classes: int = 10, in_channels: int = 1):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 6, kernel_size=5)
        self.conv2 = nn.Conv2d(6, 16, kernel_size=5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(with_border(x))), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = F.adaptive_avg_pool2d(x, 5).flatten(1)
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))


def with_border(x: Tensor, least: int = 32) -> Tensor:
    """Images of at least 32×32: a border of zeros around smaller ones."""
    missing = [max(least - n, 0) for n in x.shape[2:]]
    return pad(x, [(0, 0), (0, 0), *((m // 2, m - m // 2) for m in missing)]) if any(missing) else x


def lenet5(num_classes: int = 10, in_channels: int = 1) -> LeNet5:
    """The network of 1998."""
    return LeNet5(num_classes, in_channels)


def lenet(num_classes: int = 10, in_channels: int = 1) -> LeNet:
    """The network that is usually called LeNet today."""
    return LeNet(num_classes, in_channels)
