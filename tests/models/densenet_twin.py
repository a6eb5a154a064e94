"""DenseNet in PyTorch, with the parts named as torchvision names them: the oracle for ours."""

from collections import OrderedDict

import pytest

torch = pytest.importorskip("torch")
nn = torch.nn


class Block(nn.Sequential):
    """Every layer sees the features of all layers before it."""

    def forward(self, x):
        for layer in self:
            x = torch.cat([x, layer(x)], 1)
        return x


class Twin(nn.Module):
    """The arguments are those of `minidl.models.DenseNet`; there is no dropout."""

    def __init__(self, k, depths, width, bottleneck, compression, classes, colours=3, large=True):
        super().__init__()
        parts = OrderedDict(conv0=conv(colours, width, 7, 2) if large else conv(colours, width, 3))
        if large:
            parts |= OrderedDict(norm0=nn.BatchNorm2d(width), relu0=nn.ReLU(), pool0=nn.MaxPool2d(3, 2, 1))
        for i, depth in enumerate(depths, start=1):
            layers = [(f"denselayer{j + 1}", dense_layer(width + j * k, k, bottleneck)) for j in range(depth)]
            parts[f"denseblock{i}"] = Block(OrderedDict(layers))
            width += depth * k
            if i < len(depths):
                parts[f"transition{i}"] = transition(width, int(width * compression))
                width = int(width * compression)
        self.features = nn.Sequential(parts | OrderedDict(norm5=nn.BatchNorm2d(width)))
        self.classifier = nn.Linear(width, classes)

    def forward(self, x):
        return self.classifier(self.features(x).relu().mean((2, 3)))


def conv(inputs, outputs, size, stride=1):
    return nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)


def dense_layer(inputs, k, bottleneck):
    widths = [(inputs, 4 * k, 1), (4 * k, k, 3)] if bottleneck else [(inputs, k, 3)]
    parts = OrderedDict()
    for i, width in enumerate(widths, start=1):
        parts |= {f"norm{i}": nn.BatchNorm2d(width[0]), f"relu{i}": nn.ReLU(), f"conv{i}": conv(*width)}
    return nn.Sequential(parts)


def transition(inputs, outputs):
    parts = OrderedDict(
        norm=nn.BatchNorm2d(inputs), relu=nn.ReLU(), conv=conv(inputs, outputs, 1), pool=nn.AvgPool2d(2)
    )
    return nn.Sequential(parts)


def densenet_cifar(depth, growth_rate, bottleneck=True, compression=0.5, num_classes=10, in_channels=3):
    """Section 4.2: three blocks, and a stem of 16 channels or, with both bottleneck and compression, of 2k."""
    layers = (depth - 4) // (6 if bottleneck else 3)
    stem = 2 * growth_rate if bottleneck and compression < 1 else 16
    return Twin(growth_rate, [layers] * 3, stem, bottleneck, compression, num_classes, in_channels, large=False)


def imagenet(k, depths, width):
    """A network of Table 1."""
    return lambda num_classes=1000, in_channels=3: Twin(k, depths, width, True, 0.5, num_classes, in_channels)


densenet121 = imagenet(32, (6, 12, 24, 16), 64)
densenet161 = imagenet(48, (6, 12, 36, 24), 96)
densenet169 = imagenet(32, (6, 12, 32, 32), 64)
densenet201 = imagenet(32, (6, 12, 48, 32), 64)
densenet264 = imagenet(32, (6, 12, 64, 48), 64)
