"""EfficientNet in PyTorch, with the parts named as torchvision names them: the oracle for ours."""

import pytest

torch = pytest.importorskip("torch")
nn = torch.nn


class Gate(nn.Module):
    """Squeeze and excitation by 1×1 convolutions."""

    def __init__(self, channels, squeezed):
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(channels, squeezed, 1), nn.Conv2d(squeezed, channels, 1)

    def forward(self, x):
        return self.fc2(nn.functional.silu(self.fc1(x.mean((2, 3), keepdim=True)))).sigmoid() * x


class Block(nn.Module):
    def __init__(self, unit, gated, inputs, outputs, kernel, stride, expansion):
        super().__init__()
        wide = inputs * expansion
        parts = [unit(inputs, wide, 1)] if expansion > 1 else []
        parts.append(unit(wide, wide, kernel, stride, wide))
        if gated:
            parts.append(Gate(wide, inputs // 4))
        self.block = nn.Sequential(*parts, unit(wide, outputs, 1)[:2])
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x):
        return self.block(x) + x if self.residual else self.block(x)


class Twin(nn.Module):
    """`widths` of the stem and the seven stages, `depths` of those; without stochastic depth."""

    def __init__(self, widths, depths, num_classes, in_channels, slow=False, lite=False):
        super().__init__()

        def unit(inputs, outputs, size, stride=1, groups=1):
            conv = nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False)
            norm = nn.BatchNorm2d(outputs, *(1e-3, 0.01) if slow else (1e-5, 0.1))
            return nn.Sequential(conv, norm, nn.ReLU6() if lite else nn.SiLU())

        self.features = nn.Sequential(unit(in_channels, widths[0], 3, 2))
        for i, depth in enumerate(depths):
            stride, kernel, expansion = (1, 2, 2, 2, 1, 2, 1)[i], (3, 3, 5, 3, 5, 5, 3)[i], 6 if i else 1
            first = (widths[i], widths[i + 1], kernel, stride, expansion)
            other = (widths[i + 1], widths[i + 1], kernel, 1, expansion)
            stage = [Block(unit, not lite, *shape) for shape in (first, *[other] * (depth - 1))]
            self.features.append(nn.Sequential(*stage))
        self.features.append(unit(widths[-1], 4 * widths[-1], 1))
        self.classifier = nn.Sequential(nn.Dropout(), nn.Linear(4 * widths[-1], num_classes))

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


def scaled(widths, depths, **settings):
    """A network of these widths and depths, each written out."""
    return lambda num_classes=1000, in_channels=3: Twin(widths, depths, num_classes, in_channels, **settings)


efficientnet_b0 = scaled((32, 16, 24, 40, 80, 112, 192, 320), (1, 2, 2, 3, 3, 4, 1))
efficientnet_b1 = scaled((32, 16, 24, 40, 80, 112, 192, 320), (2, 3, 3, 4, 4, 5, 2))
efficientnet_b2 = scaled((32, 16, 24, 48, 88, 120, 208, 352), (2, 3, 3, 4, 4, 5, 2))
efficientnet_b3 = scaled((40, 24, 32, 48, 96, 136, 232, 384), (2, 3, 3, 5, 5, 6, 2))
efficientnet_b4 = scaled((48, 24, 32, 56, 112, 160, 272, 448), (2, 4, 4, 6, 6, 8, 2))
efficientnet_b5 = scaled((48, 24, 40, 64, 128, 176, 304, 512), (3, 5, 5, 7, 7, 9, 3), slow=True)
efficientnet_b6 = scaled((56, 32, 40, 72, 144, 200, 344, 576), (3, 6, 6, 8, 8, 11, 3), slow=True)
efficientnet_b7 = scaled((64, 32, 48, 80, 160, 224, 384, 640), (4, 7, 7, 10, 10, 13, 4), slow=True)
efficientnet_lite0 = scaled((32, 16, 24, 40, 80, 112, 192, 320), (1, 2, 2, 3, 3, 4, 1), slow=True, lite=True)
