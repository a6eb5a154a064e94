"""VGG in PyTorch, with the parts named as torchvision names them: the oracle for ours."""

import pytest

torch = pytest.importorskip("torch")
nn = torch.nn

COLUMNS = {  # widths of the convolutions, M for max pooling
    11: "64 M 128 M 256 256 M 512 512 M 512 512 M",
    13: "64 64 M 128 128 M 256 256 M 512 512 M 512 512 M",
    16: "64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512 M",
    19: "64 64 M 128 128 M 256 256 256 256 M 512 512 512 512 M 512 512 512 512 M",
}


def features(column, norm, width):
    parts = []
    for word in column.split():
        if word == "M":
            parts.append(nn.MaxPool2d(2))
            continue
        parts.append(nn.Conv2d(width, width := int(word), 3, padding=1))
        parts += [nn.BatchNorm2d(width), nn.ReLU()] if norm else [nn.ReLU()]
    return nn.Sequential(*parts)


class Twin(nn.Module):
    def __init__(self, column, norm, classes, colours):
        super().__init__()
        self.features = features(column, norm, colours)
        width = int(column.split()[-2])
        sizes = [(49 * width, 4096), (4096, 4096), (4096, classes)]
        layers = [part for size in sizes for part in (nn.Linear(*size), nn.ReLU(), nn.Identity())]
        self.classifier = nn.Sequential(*layers[:-2])

    def forward(self, x):
        return self.classifier(nn.functional.adaptive_avg_pool2d(self.features(x), 7).flatten(1))


def column(depth, norm=False):
    return lambda num_classes=1000, in_channels=3: Twin(COLUMNS[depth], norm, num_classes, in_channels)


vgg11, vgg13, vgg16, vgg19 = map(column, COLUMNS)
vgg11_bn, vgg13_bn, vgg16_bn, vgg19_bn = (column(depth, norm=True) for depth in COLUMNS)
