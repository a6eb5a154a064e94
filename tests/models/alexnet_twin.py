"""AlexNet in PyTorch, with the parts named as torchvision names them: the oracle for ours."""

import pytest

torch = pytest.importorskip("torch")
nn = torch.nn


class ResponseNorm(nn.Module):
    """Section 3.3, with the paper's constants."""

    def forward(self, a):
        windows = nn.functional.pad(a**2, (0, 0, 0, 0, 2, 2)).unfold(1, 5, 1)
        return a / (2 + 1e-4 * windows.sum(-1)) ** 0.75


class Twin(nn.Module):
    def __init__(self, features, classifier):
        super().__init__()
        self.features, self.classifier = nn.Sequential(*features), nn.Sequential(*classifier)

    def forward(self, x):
        maps = nn.functional.adaptive_avg_pool2d(self.features(x), 6)
        return self.classifier(maps.flatten(1))


def relu():
    return nn.ReLU()


def pool():
    return nn.MaxPool2d(3, 2)


def features_2012(in_channels=3):
    parts = [nn.Conv2d(in_channels, 96, 11, 4, 2), relu(), ResponseNorm(), pool()]
    parts += [nn.Conv2d(96, 256, 5, padding=2, groups=2), relu(), ResponseNorm(), pool()]
    parts += [nn.Conv2d(256, 384, 3, padding=1), relu()]
    parts += [nn.Conv2d(384, 384, 3, padding=1, groups=2), relu()]
    return [*parts, nn.Conv2d(384, 256, 3, padding=1, groups=2), relu(), pool()]


def features_2014(in_channels=3):
    parts = [nn.Conv2d(in_channels, 64, 11, 4, 2), relu(), pool(), nn.Conv2d(64, 192, 5, padding=2), relu(), pool()]
    parts += [nn.Conv2d(192, 384, 3, padding=1), relu(), nn.Conv2d(384, 256, 3, padding=1), relu()]
    return [*parts, nn.Conv2d(256, 256, 3, padding=1), relu(), pool()]


def alexnet_2012(num_classes=1000, in_channels=3):
    hidden = [nn.Linear(9216, 4096), relu(), nn.Identity(), nn.Linear(4096, 4096), relu(), nn.Identity()]
    return Twin(features_2012(in_channels), [*hidden, nn.Linear(4096, num_classes)])


def alexnet(num_classes=1000, in_channels=3):
    hidden = [nn.Identity(), nn.Linear(9216, 4096), relu(), nn.Identity(), nn.Linear(4096, 4096), relu()]
    return Twin(features_2014(in_channels), [*hidden, nn.Linear(4096, num_classes)])
