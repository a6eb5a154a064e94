"""ResNet with stochastic depth in PyTorch, as it is in evaluation: the oracle for ours."""

import pytest

from tests.models.resnet_twin import Twin, Unit, basic

torch = pytest.importorskip("torch")


class Weighted(Unit):
    """A unit whose branch counts p times; which p, only the whole network knows."""

    def forward(self, x):
        return (self.shortcut(x) + self.p * self.branch(x)).relu()


def stochastic_depth_resnet_cifar(depth=110, p_L=0.5, shortcut="A", num_classes=10, in_channels=3):
    n = (depth - 2) // 6
    twin = Twin(basic, [n] * 3, num_classes, in_channels, 16, large=False, option=shortcut, unit=Weighted)
    for stage in range(3):
        for j in range(n):
            getattr(twin, twin.stages[stage])[j].p = 1 - (stage * n + j + 1) / (3 * n) * (1 - p_L)
    return twin
