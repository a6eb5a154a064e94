"""MobileNetV2 in PyTorch, with the parts named as torchvision names them: the oracle for ours."""

from itertools import pairwise

import pytest

torch = pytest.importorskip("torch")
nn = torch.nn


class Bottleneck(nn.Module):
    def __init__(self, inputs, outputs, stride, expansion):
        super().__init__()
        wide, parts = inputs * expansion, []
        if expansion > 1:
            parts.append(unit(inputs, wide))
        parts.append(unit(wide, wide, 3, stride, wide))
        parts.extend(unit(wide, outputs)[:2])
        self.conv = nn.Sequential(*parts)
        self.residual = inputs == outputs and stride == 1

    def forward(self, x):
        y = self.conv(x)
        return y + x if self.residual else y


class Twin(nn.Module):
    """`widths` are the channels after the stem and after each of the 17 bottlenecks."""

    def __init__(self, widths, last, num_classes, in_channels):
        super().__init__()
        self.features = nn.Sequential(unit(in_channels, widths[0], 3, 2))
        for i, (inputs, outputs) in enumerate(pairwise(widths)):
            stride = 2 if i in (1, 3, 6, 13) else 1
            self.features.append(Bottleneck(inputs, outputs, stride, 6 if i else 1))
        self.features.append(unit(widths[-1], last))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(last, num_classes))

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


def unit(inputs, outputs, size=1, stride=1, groups=1):
    conv = nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU6())


def times(*runs):
    """Each width as often as it is said."""
    return [width for width, n in runs for _ in range(n)]


# What the rule of rounding makes of the widths of Table 2, by hand.
WIDTHS = {
    0.35: times((16, 1), (8, 1), (8, 2), (16, 3), (24, 4), (32, 3), (56, 3), (112, 1)),
    1.0: times((32, 1), (16, 1), (24, 2), (32, 3), (64, 4), (96, 3), (160, 3), (320, 1)),
    1.4: times((48, 1), (24, 1), (32, 2), (48, 3), (88, 4), (136, 3), (224, 3), (448, 1)),
}


def mobilenet_v2(num_classes=1000, in_channels=3, width_mult=1.0):
    return Twin(WIDTHS[width_mult], 1792 if width_mult == 1.4 else 1280, num_classes, in_channels)
