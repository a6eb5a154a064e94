"""SqueezeNet in PyTorch, with the parts named as torchvision names them: the oracle for ours."""

import pytest

torch = pytest.importorskip("torch")
nn = torch.nn


class Fire(nn.Module):
    def __init__(self, inputs, squeezed, expanded):
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding="same")

    def forward(self, x):
        x = self.squeeze(x).relu()
        return torch.cat((self.expand1x1(x).relu(), self.expand3x3(x).relu()), 1)


def pool():
    return nn.MaxPool2d(3, 2, ceil_mode=True)


class Twin(nn.Module):
    def __init__(self, classes, *features):
        super().__init__()
        self.features = nn.Sequential(*features)
        self.classifier = nn.Sequential(nn.Identity(), nn.Conv2d(512, classes, 1))

    def forward(self, x):
        return self.classifier(self.features(x)).relu().mean((2, 3))


def squeezenet1_0(num_classes=1000, in_channels=3):
    early = [Fire(96, 16, 64), Fire(128, 16, 64), Fire(128, 32, 128), pool()]
    middle = [Fire(256, 32, 128), Fire(256, 48, 192), Fire(384, 48, 192), Fire(384, 64, 256), pool()]
    return Twin(num_classes, nn.Conv2d(in_channels, 96, 7, 2), nn.ReLU(), pool(), *early, *middle, Fire(512, 64, 256))


def squeezenet1_1(num_classes=1000, in_channels=3):
    early = [Fire(64, 16, 64), Fire(128, 16, 64), pool(), Fire(128, 32, 128), Fire(256, 32, 128), pool()]
    late = [Fire(256, 48, 192), Fire(384, 48, 192), Fire(384, 64, 256), Fire(512, 64, 256)]
    return Twin(num_classes, nn.Conv2d(in_channels, 64, 3, 2), nn.ReLU(), pool(), *early, *late)
