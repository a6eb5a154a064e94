"""SENet in PyTorch, with the parts named as R. Cadene's pretrainedmodels names them: the oracle for ours."""

from collections import OrderedDict

import pytest

torch = pytest.importorskip("torch")
nn, F = torch.nn, torch.nn.functional

SQUEEZES = {
    "avg": lambda pixels: pixels.mean(2),
    "max": lambda pixels: pixels.amax(2),
    "std": lambda pixels: (pixels.var(2, unbiased=False) + 1e-5) ** 0.5,
}


class Gate(nn.Module):
    """The block on vectors: `fc1` and `fc2` are held as 1×1 convolutions, but multiply as matrices."""

    def __init__(self, channels, reduction=16, squeeze="avg", scale_activation=torch.sigmoid, bias=True):
        super().__init__()
        hidden = max(1, channels // reduction)
        self.fc1, self.fc2 = nn.Conv2d(channels, hidden, 1, bias=bias), nn.Conv2d(hidden, channels, 1, bias=bias)
        self.squeeze, self.gate = SQUEEZES[squeeze], scale_activation

    def forward(self, u):
        z = self.squeeze(u.flatten(2))
        hidden = F.linear(z, self.fc1.weight.flatten(1), self.fc1.bias).relu()
        s = self.gate(F.linear(hidden, self.fc2.weight.flatten(1), self.fc2.bias))
        return torch.einsum("nchw,nc->nchw", u, s)


class Unit(nn.Module):
    """A chain of convolutions (inputs, outputs, kernel size, stride, groups), gated, beside a projection if any."""

    def __init__(self, chain, project, **settings):
        super().__init__()
        for i, row in enumerate(chain, start=1):
            setattr(self, f"conv{i}", conv(*row))
            setattr(self, f"bn{i}", nn.BatchNorm2d(row[1]))
        self.depth = len(chain)
        self.se_module = Gate(chain[-1][1], **settings)
        self.downsample = nn.Sequential(conv(*project), nn.BatchNorm2d(project[1])) if project else None

    def forward(self, x):
        u = x
        for i in range(1, self.depth + 1):
            u = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(u))
            u = u.relu() if i < self.depth else u
        return (self.se_module(u) + (self.downsample(x) if self.downsample else x)).relu()


def conv(inputs, outputs, size, stride=1, groups=1):
    return nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False)


def basic(c, w, stride):
    return [(c, w, 3, stride), (w, w, 3)]


def caffe(c, w, stride):
    return [(c, w, 1, stride), (w, w, 3), (w, 4 * w, 1)]


def resnext(c, w, stride):
    return [(c, 2 * w, 1), (2 * w, 2 * w, 3, stride, 32), (2 * w, 4 * w, 1)]


def winner(c, w, stride):
    return [(c, 2 * w, 1), (2 * w, 4 * w, 3, stride, 64), (4 * w, 4 * w, 1)]


class Twin(nn.Module):
    """Only SENet-154 has the `deep` stem, dropout and 3×3 projections."""

    def __init__(self, chain, depths, classes, colours, deep=False, **settings):
        super().__init__()
        stem = [(colours, 64, 3, 2), (64, 64, 3), (64, 128, 3)] if deep else [(colours, 64, 7, 2)]
        layer0 = OrderedDict()
        for i, row in enumerate(stem, start=1):
            layer0 |= {f"conv{i}": conv(*row), f"bn{i}": nn.BatchNorm2d(row[1]), f"relu{i}": nn.ReLU()}
        self.layer0 = nn.Sequential(layer0 | {"pool": nn.MaxPool2d(3, 2, ceil_mode=True)})
        c = stem[-1][1]
        for stage, depth in enumerate(depths):
            units = []
            for j in range(depth):
                stride = 2 if stage > 0 and j == 0 else 1
                rows = chain(c, 64 << stage, stride)
                wanted = rows[-1][1]
                size = 3 if deep and stride == 2 else 1
                project = (c, wanted, size, stride) if c != wanted else None
                units.append(Unit(rows, project, **settings))
                c = wanted
            setattr(self, f"layer{stage + 1}", nn.Sequential(*units))
        self.depth = len(depths)
        self.dropout = nn.Dropout(0.2 if deep else 0)
        self.last_linear = nn.Linear(c, classes)

    def forward(self, x):
        x = self.layer0(x)
        for i in range(1, self.depth + 1):
            x = getattr(self, f"layer{i}")(x)
        return self.last_linear(self.dropout(x.mean((2, 3))))


def network(chain, *depths, **fixed):
    """One of the published networks."""
    return lambda num_classes=1000, in_channels=3, **settings: Twin(
        chain, depths, num_classes, in_channels, **fixed, **settings
    )


se_resnet18 = network(basic, 2, 2, 2, 2)
se_resnet34 = network(basic, 3, 4, 6, 3)
se_resnet50 = network(caffe, 3, 4, 6, 3)
se_resnet101 = network(caffe, 3, 4, 23, 3)
se_resnet152 = network(caffe, 3, 8, 36, 3)
se_resnext50_32x4d = network(resnext, 3, 4, 6, 3)
se_resnext101_32x4d = network(resnext, 3, 4, 23, 3)
senet154 = network(winner, 3, 8, 36, 3, deep=True)
