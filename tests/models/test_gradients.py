"""Whole networks end to end, in float64: the gradients by the image and by every parameter are the slopes."""

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.models import densenet_cifar
from minidl.nn import functional as F
from minidl.testing import GradientError, gradcheck


class SqueezeExcitation(nn.Module):
    """A residual branch, each of its channels scaled by what the averages of all say. (Hu et al., arXiv:1709.01507.)"""

    def __init__(self, channels, reduction=2):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.squeeze, self.excite = (
            nn.Linear(channels, channels // reduction),
            nn.Linear(channels // reduction, channels),
        )

    def gate(self, x):
        scale = F.sigmoid(self.excite(F.relu(self.squeeze(F.global_avg_pool2d(x).flatten(1)))))
        return x * scale.reshape(*scale.shape, 1, 1)

    def forward(self, x):
        return F.relu(x + self.gate(self.norm(self.conv(x))))


class Inception(nn.Module):
    """Four ways side by side, joined along the channels. (Szegedy et al., arXiv:1409.4842, figure 2b.)"""

    def __init__(self, channels):
        super().__init__()
        self.one = nn.Conv2d(channels, 3, 1)
        self.three = nn.Sequential(nn.Conv2d(channels, 2, 1), nn.ReLU(), nn.Conv2d(2, 4, 3, padding=1))
        self.five = nn.Sequential(nn.Conv2d(channels, 2, 1), nn.ReLU(), nn.Conv2d(2, 2, 5, padding=2))
        self.pool = nn.Sequential(nn.MaxPool2d(3, 1, 1), nn.Conv2d(channels, 2, 1))

    def forward(self, x):
        return F.relu(minidl.concatenate([way(x) for way in (self.one, self.three, self.five, self.pool)], 1))


NETWORKS = {
    "DenseNet": lambda: densenet_cifar(depth=10, growth_rate=4, num_classes=4),
    "SE block": lambda: SqueezeExcitation(3),
    "inception block": lambda: Inception(3),
}


def parts(name, backend):
    """The network in float64, an image, and the parameters."""
    minidl.manual_seed(1)
    model = NETWORKS[name]().to(np.float64).to(backend)
    return model, minidl.randn(2, 3, 8, 8, dtype="float64", backend=backend), list(model.parameters())


@pytest.mark.parametrize("mode", ["training", "evaluation"])
@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_by_the_image_and_by_every_parameter_are_right(backend, name, mode):
    model, x, params = parts(name, backend)
    report = gradcheck(model.train(mode == "training"), [x], params=params, mode="project")
    assert len(report.rows) == 1 + len(params) == len({row.input for row in report.rows})
    assert not any(row.kinks for row in report.rows)


def test_so_are_those_of_the_loss_of_a_densenet_and_of_second_order_for_a_gate(backend):
    model, x, params = parts("DenseNet", backend)
    labels = minidl.tensor([1, 3], backend=backend)
    assert gradcheck(lambda x: F.cross_entropy(model(x), labels), [x], params=params, mode="project").ok
    model, x, params = parts("SE block", backend)
    assert gradcheck(model, [x], params=params, mode="project", order=2).ok


@pytest.mark.parametrize("name", ["SE block", "inception block"])
def test_a_parameter_cut_off_is_found(name):
    model, x, params = parts(name, "numpy")
    which = len(params) - 1
    cut = params[which]

    def without(x):
        node, cut.node = cut.node, None
        try:
            return model(x)
        finally:
            cut.node = node

    with pytest.raises(GradientError, match=rf"(?s)the gradient of without by param {which}, .*zero everywhere"):
        gradcheck(without, [x], params=params, mode="project")
