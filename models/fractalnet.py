"""FractalNet: paths of many lengths side by side, none of them the identity.

G. Larsson, M. Maire, G. Shakhnarovich, "FractalNet: Ultra-Deep Neural Networks without Residuals", ICLR 2017,
arXiv:1605.07648.

    f_1(z) = conv(z)                                    (1)
    f_(C+1)(z) = [(f_C ∘ f_C)(z)] ⊕ [conv(z)]           (2)

conv is a 3×3 convolution, BN and ReLU; ⊕ is the mean of all paths that meet. B blocks f_C, each before a 2×2 maximum,
have B·2^(C-1) layers in the longest column. Drop-path (section 3.1) lets each input of a join die, but for one (local),
or lets one column of the whole network live (global); half of the batches see the one, half the other. Parameters for
B = 5, with 10 classes (Table 3: 0.3M, 0.8M, 2.1M, 4.8M, 10.2M, 21.1M with 100):

    C = 1    246,682        C = 3  2,113,594        C = 5  10,173,082
    C = 2    836,106        C = 4  4,767,210        C = 6  21,083,466

Departures from the paper: a global average before the classifier, which at 32×32 sees one pixel, lets other sizes in.
(Table 1 has 38.6M for C = 3 and channels of 64 to 512; by equation (2) they are 33.7M. The 22.9M of its 40 layers with
unequal columns are not built here.)
"""

import itertools
from collections.abc import Sequence

from minidl import nn, random
from minidl.models.residual import convolution
from minidl.nn import functional as F
from minidl.tensor import Tensor


class LocalDropPath(nn.Module):
    """⊕: the mean of the paths; in training each is dropped with probability p, but never all."""

    def __init__(self, p: float):
        super().__init__()
        self.p = p

    def forward(self, paths: list[Tensor]) -> Tensor:
        if self.training:
            lives = random.generator().random(len(paths)) >= self.p
            lives[random.generator().integers(len(paths))] |= not lives.any()
            paths = [path for path, alive in zip(paths, lives, strict=True) if alive]
        return sum(paths[1:], paths[0]) / len(paths)


class GlobalDropPath(nn.Module):
    """Which column is to run alone, 1 to C, or None for all: in training a column with probability p."""

    def __init__(self, columns: int, p: float):
        super().__init__()
        self.columns, self.p = columns, p

    def forward(self) -> int | None:
        if self.training and random.generator().random() < self.p:
            return int(random.generator().integers(1, self.columns + 1))
        return None


class Fractal(nn.Module):
    """f_C, equations (1) and (2); column 1 is one conv, column k a path of 2^(k-1)."""

    def __init__(self, columns: int, channels: int, out_channels: int, drop_path: float):
        super().__init__()
        self.layer = nn.Sequential(
            {
                "conv": convolution(channels, out_channels, 3),
                "norm": nn.BatchNorm2d(out_channels),
                "relu": nn.ReLU(),
            }
        )
        self.columns = columns
        if columns > 1:
            self.first = Fractal(columns - 1, channels, out_channels, drop_path)
            self.second = Fractal(columns - 1, out_channels, out_channels, drop_path)
        self.join = LocalDropPath(drop_path)

    def paths(self, z: Tensor) -> list[Tensor]:
        """What meets in the last join: the ends of all columns."""
        if self.columns == 1:
            return [self.layer(z)]
        return [*self.second.paths(self.first(z)), self.layer(z)]

    def column(self, z: Tensor, k: int) -> Tensor:
        """Column k alone."""
        return self.layer(z) if k == 1 else self.second.column(self.first.column(z, k - 1), k - 1)

    def forward(self, z: Tensor) -> Tensor:
        return self.join(self.paths(z))


class FractalNet(nn.Module):
    """Blocks f_C, each before a 2×2 maximum, and a classifier; model(x, column=k) runs column k alone.

    Dropout grows from block to block to `drop_rate` (the paper's 0.4); `drop_path` is the local one, and a share
    `global_drop_path` of the batches sees the global one instead.
    """

    def __init__(
        self,
        columns: int,
        channels: Sequence[int],
        num_classes: int = 10,
        in_channels: int = 3,
        drop_path: float = 0.15,
        global_drop_path: float = 0.5,
        drop_rate: float = 0.0,
    ):
        super().__init__()
        if columns < 1:
            raise ValueError(f"FractalNet: there must be at least one column, got {columns}")
        if not channels:
            raise ValueError("FractalNet: there must be at least one block, got no channels")
        for p in (drop_path, global_drop_path):
            if not 0 <= p <= 1:
                raise ValueError(f"FractalNet: drop_path and global_drop_path are probabilities, got {p}")
        rates = [drop_rate * i / max(len(channels) - 1, 1) for i in range(len(channels))]
        self.blocks = [Fractal(columns, *pair, drop_path) for pair in itertools.pairwise([in_channels, *channels])]
        self.drops = [nn.Dropout(rate) for rate in rates]
        self.global_drop_path = GlobalDropPath(columns, global_drop_path)
        self.fc = nn.Linear(channels[-1], num_classes)
        for module in self.modules():  # section 4: Glorot & Bengio, 2010
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.xavier_uniform_(module.weight)

    def forward(self, x: Tensor, column: int | None = None) -> Tensor:
        columns = self.global_drop_path.columns
        if column is not None and not 1 <= column <= columns:
            raise ValueError(f"FractalNet: column must be from 1 to {columns}, got {column}")
        column = column or self.global_drop_path()
        for block, drop in zip(self.blocks, self.drops, strict=True):
            x = block(x) if column is None else block.column(x, column)
            x = drop(F.max_pool2d(x, 2))
        return self.fc(F.global_avg_pool2d(x).flatten(1))


def fractalnet(
    columns: int = 4,
    channels: Sequence[int] = (16, 32, 64, 128, 128),
    num_classes: int = 10,
    in_channels: int = 3,
    drop_path: float = 0.15,
    global_drop_path: float = 0.5,
    drop_rate: float = 0.0,
) -> FractalNet:
    """Table 3, for images of 32×32 or more; with four columns 40 layers deep."""
    return FractalNet(columns, channels, num_classes, in_channels, drop_path, global_drop_path, drop_rate)
