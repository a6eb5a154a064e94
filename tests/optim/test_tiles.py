"""Large parameters are moved in tiles: to the last bit as they are in one piece."""

import numpy as np
import pytest

from minidl import Tensor, optim
from minidl.kernels.numpy import elementwise
from minidl.kernels.numpy import parallel as threads

OPTIMISERS = {
    "SGD": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=1e-2, dampening=0.5),
    "plain SGD": lambda p: optim.SGD(p, lr=0.1),
    "Nesterov": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "Adam": lambda p: optim.Adam(p, lr=0.1, weight_decay=1e-2),
    "AdamW": lambda p: optim.AdamW(p, lr=0.1),
    "RMSprop": lambda p: optim.RMSprop(p, lr=0.1, momentum=0.9, centered=True),
    "RMSprop without momentum": lambda p: optim.RMSprop(p, lr=0.1, weight_decay=1e-2),
}


def trained(new, shape):
    """A parameter after three steps, with gradients that lie in memory otherwise than it does."""
    rng = np.random.default_rng(0)

    def numbers():
        return np.asarray(rng.normal(size=shape), np.float32)

    p = Tensor(numbers()).requires_grad_()
    optimizer = new([p])
    for _ in range(3):
        p.grad = Tensor(np.asarray(numbers(), order="F"))
        optimizer.step()
    return p.data, optimizer.state_dict()["state"].get(0, {})


@pytest.mark.parametrize("name", sorted(OPTIMISERS))
@pytest.mark.parametrize("shape", [(), (40,), (7, 5, 2)])
def test_a_step_in_tiles_makes_the_same_bits(monkeypatch, name, shape):
    whole, state = trained(OPTIMISERS[name], shape)
    monkeypatch.setattr(elementwise, "PIECE", 16)
    monkeypatch.setattr(threads, "LONGEST", 2)
    pieces = []
    monkeypatch.setattr(elementwise, "parallel", lambda step, parts: pieces.extend(map(step, parts)))
    tiled, tiled_state = trained(OPTIMISERS[name], shape)
    assert bool(pieces) == (np.prod(shape) > 16)
    np.testing.assert_array_equal(tiled, whole)
    assert state.keys() == tiled_state.keys()
    for key, value in state.items():
        np.testing.assert_array_equal(tiled_state[key], value)
