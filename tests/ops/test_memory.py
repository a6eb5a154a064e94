"""Room to grow: concatenation onto a reserved tensor copies nothing, and nobody sees a difference otherwise."""

import threading
import tracemalloc

import numpy as np
import pytest

from minidl import backward, kernels, ops, tensor
from minidl.backend import to_backend


def channels(*numbers, backend="numpy", dtype=np.float32, **settings):
    """A feature map of two images of 1×3, each channel filled with its number."""
    array = np.broadcast_to(np.array(numbers, dtype)[:, None, None], (2, len(numbers), 1, 3))
    return tensor(array, backend=backend, **settings)


def seen(x):
    """The numbers the channels are filled with."""
    array = x.numpy()
    assert (array == array[:1, :, :1, :1]).all()
    return array[0, :, 0, 0].tolist()


def test_what_is_appended_is_written_behind_and_the_shorter_one_stays_as_it_was(backend):
    x = ops.reserve(channels(1, 2, backend=backend), 6)
    y = ops.concatenate([x, channels(3, backend=backend)], 1)
    z = ops.concatenate([y, channels(4, backend=backend), channels(5, 6, backend=backend)], 1)
    assert x.memory is y.memory is z.memory
    assert [seen(x), seen(y), seen(z)] == [[1, 2], [1, 2, 3], [1, 2, 3, 4, 5, 6]]
    assert z.data.transpose(1, 0, 2, 3).flags.c_contiguous


@pytest.mark.parametrize("case", ["branch", "full", "axis", "dtype", "second", "detached"])
def test_where_the_room_cannot_be_used_the_result_is_a_copy(backend, case):
    x = ops.reserve(channels(1, 2, backend=backend), 3)
    new = channels(7, backend=backend)
    if case == "branch":
        taken = ops.concatenate([x, channels(3, backend=backend)], 1)
        result, wanted = ops.concatenate([x, new], 1), [1, 2, 7]
        assert seen(taken) == [1, 2, 3]
    elif case == "full":
        result, wanted = ops.concatenate([x, new, new], 1), [1, 2, 7, 7]
    elif case == "axis":
        result = ops.concatenate([x, x], 0)
        wanted = [1, 2]
    elif case == "dtype":
        result, wanted = ops.concatenate([x, new.to(np.float64)], 1), [1, 2, 7]
        assert result.dtype == np.float64
    elif case == "second":
        result, wanted = ops.concatenate([new, x], 1), [7, 1, 2]
    else:
        result, wanted = ops.concatenate([x.detach(), new], 1), [1, 2, 7]
    assert seen(result) == wanted
    assert result.memory is not x.memory
    assert seen(x) == [1, 2]


def test_gradients_go_through_the_room_to_every_part(backend):
    parts = [channels(*numbers, backend=backend, requires_grad=True) for numbers in ([1, 2], [3], [4, 5])]
    x = ops.reserve(parts[0], 5)
    y = ops.concatenate([x, parts[1]], 1)
    z = ops.concatenate([y, parts[2]], 1)
    backward([x.sum(), (y * 10).sum(), (z * z).sum()])
    assert [seen(part.grad) for part in parts] == [[13, 15], [16], [8, 10]]


def test_a_dense_block_takes_memory_linear_in_its_depth():
    depth, growth, pixels = 60, 2, 4000

    def peak(start):
        tracemalloc.start()
        block = start(tensor(np.zeros((1, growth, 1, pixels), np.float32), requires_grad=True))
        for _ in range(depth - 1):
            block = ops.concatenate([block, ops.amax(block, 1, keepdims=True).broadcast_to((1, growth, 1, pixels))], 1)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak / (depth * growth * pixels * 4)

    assert peak(lambda x: ops.reserve(x, depth * growth)) < 2.5
    assert peak(lambda x: x * 1) > depth / 4


def test_room_is_given_to_one_only_of_many_threads():
    x = ops.reserve(channels(0), 40)
    results = []

    def append(number):
        results.append((number, ops.concatenate([x, channels(*[number] * 20)], 1)))

    threads = [threading.Thread(target=append, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(seen(result) == [0] + [number] * 20 for number, result in results)
    assert sum(result.memory is x.memory for _, result in results) == 1


def test_room_must_be_for_at_least_what_there_is():
    with pytest.raises(ValueError, match=r"room for 1 channels is too little for x of shape \(2, 2, 1, 3\)"):
        ops.reserve(channels(1, 2), 1)
    with pytest.raises(ValueError, match="too little"):
        ops.reserve(tensor([1.0]), 5)


def test_each_channel_in_a_room_is_measured_once(backend, monkeypatch):
    table, measured = kernels.table(channels(1, backend=backend).data), []

    def spy(x, channel_moments=table.channel_moments):
        measured.append(x.shape[1])
        return channel_moments(x)

    monkeypatch.setattr(table, "channel_moments", spy)
    rng = np.random.default_rng(0)
    parts = [tensor(rng.standard_normal((3, n, 4, 5)), backend=backend) for n in (2, 1, 3)]
    x = ops.reserve(parts[0], 6)
    longer = [x]
    for part in parts[1:]:
        longer.append(ops.concatenate([longer[-1], part], 1))
    for y in (longer[1], longer[0], longer[2], longer[2], longer[1]):
        array = y.numpy()
        moments = y.room.moments(y.shape[1])
        for found, wanted in zip(moments, (array.mean((0, 2, 3)), array.var((0, 2, 3))), strict=True):
            assert found.dtype == y.dtype
            np.testing.assert_allclose(to_backend(found, "numpy"), wanted, rtol=1e-12, atol=1e-14)
    assert measured == [3, 3]


def test_threads_that_normalise_the_same_room_measure_it_once():
    x = ops.reserve(tensor(np.random.default_rng(0).standard_normal((2, 9, 30, 30))), 9)
    found = []
    threads = [threading.Thread(target=lambda n=n: found.append((n, *x.room.moments(n)))) for n in [9, 5, 1, 7, 9, 3]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    for n, mean, variance in found:
        np.testing.assert_allclose(mean, x.data[:, :n].mean((0, 2, 3)), rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(variance, x.data[:, :n].var((0, 2, 3)), rtol=1e-12)
