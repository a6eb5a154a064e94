"""The inception module: it looks at several scales at once, and reduces dimensions first.

C. Szegedy, W. Liu, Y. Jia, P. Sermanet, S. Reed, D. Anguelov, D. Erhan, V. Vanhoucke, A. Rabinovich, "Going Deeper with
Convolutions", CVPR 2015, arXiv:1409.4842.

    naive(x) = [1×1(x), 3×3(x), 5×5(x), max 3×3(x)]                                (Figure 2a)
    inception(x) = [1×1(x), 3×3(1×1(x)), 5×5(1×1(x)), 1×1(max 3×3(x))]            (Figure 2b)

A ReLU follows every convolution. GoogLeNet is in `googlenet`.

Departures from the paper: none; with batch norm the module is torchvision's, which has 3×3 in place of 5×5. The names
of the parts are torchvision's.
"""

from functools import partial

from minidl import concatenate, nn
from minidl.nn import functional as F
from minidl.tensor import Tensor


class BasicConv2d(nn.Module):
    """Convolution - batch norm - ReLU, or with a bias in place of batch norm; odd kernels keep the size of the map."""

    def __init__(self, inputs: int, outputs: int, kernel_size: int, stride: int = 1, batch_norm: bool = True):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel_size, stride, padding=kernel_size // 2, bias=not batch_norm)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001) if batch_norm else None

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return F.relu(x if self.bn is None else self.bn(x))


class Branches(nn.Module):
    """The concatenation of what the parts make of the same input."""

    def forward(self, x: Tensor) -> Tensor:
        return concatenate([branch(x) for branch in self.children()], axis=1)


class NaiveInception(Branches):
    """Figure 2a: filters of three sizes on all channels, and all channels again after pooling."""

    def __init__(self, inputs: int, ch1x1: int, ch3x3: int, ch5x5: int, batch_norm: bool = False):
        super().__init__()
        conv = partial(BasicConv2d, inputs, batch_norm=batch_norm)
        self.branch1, self.branch2, self.branch3 = conv(ch1x1, 1), conv(ch3x3, 3), conv(ch5x5, 5)
        self.branch4 = nn.MaxPool2d(kernel_size=3, stride=1, padding=1)


class Inception(Branches):
    """Figure 2b: 1×1 convolutions reduce the channels first; `widths` are a row of Table 1, as in `googlenet`."""

    def __init__(self, inputs: int, widths: tuple[int, int, int, int, int, int], batch_norm: bool = False):
        super().__init__()
        ch1x1, ch3x3red, ch3x3, ch5x5red, ch5x5, pool_proj = widths
        conv, large = partial(BasicConv2d, batch_norm=batch_norm), 3 if batch_norm else 5
        self.branch1 = conv(inputs, ch1x1, 1)
        self.branch2 = nn.Sequential(conv(inputs, ch3x3red, 1), conv(ch3x3red, ch3x3, 3))
        self.branch3 = nn.Sequential(conv(inputs, ch5x5red, 1), conv(ch5x5red, ch5x5, large))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), conv(inputs, pool_proj, 1))
