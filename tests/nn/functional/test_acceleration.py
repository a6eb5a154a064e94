"""Every kernel stands in for a composition: the same values and gradients, whatever the shapes and memory layouts."""

import inspect
import itertools

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

import minidl
from minidl import kernels
from minidl.backend import array_module, to_backend
from minidl.nn import functional as F
from minidl.nn.functional.normalization import norm_relu, norm_relu_conv2d
from tests.kernels.same import positions, tiles_of
from tests.kernels.windows import LAYOUTS, layouts

dtypes = st.sampled_from(["float32", "float64"])
seeds = st.integers(0, 2**32 - 1)
small = st.integers(1, 3)
TOLERANCE = {"float32": 2e-5, "float64": 1e-11}


def outcome(function, arrays, backend, layout, seed, wanted):
    """The value, and the gradients by those arrays that are wanted, from a random gradient in the same layout."""

    def tensor(array):
        array = to_backend(array, backend)
        return minidl.Tensor(LAYOUTS[layout](array) if array.ndim > 2 else array)

    xs = [None if array is None else tensor(array) for array in arrays]
    leaves = [x.requires_grad_() for x, wants in zip(xs, wanted, strict=True) if wants and x is not None]
    before = [None if x is None else x.numpy().copy() for x in xs]
    y = function(*xs)
    g = np.random.default_rng(seed).standard_normal(y.shape).astype(y.dtype)
    g = tensor(g)
    gradients = minidl.grad(y, leaves, g) if leaves else ()
    for x, copy in zip(xs, before, strict=True):
        assert x is None or np.array_equal(x.numpy(), copy), "an argument was written to"
    for gradient, other in itertools.product(gradients, [x for x in (*xs, y, g, *gradients) if x is not None]):
        assert gradient is other or not _overlap(gradient, other), "a gradient shares memory"
    return [y, *gradients]


def _overlap(x, y):
    return array_module(x.data).may_share_memory(x.data, y.data)


def kernel_equals_composition(function, arrays, backend, dtype, layout, seed, wanted=(True, True, True)):
    arrays = [None if array is None else array.astype(dtype) for array in arrays]
    wanted = wanted[: len(arrays)]
    got = outcome(function, arrays, backend, layout, seed, wanted)
    with minidl.definitions():
        expected = outcome(function, arrays, backend, layout, seed, wanted)
    for a, b in zip(got, expected, strict=True):
        assert a.dtype == b.dtype == dtype
        assert a.shape == b.shape
        scale = max(1.0, float(np.abs(b.numpy()).max(initial=0)))
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=0, atol=TOLERANCE[dtype] * scale)


def evenly_spaced(seed, *shape):
    """Numbers in random order, without ties, so that every variance is well away from 0."""
    count = int(np.prod(shape))
    return (np.random.default_rng(seed).permutation(count) + 0.5 - count / 2).reshape(shape) * (6 / max(count, 1))


choices = st.tuples(st.booleans(), st.booleans(), st.booleans())
settings = st.tuples(small, small), st.tuples(small, small), st.tuples(st.integers(0, 2), st.integers(0, 2))


@given(small, small, small, small, *settings, st.tuples(small, small), choices, layouts, dtypes, seeds)
@example(2, 1, 5, 3, (1, 1), (1, 1), (0, 0), (1, 1), (True, True, True), "channel-major", "float32", 0)
@example(2, 1, 7, 2, (3, 3), (1, 1), (1, 1), (1, 1), (True, True, True), "every other", "float64", 0)
@example(2, 1, 7, 2, (3, 3), (1, 1), (1, 1), (1, 1), (True, False, False), "contiguous", "float64", 0)
@example(2, 1, 7, 2, (3, 3), (1, 1), (1, 1), (1, 1), (False, True, False), "contiguous", "float64", 0)
@example(2, 1, 7, 2, (3, 3), (1, 1), (1, 1), (1, 1), (False, False, True), "broadcast", "float64", 0)
@example(2, 1, 3, 4, (3, 3), (2, 2), (1, 1), (1, 1), (True, True, True), "channel-major", "float64", 0)
@example(2, 1, 3, 4, (1, 1), (2, 2), (0, 0), (1, 1), (True, True, True), "contiguous", "float64", 0)
@example(2, 1, 3, 4, (3, 2), (3, 2), (1, 0), (1, 1), (True, False, False), "every other", "float32", 0)
@example(2, 1, 3, 4, (3, 3), (2, 3), (1, 2), (1, 1), (False, True, False), "backwards", "float64", 0)
@example(1, 3, 2, 3, (3, 2), (1, 1), (0, 0), (2, 3), (True, True, True), "backwards", "float64", 0)
@example(2, 1, 2, 7, (2, 3), (1, 1), (2, 2), (1, 1), (True, True, True), "columns first", "float64", 0)
def test_conv2d(backend, n, groups, c, o, kernel, stride, padding, dilation, wanted, layout, dtype, seed):
    draw = np.random.default_rng(seed).standard_normal
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    size = [max(1, span - 2 * p) + 2 for span, p in zip(spans, padding, strict=True)]
    arrays = draw((n, groups * c, *size)), draw((groups * o, c, *kernel)), draw(groups * o)
    kernel_equals_composition(
        lambda *xs: F.conv2d(*xs, stride, padding, dilation, groups), arrays, backend, dtype, layout, seed, wanted
    )


@given(small, small, st.lists(small, max_size=3), choices, layouts, dtypes, seeds)
@example(3, 4, [2, 5], (True, True, True), "channel-major", "float32", 0)
@example(3, 4, [2, 5], (False, True, False), "contiguous", "float64", 0)
@example(3, 4, [2, 5], (True, False, False), "every other", "float64", 0)
@example(4, 2, [], (True, True, True), "contiguous", "float64", 0)
def test_batch_norm(backend, n, c, image, wanted, layout, dtype, seed):
    assume(n * np.prod(image) > 2)
    layout = "contiguous" if layout == "broadcast" else layout
    draw = np.random.default_rng(seed).standard_normal
    arrays = evenly_spaced(seed, n, c, *image), draw(c), draw(c)

    def train(*xs):
        return F.batch_norm(xs[0], None, None, *xs[1:], training=True)

    kernel_equals_composition(train, arrays, backend, dtype, layout, seed, wanted)
    kernel_equals_composition(train, [arrays[0], None, arrays[2]], backend, dtype, layout, seed, wanted)
    kernel_equals_composition(train, [arrays[0], arrays[1], None], backend, dtype, layout, seed, wanted)


def lopsided(seed, *shape):
    """The same, bent so that no number is the mean of all: there a ReLU behind batch norm would have its kink."""
    x = evenly_spaced(seed, *shape)
    return x + x * x / 20


def statistics(training, c, dtype, backend):
    """Running statistics, as batch_norm takes them: in training it goes without."""
    if training:
        return None, None
    draw = np.random.default_rng(c).uniform
    return tuple(minidl.Tensor(to_backend(draw(low, 1, c).astype(dtype), backend)) for low in (-1, 0.5))


@given(st.lists(st.integers(0, 3), max_size=3), st.integers(1, 5), small, choices, layouts, dtypes, seeds)
@example([3], 4, 2, (True, True, True), "contiguous", "float32", 0)
@example([], 4, 2, (True, True, True), "contiguous", "float64", 0)
@example([2, 3, 2], 4, 2, (False, True, False), "every other", "float64", 0)
def test_linear(backend, before, c, o, wanted, layout, dtype, seed):
    draw = np.random.default_rng(seed).standard_normal
    arrays = [draw((*before, c)), draw((o, c)), draw(o)]
    kernel_equals_composition(F.linear, arrays, backend, dtype, layout, seed, wanted)
    kernel_equals_composition(F.linear, [*arrays[:2], None], backend, dtype, layout, seed, wanted)


@given(small, st.integers(1, 5), st.lists(small, max_size=2), st.booleans(), choices, layouts, seeds)
@example(3, 4, [2, 5], True, (True, True, True), "channel-major", 0)
@example(3, 4, [2, 5], True, (False, True, False), "contiguous", 0)
@example(3, 4, [], False, (True, False, True), "every other", 0)
def test_norm_relu(backend, n, c, image, training, wanted, layout, seed):
    assume(n * np.prod(image) > 2)
    layout = "contiguous" if layout == "broadcast" else layout
    draw = np.random.default_rng(seed).standard_normal
    arrays = lopsided(seed, n, c, *image), draw(c), draw(c)
    running = statistics(training, c, "float64", backend)
    for given_ones in itertools.product(*[(array, None) for array in arrays[1:]]):
        kernel_equals_composition(
            lambda x, *rest: norm_relu(x, *running, *rest, training, 0.1, 1e-5),
            [arrays[0], *given_ones],
            backend,
            "float64",  # in which no rounding moves a number across the kink
            layout,
            seed,
            wanted,
        )


@given(
    small,
    small,
    small,
    st.sampled_from([(1, 1), (3, 3), (2, 3), (5, 1)]),
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
    st.integers(1, 2),
    st.integers(1, 2),
    st.sampled_from([True, True, True, False]),
    st.sampled_from(["positive", "negative", "mixed", "with a zero", "none"]),
    st.tuples(*[st.booleans()] * 5),
    layouts,
    positions,
    seeds,
)
@example(2, 5, 3, (3, 3), (40, 30), 1, 1, True, "mixed", (True,) * 5, "channel-major", 256, 0)
@example(2, 3, 5, (3, 3), (40, 30), 1, 1, True, "positive", (True,) * 5, "channel-major", 256, 0)
@example(2, 3, 5, (1, 1), (40, 30), 1, 1, False, "mixed", (True,) * 5, "contiguous", 256, 0)
@example(9, 3, 5, (3, 3), (9, 9), 1, 2, True, "negative", (True,) * 5, "every other", 256, 0)
@example(9, 3, 2, (3, 3), (9, 9), 1, 1, True, "with a zero", (True,) * 5, "channel-major", 256, 0)
@example(9, 3, 2, (3, 3), (9, 9), 2, 1, True, "none", (True,) * 5, "channel-major", 256, 0)
@example(9, 3, 2, (3, 3), (9, 9), 1, 1, True, "positive", (True, False, False, False, False), "backwards", 256, 0)
@example(9, 3, 2, (3, 3), (9, 9), 1, 1, True, "positive", (False, False, False, True, True), "backwards", 256, 0)
@example(3, 5, 3, (3, 3), (5, 4), 1, 1, True, "mixed", (True,) * 5, "channel-major", 8, 0)
@example(3, 3, 5, (2, 3), (5, 4), 1, 1, True, "mixed", (True,) * 5, "channel-major", 40, 0)
@example(3, 3, 5, (1, 1), (5, 4), 1, 1, True, "positive", (True,) * 5, "channel-major", 8, 0)
def test_norm_relu_conv2d(
    backend, n, c, o, kernel, size, stride, dilation, training, gammas, wanted, layout, pixels, seed
):
    size = [max(s, d * (k - 1) + 1) for s, k, d in zip(size, kernel, (dilation, dilation), strict=True)]
    assume(n * np.prod(size) > 2)
    layout = "contiguous" if layout == "broadcast" else layout
    draw = np.random.default_rng(seed).standard_normal
    gamma = 0.5 + np.abs(draw(c))
    gamma *= {"negative": -1, "mixed": np.sign(draw(c))}.get(gammas, 1)
    gamma *= np.arange(c) > 0 if gammas == "with a zero" else 1
    arrays = [
        lopsided(seed, n, c, *size),
        None if gammas == "none" else gamma,
        None if gammas == "none" else draw(c),
        draw((o, c, *kernel)),
        draw(o),
    ]
    running = statistics(training, c, "float64", backend)
    padding = "same" if stride == 1 else 0
    with pytest.MonkeyPatch.context() as patch:
        tiles_of(patch, pixels)
        kernel_equals_composition(
            lambda x, gamma, beta, *rest: norm_relu_conv2d(
                x, (*running, gamma, beta, training, 0.1, 1e-5), (*rest, stride, padding, dilation, 1)
            ),
            arrays,
            backend,
            "float64",  # in which no rounding moves a number across the kink
            layout,
            seed,
            wanted,
        )


@given(st.integers(1, 3), st.booleans(), layouts, positions, seeds)
@example(3, True, "channel-major", 256, 0)
@example(3, True, "channel-major", 8, 0)
@example(3, True, "contiguous", 8, 0)
def test_norm_relu_conv2d_adds_to_the_gradient_that_its_input_has(backend, others, joined, layout, pixels, seed):
    layout = "contiguous" if layout == "broadcast" else layout
    draw = np.random.default_rng(seed).standard_normal
    arrays = [lopsided(seed, 2, 3, 4, 5), 1 + draw(3), draw(3), draw((2, 3, 3, 3))]

    def function(x, gamma, beta, weight):
        z = x * 1.5  # whose gradient arrives from several sides
        norm, conv = (None, None, gamma, beta, True, 0.1, 1e-5), (weight, None, 1, 1, 1, 1)
        parts = [norm_relu_conv2d(z, norm, conv) for _ in range(others)]
        if joined:
            z = minidl.concatenate([z, parts[0]], axis=1)
            scale = minidl.concatenate([gamma, gamma[:2]], axis=0)
            norm = (None, None, scale, scale, True, 0.1, 1e-5)
            wide = minidl.concatenate([weight, weight[:, :2]], axis=1)
            parts.append(norm_relu_conv2d(z, norm, (wide, None, 1, 1, 1, 1)))
        return minidl.concatenate([z, *parts], axis=1)

    with pytest.MonkeyPatch.context() as patch:
        tiles_of(patch, pixels)
        kernel_equals_composition(function, arrays, backend, "float64", layout, seed, (True,) * 4)


@pytest.mark.parametrize("gamma", [1.0, 1e-2, 1e-4, -1e-6, 1e-8])
def test_a_chain_is_exact_in_float32_also_where_its_scale_is_small_beside_its_shift(backend, gamma):
    draw = np.random.default_rng(0).standard_normal
    x, weight, g = draw((8, 6, 7, 5)), draw((4, 6, 3, 3)), draw((8, 4, 7, 5))

    def gradients(dtype):
        arrays = x, np.full(6, gamma), np.full(6, 0.5), weight
        xs = [minidl.Tensor(to_backend(a.astype(dtype), backend)).requires_grad_() for a in arrays]
        norm, conv = (None, None, *xs[1:3], True, 0.1, 1e-5), (xs[3], None, 1, 1, 1, 1)
        seed = minidl.Tensor(to_backend(g.astype(dtype), backend))
        return [part.numpy() for part in minidl.grad(norm_relu_conv2d(xs[0], norm, conv), xs, seed)]

    for got, wanted in zip(gradients("float32"), gradients("float64"), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


def test_moments_of_long_rows_keep_their_digits(backend):
    x = np.random.default_rng(0).standard_normal((2, 1, 1100, 1300)).astype("float32") + 3
    array = to_backend(x, backend)
    mean, variance = kernels.table(array).channel_moments(array)
    exact = x.astype("float64")
    assert abs(float(mean[0]) / exact.mean() - 1) < 5e-7
    assert abs(float(variance[0]) / exact.var() - 1) < 1e-6


@pytest.mark.parametrize("kernel", [(3, 3), (2, 3)])
@pytest.mark.parametrize("wanted", [(True, True, True), (True, False, False), (False, True, True)])
@pytest.mark.parametrize("n", [1, 3])
def test_conv2d_of_few_channels_to_many(backend, n, kernel, wanted):
    draw = np.random.default_rng(0).standard_normal
    arrays = draw((n, 2, 6, 5)), draw((7, 2, *kernel)), draw(7)
    kernel_equals_composition(
        lambda *xs: F.conv2d(*xs, padding="same"), arrays, backend, "float64", "channel-major", 0, wanted
    )


@given(*settings, st.tuples(small, small), st.booleans(), layouts, dtypes, seeds)
@example((3, 2), (2, 2), (1, 1), (1, 1), True, "channel-major", "float32", 0)
def test_max_pool2d(backend, kernel, stride, padding, dilation, ceil_mode, layout, dtype, seed):
    padding = tuple(min(p, k // 2) for p, k in zip(padding, kernel, strict=True))
    x = np.random.default_rng(seed).integers(0, 4, (2, 3, 8, 9))  # with ties
    kernel_equals_composition(
        lambda x: F.max_pool2d(x, kernel, stride, padding, dilation, ceil_mode), [x], backend, dtype, layout, seed
    )


@given(*settings, st.booleans(), st.booleans(), layouts, dtypes, seeds)
@example((3, 2), (2, 2), (1, 1), True, True, "channel-major", "float32", 0)
def test_avg_pool2d(backend, kernel, stride, padding, ceil_mode, count_include_pad, layout, dtype, seed):
    padding = tuple(min(p, k // 2) for p, k in zip(padding, kernel, strict=True))
    x = np.random.default_rng(seed).standard_normal((2, 3, 5, 6))
    kernel_equals_composition(
        lambda x: F.avg_pool2d(x, kernel, stride, padding, ceil_mode, count_include_pad),
        [x],
        backend,
        dtype,
        layout,
        seed,
    )


@pytest.mark.parametrize("name", ["conv2d", "batch_norm", "max_pool2d", "sum_pool2d"])
def test_the_kernel_runs_unless_definitions_are_wanted(backend, name, monkeypatch):
    calls = []
    table = kernels.table(to_backend(np.zeros(1), backend))
    kernel = getattr(table, name)
    monkeypatch.setattr(table, name, lambda *args, **settings: calls.append(name) or kernel(*args, **settings))
    x = minidl.ones(2, 3, 4, 4, backend=backend)
    functions = {
        "conv2d": lambda: F.conv2d(x, minidl.ones(2, 3, 1, 1, backend=backend)),
        "batch_norm": lambda: F.batch_norm(x, None, None, training=True),
        "max_pool2d": lambda: F.max_pool2d(x, 2),
        "sum_pool2d": lambda: F.avg_pool2d(x, 2),
    }
    with minidl.definitions():
        functions[name]()
    assert calls == []
    functions[name]()
    assert calls == [name]


@pytest.mark.parametrize("dtypes", [("float32", "float64"), ("float64", "float32")])
@pytest.mark.parametrize("op", ["conv2d", "batch_norm"])
def test_numbers_of_two_precisions_give_what_the_composition_gives(backend, op, dtypes):
    x = minidl.randn(2, 3, 4, 4, dtype=dtypes[0], backend=backend, requires_grad=True)
    weight = minidl.ones(
        *((2, 3, 1, 1) if op == "conv2d" else (3,)), dtype=dtypes[1], backend=backend, requires_grad=True
    )

    def run():
        y = F.conv2d(x, weight) if op == "conv2d" else F.batch_norm(x, None, None, weight, training=True)
        return y.dtype, *(g.dtype for g in minidl.grad(y.sum(), [x, weight]))

    with minidl.definitions():
        expected = run()
    assert run() == expected == ("float64", *dtypes)


def test_every_accelerated_op_is_tested_here():
    from minidl.nn.functional import convolution, normalization, pooling

    source = "".join(inspect.getsource(module) for module in (convolution, normalization, pooling))
    assert source.count("@accelerated(") == 7
