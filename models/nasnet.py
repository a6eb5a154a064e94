"""NASNet-A: a network of two cells, which a search on small images found.

B. Zoph, V. Vasudevan, J. Shlens, Q. V. Le, "Learning Transferable Architectures for Scalable Image Recognition",
CVPR 2018, arXiv:1707.07012.

The network is a 3×3 convolution, two reduction cells, and three times N normal cells, with a reduction cell and twice
the filters between. (Figure 2; the cells are in `nasnet_cell`.)

    NASNet-A (4 @ 1056)   5.3 M parameters (5,289,978)   564 M multiply-adds   224×224 images   (Table 3)

Departures from the paper: the auxiliary classifier, of use in training only, is left out.
"""

from minidl import nn
from minidl.models.nasnet_cell import Cell, norm
from minidl.nn import functional as F
from minidl.tensor import Tensor


class NASNet(nn.Module):
    """A 3×3 convolution, two reduction cells, three stages of N normal cells, global average pooling, a classifier."""

    def __init__(
        self, N: int, filters: int, stem: int, num_classes: int = 1000, dropout: float = 0.5, in_channels: int = 3
    ):
        super().__init__()
        if filters < 4 or filters % 4:
            raise ValueError(f"NASNet: filters must be a multiple of 4, got {filters}")
        self.conv0 = nn.Sequential({"conv": nn.Conv2d(in_channels, stem, 3, stride=2, bias=False), "bn": norm(stem)})
        plan = [("cell_stem_0", "reduction", filters // 4), ("cell_stem_1", "reduction", filters // 2)]
        for stage, width in enumerate((filters, 2 * filters, 4 * filters)):
            plan += [(f"reduction_cell_{stage - 1}", "reduction", width)] if stage else []
            plan += [(f"cell_{6 * stage + i}", "normal", width) for i in range(N)]
        before, channels, fit = stem, stem, "nothing"
        for name, kind, width in plan:
            cell = Cell(kind, before, channels, width, fit)
            self.add_module(name, cell)
            before, channels = channels, cell.out_channels
            fit = "halved" if kind == "reduction" else "pointwise"
        self.order = [name for name, _, _ in plan]
        self.dropout = nn.Dropout(dropout)
        self.last_linear = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        before = h = self.conv0(x)
        for name in self.order:
            before, h = h, getattr(self, name)(before, h)
        return self.last_linear(self.dropout(F.global_avg_pool2d(F.relu(h)).flatten(1)))


def nasnet_a_mobile(num_classes: int = 1000, dropout: float = 0.5, in_channels: int = 3) -> NASNet:
    """NASNet-A (4 @ 1056): the last cells have 6 · 4 · 44 channels."""
    return NASNet(4, 44, 32, num_classes, dropout, in_channels)
