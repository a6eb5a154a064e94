"""A user's program without errors: types follow from one line to the next."""

from typing import assert_type

import numpy as np

import minidl
from minidl import Tensor, nn, optim
from minidl.data import DataLoader, Dataset, load_dataset
from minidl.models import DenseNet, densenet_cifar
from minidl.nn import functional as F

x = minidl.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
assert_type(x, Tensor)
assert_type(2 * x + 1 - x / 3, Tensor)
assert_type(x @ x.T, Tensor)
assert_type(x[0, :], Tensor)
assert_type(x.sum(axis=0, keepdims=True), Tensor)
assert_type(minidl.exp(x), Tensor)
assert_type(minidl.where(x > 2, x, 0), Tensor)
assert_type(minidl.concatenate([x, minidl.zeros(2, 2)], axis=1), Tensor)
assert_type(F.softmax(x, dim=1), Tensor)
assert_type(x.max(), Tensor)
assert_type(x.max(1).values, Tensor)
assert_type(x.shape, tuple[int, ...])
assert_type([len(row) for row in x], list[int])

y = (x**2).sum()
(slope,) = minidl.grad(y, x, create_graph=True)
assert_type(slope, Tensor)
slope.sum().backward()
assert_type(x.grad, Tensor | None)
assert x.grad is not None
np.testing.assert_array_equal(x.grad.numpy(), np.full((2, 2), 2.0))


class Gate(nn.Module):
    """Squeeze and excitation."""

    def __init__(self, channels: int):
        super().__init__()
        self.pool = nn.GlobalAvgPool2d()
        self.excite = nn.Conv2d(channels, channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        gate = F.sigmoid(self.excite(self.pool(x)))
        assert_type(gate, Tensor)
        return x * gate


garments, _ = load_dataset("fashion-mini")
assert_type(garments, Dataset)
loader = DataLoader(garments, batch_size=2, shuffle=True, seed=0)
network = nn.Sequential(Gate(1), densenet_cifar(depth=10, growth_rate=4, num_classes=10, in_channels=1))
assert_type(network[1], nn.Module)
optimizer = optim.SGD(network.parameters(), lr=0.1, momentum=0.9, nesterov=True)
schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=10)
for images, labels in loader:
    assert_type(images, Tensor)
    loss = F.cross_entropy(network(images), labels, label_smoothing=0.1)
    assert_type(loss, Tensor)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    schedule.step()
    break

with minidl.no_grad():
    assert_type(densenet_cifar(depth=10, growth_rate=4), DenseNet)
assert_type(network.state_dict(), dict[str, Tensor])
assert_type(minidl.summary(network, (1, 1, 28, 28)).rows[0].params, int)
