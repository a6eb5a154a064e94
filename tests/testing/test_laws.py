"""Each law is noticed to be broken, by a function that breaks it; a right one breaks none; errors say what is wrong."""

import re

import numpy as np
import pytest

from minidl import Tensor, grad, nn, ops
from minidl.kernels import numpy as kernels
from minidl.testing.laws import LAWS, LawError
from minidl.testing.sample import Sample, layer_sample
from tests.mutations import cupy_stand_in


@ops.primitive
def triple(x, /):
    return 3 * x.data, lambda g: 3 * g


@ops.primitive
def product(x, y, /):
    return x.data * y.data, lambda g: g * y, lambda g: g * x


RIGHT = [
    Sample("triple", triple, [(2, 3)], lambda x: 3 * x, linear=True),
    Sample("product", product, [(2, 3), (3,)], np.multiply, broadcasts=True, order=3),
    Sample("picked", lambda x, i: x[i], [(4, 2), np.array([1, 1, 3])], lambda x, i: x[i], linear=True),
    Sample("maybe_added", lambda x, y: x * 1 if y is None else x + y, [(2,), None], lambda x, y: x, linear=True),
    layer_sample(lambda: nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1)), [(4, 3)]),
]


@pytest.mark.parametrize("sample", RIGHT, ids=str)
@pytest.mark.parametrize("law", LAWS, ids=str)
def test_right_functions_break_no_law(law, sample):
    law(sample)


# ------------------------------------------------------------------------------------------------------ wrong functions
@ops.primitive
def off_by_a_little(x, /):
    return x.data**2, lambda g: 2.002 * g * x


@ops.primitive
def curved_unawares(x, /):
    slope = Tensor(3 * x.data**2)
    return x.data**3, lambda g: g * slope


@ops.primitive
def rolled_back(x, /):
    return np.roll(x.data, 1), lambda g: Tensor(np.roll(g.data, 1))


@ops.primitive
def stretched(x, y, /):
    return x.data + y.data, lambda g: g if x.shape == g.shape else g * 2, lambda g: g


@ops.primitive
def widened(x, /):
    return x.data * np.float64(2), lambda g: 2 * g


@ops.primitive
def read_as_it_lies(x, /):
    return x.data.ravel(order="K"), lambda g: ops.reshape(g, x.shape)


@ops.primitive
def written_to(x, /):
    def pull(g):
        g.data *= 2
        return g

    return 2 * x.data, pull


@ops.primitive
def remembered(x, /):
    return 2 * x.data, lambda g: 2 * g + 0 * x


def in_a_cycle(x):
    y = x * 2
    y.room = y
    return y


def always_learning(x):
    return x * Tensor(np.ones(x.shape, x.dtype)).requires_grad_()


def only_together(x, y):
    return x * y if x.requires_grad and y.requires_grad else x * y * 2


@ops.accelerated(by="double_wrongly")
def doubled(x, /):
    return x + x


def double_wrongly(x):
    return x * 2, lambda g, wanted: [g * 2.001]


WRONG = {
    "value": Sample("triple", triple, [(2, 3)], lambda x: 3.000001 * x),
    "tiling": Sample("stretched", stretched, [(3,), (2, 3)], broadcasts=True),
    "layout": Sample("read_as_it_lies", read_as_it_lies, [(2, 3)]),
    "dtype": Sample("widened", lambda x: widened(x) * Tensor(np.ones(3)), [(2, 3)]),
    "kernel": Sample("doubled", doubled, [(2, 3)]),
    "backends": Sample("by the library", lambda x: x * (1 if x.backend == "numpy" else 2), [(2, 3)]),
    "gradient": Sample("off_by_a_little", off_by_a_little, [(2, 3)]),
    "gradient_of_gradient": Sample("curved_unawares", curved_unawares, [(2, 3)]),
    "adjoint": Sample("rolled_back", rolled_back, [(2, 3)], linear=True),
    "alone": Sample("only_together", only_together, [(2, 3), (2, 3)]),
    "unmodified": Sample("written_to", written_to, [(2, 3)]),
    "unrecorded": Sample("always_learning", always_learning, [(2, 3)]),
    "freed": Sample("in_a_cycle", in_a_cycle, [(2, 3)]),
    "forgetful": Sample("remembered", remembered, [(2, 3)], linear=True),
}


@pytest.fixture
def wrong_kernel(monkeypatch):
    monkeypatch.setattr(kernels, "double_wrongly", double_wrongly, raising=False)


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_a_wrong_function_breaks_the_law(law, wrong_kernel):
    sample = WRONG[law.name]
    with cupy_stand_in():
        backend = "cupy" if law.name == "backends" else "numpy"
        assert law.applies(sample, backend)
        with pytest.raises(LawError, match=rf"^{law.name}: {re.escape(str(sample))}, on {backend}, breaks the law: "):
            law(sample, backend)


def test_there_is_a_wrong_function_for_every_law():
    assert set(WRONG) == {law.name for law in LAWS}


def test_errors_say_which_law_and_sample_and_what_was_got_and_wanted():
    sample = Sample("doubled", lambda x: x * 2, [(2,)], lambda x: np.float32([1, 2, 3]))
    (law,) = (law for law in LAWS if law.name == "value")
    with pytest.raises(LawError) as caught:
        law(sample)
    assert str(caught.value) == (
        "value: doubled (2,), on numpy, breaks the law: "
        "The results are the oracle's: in number, shape, type and to rounding.\n"
        "the shape of result 0: got (2,), wanted (3,)"
    )


def test_what_goes_wrong_within_a_function_breaks_the_law_too():
    sample = Sample("broken", lambda x: x.reshape(7), [(2, 3)], np.ravel)
    with pytest.raises(LawError, match="ValueError: reshape of"):
        LAWS[0](sample)


def test_a_law_leaves_alone_what_it_does_not_apply_to():
    steps = Sample("argmax", ops.argmax, [(2, 3)], np.argmax, order=0)
    silent = {law.name for law in LAWS if not law.applies(steps)}
    assert silent >= {"gradient", "gradient_of_gradient", "adjoint", "alone", "tiling", "kernel", "backends"}
    for law in LAWS:
        law(steps)


# ---------------------------------------------------------------------------------------------------------- the samples
def test_numbers_of_a_sample_differ_and_lie_between_its_bounds():
    sample = Sample("any", triple, [(3, 4), (5,), np.array([1, 2]), None], low=1, high=4)
    for seed in range(3):
        x, y, classes = sample.arrays(np.float32, seed)
        numbers = np.sort([*x.ravel(), *y])
        assert 1 < numbers[0] < numbers[-1] < 4
        np.testing.assert_allclose(np.diff(numbers), 3 / 17, rtol=1e-5)
        assert x.dtype == y.dtype == np.float32
        assert classes.dtype == int
    assert not np.array_equal(sample.arrays(seed=1)[0], sample.arrays(seed=2)[0])
    np.testing.assert_array_equal(sample.arrays()[0], sample.arrays()[0])


def test_a_sample_says_what_it_is():
    sample = Sample("f", triple, [(3, 4), np.array([1, 2]), None], None, (7,), {"axis": 1})
    assert str(sample) == "f (3, 4),int64(2,),None 7 axis=1"


def test_the_parameters_of_a_layer_are_inputs_of_its_sample():
    sample = layer_sample(lambda: nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)), [(4, 3)], name="net")
    assert sample.name == "net"
    assert list(sample.inputs) == [(4, 3), (2, 3), (2,), (2,), (2,)]
    x, *parameters = (Tensor(array).requires_grad_() for array in sample.arrays())
    (y,) = sample.apply(x, *parameters)
    assert y.dtype == np.float64
    for g in grad(y, [x, *parameters], y.detach()):
        assert g.numpy().any()
