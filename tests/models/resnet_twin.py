"""ResNet and ResNeXt in PyTorch, with the parts named as torchvision names them: the oracle for ours."""

import pytest

torch = pytest.importorskip("torch")
nn = torch.nn


class Unit(nn.Module):
    """relu(F(x) + shortcut); F is given by rows of (inputs, outputs, kernel size, stride, groups)."""

    def __init__(self, rows, option):
        super().__init__()
        for i, (inputs, outputs, size, stride, groups) in enumerate(rows, start=1):
            setattr(self, f"conv{i}", nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False))
            setattr(self, f"bn{i}", nn.BatchNorm2d(outputs))
        self.depth, self.stride, self.option = len(rows), max(row[3] for row in rows), option
        self.inputs, self.outputs = rows[0][0], rows[-1][1]
        if (self.inputs != self.outputs or self.stride > 1) and option == "B":
            project = nn.Conv2d(self.inputs, self.outputs, 1, self.stride, bias=False)
            self.downsample = nn.Sequential(project, nn.BatchNorm2d(self.outputs))

    def branch(self, x):
        for i in range(1, self.depth + 1):
            x = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(x))
            x = x.relu() if i < self.depth else x
        return x

    def shortcut(self, x):
        if hasattr(self, "downsample"):
            return self.downsample(x)
        kept = nn.functional.avg_pool2d(x, 1, self.stride)
        return torch.cat([kept, kept.new_zeros(len(x), self.outputs - self.inputs, *kept.shape[2:])], 1)

    def forward(self, x):
        return (self.shortcut(x) + self.branch(x)).relu()


def basic(inputs, width, stride):
    return [(inputs, width, 3, stride, 1), (width, width, 3, 1, 1)]


def bottleneck(groups, share):
    def rows(inputs, width, stride):
        inner = width * groups * share // 64
        return [(inputs, inner, 1, 1, 1), (inner, inner, 3, stride, groups), (inner, 4 * width, 1, 1, 1)]

    return rows


class Twin(nn.Module):
    """`unit` makes a block from its rows: also those of papers that came after."""

    def __init__(self, rows, depths, classes, colours, width=64, large=True, option="B", unit=Unit):
        super().__init__()
        self.conv1 = nn.Conv2d(colours, width, 7 if large else 3, 2 if large else 1, 3 if large else 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.large, inputs = large, width
        self.stages = [f"layer{i}" for i in range(1, len(depths) + 1)]
        for stage, depth in zip(self.stages, depths, strict=True):
            units = []
            for j in range(depth):
                units.append(unit(rows(inputs, width, 2 if j == 0 and stage != "layer1" else 1), option))
                inputs = units[-1].outputs
            setattr(self, stage, nn.Sequential(*units))
            width *= 2
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x):
        x = self.bn1(self.conv1(x)).relu()
        x = nn.functional.max_pool2d(x, 3, 2, 1) if self.large else x
        for stage in self.stages:
            x = getattr(self, stage)(x)
        return self.fc(x.mean((2, 3)))


def resnet_cifar(depth=20, shortcut="A", num_classes=10, in_channels=3):
    return Twin(basic, [(depth - 2) // 6] * 3, num_classes, in_channels, 16, large=False, option=shortcut)


def imagenet(rows, *depths):
    """A column of a paper's Table 1."""
    return lambda num_classes=1000, in_channels=3: Twin(rows, depths, num_classes, in_channels)


resnet18 = imagenet(basic, 2, 2, 2, 2)
resnet34 = imagenet(basic, 3, 4, 6, 3)
resnet50 = imagenet(bottleneck(1, 64), 3, 4, 6, 3)
resnet101 = imagenet(bottleneck(1, 64), 3, 4, 23, 3)
resnet152 = imagenet(bottleneck(1, 64), 3, 8, 36, 3)
resnext50_32x4d = imagenet(bottleneck(32, 4), 3, 4, 6, 3)
resnext101_32x8d = imagenet(bottleneck(32, 8), 3, 4, 23, 3)
resnext101_64x4d = imagenet(bottleneck(64, 4), 3, 4, 23, 3)
