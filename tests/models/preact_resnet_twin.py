"""Pre-activation ResNet in PyTorch, the units as in Figure 4 of the paper: the oracle for ours."""

from collections import OrderedDict

import pytest

torch = pytest.importorskip("torch")
nn = torch.nn

# What comes before the first convolution, on the branch, and after the addition.
UNITS = {
    "original": ("", "conv1 bn1 relu1 conv2 bn2", "relu2"),
    "BN after addition": ("", "conv1 bn1 relu1 conv2", "bn2 relu2"),
    "ReLU before addition": ("", "conv1 bn1 relu1 conv2 bn2 relu2", ""),
    "ReLU-only pre-activation": ("relu1", "conv1 bn1 relu2 conv2 bn2", ""),
    "full pre-activation": ("bn1 relu1", "conv1 bn2 relu2 conv2", ""),
    "bottleneck": ("bn1 relu1", "conv1 bn2 relu2 conv2 bn3 relu3 conv3", ""),
}
ENDS = {  # the stem, and what follows the last unit
    "ReLU-only pre-activation": ("conv1 bn1", "relu"),
    "full pre-activation": ("conv1", "bn relu"),
}


def sequence(words, convolutions, channels):
    """Named parts one after the other, and how many channels leave them."""
    parts = OrderedDict()
    for word in words.split():
        if word.startswith("conv"):
            parts[word] = convolutions[word]
            channels = parts[word].out_channels
        else:
            parts[word] = nn.BatchNorm2d(channels) if word.startswith("bn") else nn.ReLU()
    return nn.Sequential(parts), channels


def conv(inputs, outputs, size, stride=1):
    return nn.Conv2d(inputs, outputs, size, stride, (size - 1) // 2, bias=False)


class Unit(nn.Module):
    def __init__(self, inputs, width, stride, order, option, bottleneck, first):
        super().__init__()
        if bottleneck:
            layers = [conv(inputs, width, 1, stride), conv(width, width, 3), conv(width, 4 * width, 1)]
        else:
            layers = [conv(inputs, width, 3, stride), conv(width, width, 3)]
        named = {f"conv{i}": layer for i, layer in enumerate(layers, start=1)}
        before, branch, after = UNITS["bottleneck" if bottleneck else order]
        self.before, channels = sequence(before, named, inputs)
        self.branch, channels = sequence(branch, named, channels)
        self.after, self.outputs = sequence(after, named, channels)
        self.inputs, self.stride, self.first = inputs, stride, first
        if option == "B" and (stride, inputs) != (1, self.outputs):
            self.downsample = conv(inputs, self.outputs, 1, stride)

    def forward(self, x):
        activated = self.before(x)
        x = activated if self.first else x
        if hasattr(self, "downsample"):
            shortcut = self.downsample(activated)
        else:
            kept = x[..., :: self.stride, :: self.stride]
            shortcut = torch.cat([kept, kept.new_zeros(len(x), self.outputs - self.inputs, *kept.shape[2:])], 1)
        return self.after(shortcut + self.branch(activated))


class Twin(nn.Module):
    def __init__(self, n, order, option, bottleneck, classes, colours):
        super().__init__()
        stem, end = ENDS.get(order, ("conv1 bn1 relu1", ""))
        stem, channels = sequence(stem, {"conv1": conv(colours, 16, 3)}, colours)
        self.stem = list(stem)
        for name, part in stem.named_children():
            setattr(self, name, part)
        for i, width in enumerate((16, 32, 64), start=1):
            units = []
            for j in range(n):
                stride = 2 if i > 1 and j == 0 else 1
                units.append(Unit(channels, width, stride, order, option, bottleneck, first=i == 1 and j == 0))
                channels = units[-1].outputs
            setattr(self, f"layer{i}", nn.Sequential(*units))
        end, _ = sequence(end, {}, channels)
        self.end = list(end)
        for name, part in end.named_children():
            setattr(self, name, part)
        self.fc = nn.Linear(channels, classes)

    def forward(self, x):
        for part in [*self.stem, self.layer1, self.layer2, self.layer3, *self.end]:
            x = part(x)
        return self.fc(x.mean((2, 3)))


def preact_resnet_cifar(
    depth=110, order="full pre-activation", shortcut="A", bottleneck=False, num_classes=10, in_channels=3
):
    n = (depth - 2) // (9 if bottleneck else 6)
    return Twin(n, order, shortcut, bottleneck, num_classes, in_channels)
