"""MobileNetV3 in PyTorch, with the parts named as torchvision names them: the oracle for ours."""

import pytest

torch = pytest.importorskip("torch")
nn = torch.nn

RELU, SWISH = nn.ReLU, nn.Hardswish


class Gate(nn.Module):
    """Squeeze and excitation, on the images as they are."""

    def __init__(self, channels, squeezed):
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(channels, squeezed, 1), nn.Conv2d(squeezed, channels, 1)

    def forward(self, x):
        excited = nn.functional.relu(self.fc1(x.mean((2, 3), keepdim=True)))
        return nn.functional.hardsigmoid(self.fc2(excited)) * x


class Block(nn.Module):
    """`squeezed` channels in the gate, or 0 for no gate."""

    def __init__(self, inputs, kernel, wide, outputs, squeezed, bend, stride):
        super().__init__()
        parts = [] if wide == inputs else [unit(inputs, wide, 1, bend=bend)]
        parts += [unit(wide, wide, kernel, stride, wide, bend=bend)]
        parts += [Gate(wide, squeezed)] if squeezed else []
        self.block = nn.Sequential(*parts, unit(wide, outputs, 1))
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x):
        return self.block(x) + x if self.residual else self.block(x)


class Twin(nn.Module):
    def __init__(self, rows, hidden, num_classes, in_channels):
        super().__init__()
        parts, width = [unit(in_channels, 16, 3, 2, bend=SWISH)], 16
        for row in rows:
            parts.append(Block(width, *row))
            width = row[2]
        self.features = nn.Sequential(*parts, unit(width, 6 * width, 1, bend=SWISH))
        head = [nn.Linear(6 * width, hidden), SWISH(), nn.Dropout(0.2), nn.Linear(hidden, num_classes)]
        self.classifier = nn.Sequential(*head)

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


def unit(inputs, outputs, size, stride=1, groups=1, bend=None):
    conv = nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False)
    norm = nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.01)
    return nn.Sequential(conv, norm, *([bend()] if bend else []))


def mobilenet_v3_large(num_classes=1000, in_channels=3):
    rows = [
        (3, 16, 16, 0, RELU, 1),
        (3, 64, 24, 0, RELU, 2),
        (3, 72, 24, 0, RELU, 1),
        (5, 72, 40, 24, RELU, 2),
        *[(5, 120, 40, 32, RELU, 1)] * 2,
        (3, 240, 80, 0, SWISH, 2),
        (3, 200, 80, 0, SWISH, 1),
        *[(3, 184, 80, 0, SWISH, 1)] * 2,
        (3, 480, 112, 120, SWISH, 1),
        (3, 672, 112, 168, SWISH, 1),
        (5, 672, 160, 168, SWISH, 2),
        *[(5, 960, 160, 240, SWISH, 1)] * 2,
    ]
    return Twin(rows, 1280, num_classes, in_channels)


def mobilenet_v3_small(num_classes=1000, in_channels=3):
    rows = [
        (3, 16, 16, 8, RELU, 2),
        (3, 72, 24, 0, RELU, 2),
        (3, 88, 24, 0, RELU, 1),
        (5, 96, 40, 24, SWISH, 2),
        *[(5, 240, 40, 64, SWISH, 1)] * 2,
        (5, 120, 48, 32, SWISH, 1),
        (5, 144, 48, 40, SWISH, 1),
        (5, 288, 96, 72, SWISH, 2),
        *[(5, 576, 96, 144, SWISH, 1)] * 2,
    ]
    return Twin(rows, 1024, num_classes, in_channels)
