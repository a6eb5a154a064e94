"""MobileNet in PyTorch: the oracle for ours."""

import pytest

torch = pytest.importorskip("torch")
nn = torch.nn


class Twin(nn.Module):
    """Table 1 as a chain: every layer is one entry (channels, kernel size, stride, whether it is depthwise)."""

    def __init__(self, alpha, num_classes, in_channels):
        super().__init__()
        thin = [int(alpha * n) for n in (32, 64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)]
        stages = [unit(in_channels, thin[0], 3, 2)]
        for i in range(1, 14):
            stride = 2 if i in (2, 4, 6, 12) else 1
            depthwise = unit(thin[i - 1], thin[i - 1], 3, stride, thin[i - 1])
            stages.append(nn.Sequential(depthwise, unit(thin[i - 1], thin[i], 1)))
        self.features = nn.Sequential(*stages)
        self.classifier = nn.Linear(thin[-1], num_classes)

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


def unit(inputs, outputs, size, stride=1, groups=1):
    conv = nn.Conv2d(inputs, outputs, size, stride, (size - 1) // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())


def mobilenet_v1(width=1.0, num_classes=1000, in_channels=3):
    return Twin(width, num_classes, in_channels)
