"""BN-Inception in PyTorch: the oracle for ours."""

from collections import OrderedDict

import pytest

torch = pytest.importorskip("torch")
nn = torch.nn
F = nn.functional

ROWS = """
3a  64 .  64  64 .  64  96 . avg  32
3b  64 .  64  96 .  64  96 . avg  64
3c   0 . 128 160 .  64  96 . max   0
4a 224 .  64  96 .  96 128 . avg 128
4b 192 .  96 128 .  96 128 . avg 128
4c 160 . 128 160 . 128 160 . avg 128
4d  96 . 128 192 . 160 192 . avg 128
4e   0 . 128 192 . 192 256 . max   0
5a 352 . 192 320 . 160 224 . avg 128
5b 352 . 192 320 . 192 224 . max 128
""".replace(".", "")


def unit(inputs, outputs, size, stride=1):
    conv = nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)
    return nn.Sequential(OrderedDict(conv=conv, bn=nn.BatchNorm2d(outputs), relu=nn.ReLU()))


class Halve(nn.Module):
    """A maximum as wide as the convolutions beside it: -∞ follows even maps, and is around odd ones."""

    def forward(self, x):
        (top, left), (bottom, right) = [n % 2 for n in x.shape[2:]], (1, 1)
        return F.max_pool2d(F.pad(x, (left, right, top, bottom), value=-torch.inf), 3, 2)


class Side(nn.ModuleDict):
    def forward(self, x):
        return torch.cat([branch(x) for branch in self.values()], 1)


def module(inputs, a, b, c, d, e, kind, f):
    stride = 1 if f else 2
    branches = OrderedDict({"1x1": unit(inputs, a, 1)} if a else {})
    branches["3x3"] = nn.Sequential(unit(inputs, b, 1), unit(b, c, 3, stride))
    branches["double_3x3"] = nn.Sequential(unit(inputs, d, 1), unit(d, e, 3), unit(e, e, 3, stride))
    pool = nn.AvgPool2d(3, 1, 1) if kind == "avg" else nn.MaxPool2d(3, 1, 1)
    branches["pool"] = nn.Sequential(pool, unit(inputs, f, 1)) if f else Halve()
    return nn.Sequential(OrderedDict(branches=Side(branches)))


class Twin(nn.Module):
    def __init__(self, classes, colours):
        super().__init__()
        parts = OrderedDict(conv1=unit(colours, 64, 7, 2), pool1=nn.MaxPool2d(3, 2, ceil_mode=True))
        parts |= OrderedDict(conv2_reduce=unit(64, 64, 1), conv2=unit(64, 192, 3))
        parts["pool2"] = nn.MaxPool2d(3, 2, ceil_mode=True)
        inputs = 192
        for row in ROWS.strip().splitlines():
            name, *widths = row.split()
            a, b, c, d, e, kind, f = (word if word.isalpha() else int(word) for word in widths)
            parts[f"inception_{name}"] = module(inputs, a, b, c, d, e, kind, f)
            inputs = a + c + e + (f or inputs)
        self.features, self.fc = nn.Sequential(parts), nn.Linear(inputs, classes)

    def forward(self, x):
        return self.fc(self.features(x).mean((2, 3)))


def bn_inception(num_classes=1000, in_channels=3):
    return Twin(num_classes, in_channels)
