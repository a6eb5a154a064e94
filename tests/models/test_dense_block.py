"""Concatenation that copies nothing: what dense blocks share in memory, and that nobody can tell from the numbers."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import minidl
from minidl import concatenate, nn, reserve
from minidl.backend import array_module, to_backend
from minidl.models.densenet import DenseBlock
from minidl.nn import functional as F
from minidl.testing import gradcheck

seeds = st.integers(0, 2**32 - 1)


def overlap(x, y):
    return bool(array_module(x.data).shares_memory(x.data, y.data))


def features(backend, *shape, seed=0):
    drawn = np.random.default_rng(seed).standard_normal(shape)
    return minidl.Tensor(to_backend(drawn, backend)).requires_grad_()


def seen_by_layers(block, x):
    """The inputs of the block's layers and its result, and copies of what they were when they were made."""
    seen = []
    hooks = [
        layer.register_forward_pre_hook(lambda _, args: seen.append((args[0], args[0].numpy().copy())))
        for layer in block
    ]
    y = block(x)
    for hook in hooks:
        hook.remove()
    return [*seen, (y, y.numpy().copy())]


@pytest.mark.parametrize("training", [True, False])
def test_all_features_of_a_block_lie_in_one_buffer_and_stay_as_they_were(backend, training):
    block = DenseBlock(5, 6, 4, bottleneck=True, drop_rate=0).to("float64").to(backend).train(training)
    seen = seen_by_layers(block, features(backend, 2, 6, 5, 5))
    y, _ = seen[-1]
    assert y.shape == (2, 6 + 5 * 4, 5, 5)
    assert y.data.swapaxes(0, 1).flags.c_contiguous
    for k, (x, before) in enumerate(seen):
        assert x.shape[1] == 6 + 4 * k
        assert overlap(x, y)
        assert x.data.strides == y.data.strides
        np.testing.assert_array_equal(x.numpy(), before)
        np.testing.assert_array_equal(x.numpy(), y.numpy()[:, : x.shape[1]])


def test_the_input_of_a_block_is_not_its_buffer(backend):
    x = features(backend, 2, 3, 4, 4)
    before = x.numpy().copy()
    y = DenseBlock(2, 3, 4, bottleneck=False, drop_rate=0).to("float64").to(backend)(x)
    assert not overlap(x, y)
    np.testing.assert_array_equal(x.numpy(), before)


def test_the_second_of_two_branches_on_one_prefix_copies(backend):
    x = reserve(features(backend, 2, 2, 3, 3), 8)
    left, right = (features(backend, 2, 3, 3, 3, seed=seed) for seed in (1, 2))
    a = concatenate([x, left], axis=1)
    b = concatenate([x, right], axis=1)
    longer = concatenate([a, right], axis=1)
    for result, parts in ((a, (x, left)), (b, (x, right)), (longer, (x, left, right))):
        np.testing.assert_array_equal(result.numpy(), np.concatenate([part.numpy() for part in parts], 1))
    assert overlap(a, x)
    assert overlap(longer, x)
    assert not overlap(b, x)


def test_what_does_not_fit_the_room_is_copied(backend):
    x = reserve(features(backend, 1, 2, 2, 2), 4)
    small = features(backend, 1, 2, 2, 2)
    assert overlap(concatenate([x, small], 1), x)
    x = reserve(features(backend, 1, 2, 2, 2), 4)
    assert not overlap(concatenate([x, small, small], 1), x)
    assert not overlap(concatenate([x, small], 0), x)
    assert not overlap(concatenate([small, x], 1), x)
    narrow = concatenate([x, small.to("float32")], 1)
    assert narrow.dtype == "float64"
    assert not overlap(narrow, x)
    assert overlap(concatenate([x, small], axis=-3), x)


def test_room_is_not_inherited(backend):
    x = reserve(features(backend, 1, 2, 2, 2), 9)
    small = features(backend, 1, 1, 2, 2)
    for y in (x.detach(), x[:, :1], x[:1], x.clone(), x * 1, x.reshape(1, 2, 2, 2), minidl.Tensor(x.data)):
        assert not overlap(concatenate([y, small], 1), x)
    assert overlap(concatenate([x, small], 1), x)


def test_a_result_is_right_though_a_part_of_it_lies_in_the_same_room(backend):
    x = reserve(features(backend, 2, 2, 3, 3), 20)
    a = concatenate([x, x], 1)
    b = concatenate([a, a[:, 1:3], x], 1)
    assert overlap(b, x)
    expected = np.concatenate([x.numpy(), x.numpy()], 1)
    np.testing.assert_array_equal(b.numpy(), np.concatenate([expected, expected[:, 1:3], x.numpy()], 1))


@pytest.mark.parametrize(("shape", "channels"), [((3,), 5), ((2, 3, 4), 2), ((2, 3), 0)])
def test_room_for_less_than_is_there_is_refused(shape, channels):
    with pytest.raises(ValueError, match=f"room for {channels} channels is too little for x of shape"):
        reserve(minidl.zeros(*shape), channels)


# ------------------------------------------------------------------------------------------- programs, beside PyTorch's
steps = st.tuples(
    st.sampled_from(["grow", "grow", "grow", "reserve", "join", "scale", "normalise", "slice"]), st.integers(0, 99)
)
FORK = [("reserve", 0), ("grow", 1), ("grow", 1), ("grow", 2), ("grow", 3), ("normalise", 4), ("grow", 2)]
TWICE = [("reserve", 0), ("grow", 1), ("join", 2), ("scale", 1), ("reserve", 2), ("grow", 5), ("slice", 2)]


def run(program, x, cat, room, normalise):
    """All tensors that a program makes; the number of a step chooses the tensor it starts from, the latest being 0."""
    made = [x]
    for name, number in program:
        t = made[-1 - number % len(made)]
        c = t.shape[1]
        if name == "grow" and c < 50:
            made.append(cat([t, *[t[:, k : k + 1] * (0.5 + k) for k in range(1 + number % 2)]]))
        elif name == "reserve":
            made.append(room(t, c + number % 9))
        elif name == "join" and c < 25:
            other = made[number % len(made)]
            made.append(cat([t, other]) if other.shape[1] < 25 else t + t)
        elif name == "scale":
            made.append(t * t)
        elif name == "normalise":
            made.append(normalise(t))
        elif name == "slice":
            made.append(t[:, c // 2 :])
    return made


@given(st.lists(steps, min_size=1, max_size=12), st.booleans(), seeds)
@example(FORK, True, 0)
@example(FORK, False, 0)
@example(TWICE, True, 0)
def test_programs_on_reserved_features_have_pytorchs_values_and_gradients(backend, program, watched, seed):
    torch = pytest.importorskip("torch")
    x = features(backend, 2, 2, 3, 2, seed=seed)
    their_x = torch.from_numpy(x.numpy().copy()).requires_grad_()
    snapshots = []

    def snap(t):
        snapshots.append((t, t.numpy().copy()))
        if watched:
            t.retain_grad()
        return t

    made = run(
        program,
        x,
        lambda parts: snap(concatenate(parts, 1)),
        lambda t, channels: snap(reserve(t, channels)),
        lambda t: snap(F.batch_norm(t, None, None, training=True)),
    )
    theirs = run(
        program,
        their_x,
        lambda parts: torch.cat(parts, 1),
        lambda t, channels: t.clone(),
        lambda t: torch.nn.functional.batch_norm(t, None, None, training=True),
    )
    draw = np.random.default_rng(seed).standard_normal
    upstream = [draw(t.shape) for t in theirs]
    for t in theirs:
        t.retain_grad()
    sum((t * minidl.Tensor(to_backend(g, backend))).sum() for t, g in zip(made, upstream, strict=True)).backward()
    sum((t * torch.from_numpy(g)).sum() for t, g in zip(theirs, upstream, strict=True)).backward()
    for t, before in snapshots:
        np.testing.assert_array_equal(t.numpy(), before)
    for ours, their in zip(made, theirs, strict=True):
        np.testing.assert_allclose(ours.numpy(), their.detach().numpy(), rtol=1e-9, atol=1e-9)
        if ours.grad is not None:
            wanted = their.grad.numpy()
            np.testing.assert_allclose(ours.grad.numpy(), wanted, rtol=0, atol=1e-9 * max(1, np.abs(wanted).max()))
    assert x.grad is not None


def test_a_block_is_the_same_function_with_and_without_room(backend, monkeypatch):
    block = DenseBlock(4, 3, 5, bottleneck=True, drop_rate=0).to("float64").to(backend)
    x = features(backend, 2, 3, 6, 5)

    def outcome():
        x.grad = None
        block.zero_grad()
        y = block(x)
        (y * y).sum().backward()
        return [y.numpy().copy(), x.grad.numpy().copy(), *(p.grad.numpy().copy() for p in block.parameters())]

    with_room = outcome()
    monkeypatch.setattr("minidl.models.densenet.reserve", lambda x, channels: x)
    for got, wanted in zip(with_room, outcome(), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-12)


def test_a_block_can_be_differentiated_twice(backend):
    minidl.manual_seed(0)
    block = DenseBlock(2, 2, 2, bottleneck=False, drop_rate=0).to("float64").to(backend)
    for module in list(block.modules()):
        if hasattr(module, "relu1"):
            module.relu1 = nn.Tanh()  # without corners for the differences to step over
    gradcheck(block, [features(backend, 3, 2, 2, 1)], order=2)
