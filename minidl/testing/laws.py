"""The laws that ops, functions and layers obey, each a function of a `Sample`.

Who has written an op gives it one row, and it is held to all of them:

    SAMPLE = Sample("triple", triple, [(2, 3)], lambda x: 3 * x, linear=True)

    @pytest.mark.parametrize("law", [law for law in laws.LAWS if law.applies(SAMPLE)], ids=str)
    def test_triple(law):
        law(SAMPLE)
"""

from __future__ import annotations

import contextlib
import gc
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl.autograd import Node, grad
from minidl.backend import Array, to_backend
from minidl.creation import tensor
from minidl.mode import definitions, enable_grad, no_grad
from minidl.tensor import Tensor
from minidl.testing.gradcheck import gradcheck
from minidl.testing.sample import Host, Sample

Condition = Callable[[Sample, str], bool]


class LawError(AssertionError):
    """A sample breaks a law."""


@dataclass(frozen=True)
class Law:
    """A property of functions. Called with a sample, and "numpy" or "cupy", it raises LawError where that lacks it."""

    name: str
    statement: str
    check: Callable[[Sample, str], None]
    condition: Condition

    def applies(self, sample: Sample, backend: str = "numpy") -> bool:
        """Whether the law says anything about this sample; if not, a call does nothing."""
        return self.condition(sample, backend)

    def __call__(self, sample: Sample, backend: str = "numpy") -> None:
        if not self.applies(sample, backend):
            return
        try:
            self.check(sample, backend)
        except Exception as error:
            kind = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
            what = f"{self.name}: {sample}, on {backend}, breaks the law: {self.statement}"
            raise LawError(f"{what}\n{kind}{str(error).strip()}") from error

    def __str__(self) -> str:
        return self.name


def _law(condition: Condition = lambda sample, backend: True) -> Callable[[Callable[[Sample, str], None]], Law]:
    """Make a law of a function; the first line of its docstring states it."""

    def enact(check: Callable[[Sample, str], None]) -> Law:
        return Law(check.__name__, str(check.__doc__).partition("\n")[0], check, condition)

    return enact


# --------------------------------------------------------------------------------------------------------------- values
@_law(lambda sample, backend: sample.oracle is not None)
def value(sample: Sample, backend: str) -> None:
    """The results are the oracle's: in number, shape, type and to rounding."""
    results, expected = sample.apply(*_leaves(sample, backend)), sample.expected(*sample.arrays())
    assert len(results) == len(expected), f"got {len(results)} results, wanted {len(expected)}"
    for k, (y, wanted) in enumerate(zip(results, expected, strict=True)):
        _same(f"the shape of result {k}", y.shape, wanted.shape)
        _same(f"the type of result {k}", y.dtype, wanted.dtype)
        if sample.keeps_backend:
            _same(f"the backend of result {k}", y.backend, backend)
    _close("result", _host(results), expected, 1e-13)


@_law(lambda sample, backend: sample.broadcasts)
def tiling(sample: Sample, backend: str) -> None:
    """Broadcasting is tiling: inputs repeated by hand give the same, and gradients that sum to the same."""
    xs = _leaves(sample, backend)
    shape = np.broadcast_shapes(*(x.shape for x in xs))
    tiled = [_leaf(np.broadcast_to(x.numpy(), shape), backend) for x in xs]
    for y, wanted in zip(sample.apply(*xs), sample.apply(*tiled), strict=True):
        np.testing.assert_array_equal(y.numpy(), wanted.numpy(), "the result differs from that of tiled inputs")
    summed = []
    for x, repeated in zip(xs, _gradients(sample, tiled), strict=True):
        new = tuple(range(repeated.ndim - x.ndim))
        stretched = tuple(i for i, n in enumerate(x.shape, len(new)) if n == 1)
        summed.append(repeated.sum(new + stretched).reshape(x.shape))
    _close("the gradient of input", _gradients(sample, xs), summed, 1e-12)


@_law()
def layout(sample: Sample, backend: str) -> None:
    """Values and gradients do not depend on how the inputs lie in memory."""
    expected, slopes = _host(sample.apply(*_leaves(sample, backend))), _gradients(sample, _leaves(sample, backend))
    for name, arrays in _layouts(sample.arrays()):
        _close(f"{name}: result", _host(sample.apply(*_placed(arrays, backend))), expected, 1e-14)
        _close(f"{name}: the gradient of input", _gradients(sample, _placed(arrays, backend)), slopes, 1e-12)


@_law()
def dtype(sample: Sample, backend: str) -> None:
    """Of float32 it makes float32, values and gradients, as exact as that allows."""
    xs, exact = _leaves(sample, backend, np.float32), _leaves(sample, backend)
    if sample.keeps_dtype:
        ys = _floats(sample.apply(*xs))
        for k, y in enumerate(ys):
            _same(f"the type of result {k}", y.dtype, np.dtype(np.float32))
        _close("result", _host(ys), _host(_floats(sample.apply(*exact))), 1e-5, 1e-5)
    slopes = _gradients(sample, xs)
    for k, g in enumerate(slopes):
        _same(f"the type of the gradient of input {k}", g.dtype, np.dtype(np.float32))
    _close("the gradient of input", slopes, _gradients(sample, exact), 1e-4, 1e-4)


@_law(lambda sample, backend: _has_kernel(sample, backend))
def kernel(sample: Sample, backend: str) -> None:
    """A kernel computes what the composition does that it stands in for, in both precisions and any memory layout."""
    for precision, rounding in ((np.float64, 1e-11), (np.float32, 2e-5)):
        for name, arrays in _layouts(sample.arrays(precision)):
            found = []
            for run in (enable_grad, definitions):
                with run():
                    xs = _placed(arrays, backend)
                    found.append((_host(sample.apply(*xs)), _gradients(sample, xs)))
            (results, slopes), (wanted, wanted_slopes) = found
            what = f"{np.dtype(precision)}, {name}"
            for k, (a, b) in enumerate(zip([*results, *slopes], [*wanted, *wanted_slopes], strict=True)):
                _same(f"{what}: the type of number {k} of the results and gradients", a.dtype, b.dtype)
            _close(f"{what}: result", results, wanted, rounding, rounding)
            _close(f"{what}: the gradient of input", slopes, wanted_slopes, rounding, rounding)


@_law(lambda sample, backend: backend != "numpy")
def backends(sample: Sample, backend: str) -> None:
    """Every array library computes what NumPy does, values and gradients."""
    for precision, rounding in ((np.float64, 1e-10), (np.float32, 1e-4)):
        xs, hosts = _leaves(sample, backend, precision), _leaves(sample, "numpy", precision)
        _close(f"{np.dtype(precision)}: result", _host(sample.apply(*xs)), _host(sample.apply(*hosts)), rounding)
        slopes = _gradients(sample, xs), _gradients(sample, hosts)
        _close(f"{np.dtype(precision)}: the gradient of input", *slopes, rounding, rounding)


# ---------------------------------------------------------------------------------------------------------- derivatives
@_law(lambda sample, backend: sample.order > 0)
def gradient(sample: Sample, backend: str) -> None:
    """The gradient is the slope of the values."""
    gradcheck(sample.apply, [tensor(x, backend=backend) for x in sample.arrays()])


@_law(lambda sample, backend: sample.order > 1)
def gradient_of_gradient(sample: Sample, backend: str) -> None:
    """The gradient of the gradient is the slope of the gradient, and so on up to the sample's order."""
    gradcheck(sample.apply, [tensor(x, backend=backend) for x in sample.arrays()], order=sample.order)


@_law(lambda sample, backend: sample.linear)
def adjoint(sample: Sample, backend: str) -> None:
    """A linear function A and its pullback are adjoint: ⟨A x, y⟩ = ⟨x, Aᵀ y⟩."""
    xs = _leaves(sample, backend)
    results = _floats(sample.apply(*xs))
    ys = [_random_like(result) for result in results]
    pairs = zip(_variables(xs), _pull(results, _variables(xs), ys), strict=True)
    there = sum(np.vdot(result.numpy(), y.numpy()) for result, y in zip(results, ys, strict=True))
    back = sum(np.vdot(x.numpy(), g.numpy()) for x, g in pairs)
    np.testing.assert_allclose(back, there, rtol=1e-12, atol=1e-12, err_msg="⟨x, Aᵀ y⟩ is not ⟨A x, y⟩")


@_law(lambda sample, backend: sample.order > 0)
def alone(sample: Sample, backend: str) -> None:
    """The gradient of an input is the same when no other input wants one."""
    together = _gradients(sample, _leaves(sample, backend))
    for k, wanted in enumerate(together):
        xs = _leaves(sample, backend)
        for other in (*_variables(xs)[:k], *_variables(xs)[k + 1 :]):
            other.requires_grad_(False)
        _close(f"alone, of inputs without {k} others: the gradient of input", _gradients(sample, xs), [wanted], 1e-12)


# --------------------------------------------------------------------------------------------------- memory and record
@_law()
def unmodified(sample: Sample, backend: str) -> None:
    """Inputs, results and upstream gradients stay as they were, on the way there, back, and back of that."""
    arrays, xs = sample.arrays(), _leaves(sample, backend)
    ys = sample.apply(*xs)
    outputs = [y for y in ys if y.requires_grad]
    upstream = [_random_like(y) for y in outputs]
    before = [x.copy() for x in _host([*ys, *upstream])]
    if outputs:
        first = _pull(outputs, _variables(xs), upstream, retain_graph=True)
        second = _pull(outputs, _variables(xs), upstream, create_graph=True)
        _close("when pulled back once more: the gradient of input", _host(second), _host(first), 1e-12)
    for k, (x, wanted) in enumerate(zip(xs, arrays, strict=True)):
        np.testing.assert_array_equal(to_backend(x.data, "numpy"), wanted, f"input {k} was written to")
    for now, wanted in zip(_host([*ys, *upstream]), before, strict=True):
        np.testing.assert_array_equal(now, wanted, "a result or the gradient of one was written to")


@_law()
def unrecorded(sample: Sample, backend: str) -> None:
    """Nothing is recorded within no_grad, or of constants."""
    xs = _leaves(sample, backend)
    with no_grad():
        results = [y for y in sample.apply(*xs) if not any(y is x for x in xs)]
    constants = [tensor(x, backend=backend) for x in sample.arrays()]
    assert not any(y.requires_grad for y in results), "a result requires a gradient, though computed within no_grad"
    assert not any(y.requires_grad for y in sample.apply(*constants)), "a result of constants requires a gradient"


@_law()
def freed(sample: Sample, backend: str) -> None:
    """The graph, forward and backward, is freed by reference counting alone."""
    for create_graph in (None, False, True):
        with _without_gc():
            xs = _leaves(sample, backend)
            ys = _floats(sample.apply(*(x * 1 if x.requires_grad else x for x in xs)))
            watched = [weakref.ref(y) for y in ys] + [weakref.ref(y.data) for y in ys]
            outputs = [y for y in ys if y.requires_grad]
            if create_graph is not None and outputs:
                upstream = [_random_like(y) for y in outputs]
                found = _pull(outputs, _variables(xs), upstream, create_graph=create_graph)
                watched += [weakref.ref(g) for g in found]
                del found
            del xs, ys, outputs
            left = sum(ref() is not None for ref in watched)
            assert not left, (
                f"{left} results, arrays or gradients are in a reference cycle (create_graph={create_graph})"
            )


@_law(lambda sample, backend: sample.linear and not _has_kernel(sample, backend))
def forgetful(sample: Sample, backend: str) -> None:
    """The graph of a linear function does not keep its inputs alive.

    (That of a kernel does: gradients of gradients run the composition once more.)
    """
    xs = [x * 1 if x.requires_grad else x for x in _leaves(sample, backend)]
    ys = sample.apply(*xs)
    owners = {id(y.data if y.data.base is None else y.data.base) for y in ys}
    watched = {k: weakref.ref(x.data) for k, x in enumerate(xs) if id(x.data) not in owners}
    del xs
    held = [k for k, ref in watched.items() if ref() is not None]
    assert not held, f"the graph holds on to inputs {held}, which no pullback of a linear function needs"


LAWS: tuple[Law, ...] = tuple(law for law in globals().values() if isinstance(law, Law))
"""All of them."""


# -------------------------------------------------------------------------------------------------------------- helpers
def _leaf(array: Host, backend: str) -> Tensor:
    x = tensor(array, backend=backend)
    return x.requires_grad_() if x.dtype.kind == "f" else x


def _leaves(sample: Sample, backend: str, dtype: Any = np.float64) -> list[Tensor]:
    """The inputs; those of floating point require a gradient."""
    return [_leaf(x, backend) for x in sample.arrays(dtype)]


def _placed(arrays: Sequence[Host], backend: str) -> list[Tensor]:
    """The arrays as they lie in memory, those of floating point requiring a gradient."""
    xs = [Tensor(to_backend(x, backend)) for x in arrays]
    return [x.requires_grad_() if x.dtype.kind == "f" else x for x in xs]


def _layouts(arrays: Sequence[Host]) -> Iterator[tuple[str, list[Host]]]:
    """The same numbers in C order, in Fortran order, as every other element, backwards, and with channels first."""
    yield "C order", [x.copy() for x in arrays]
    yield "Fortran order", [x.copy(order="F") for x in arrays]
    yield "every other element", [np.repeat(x[..., None], 2, axis=-1)[..., 0] for x in arrays]
    yield "backwards", [np.flip(np.flip(x).copy()) for x in arrays]
    yield "channels first", [x.swapaxes(0, 1).copy().swapaxes(0, 1) if x.ndim > 1 else x for x in arrays]


def _variables(xs: Sequence[Tensor]) -> list[Tensor]:
    return [x for x in xs if x.requires_grad]


def _floats(ys: Sequence[Tensor]) -> list[Tensor]:
    return [y for y in ys if y.dtype.kind == "f"]


def _host(ys: Sequence[Tensor]) -> list[Host]:
    return [to_backend(y.data, "numpy") for y in ys]


def _random_like(y: Tensor) -> Tensor:
    return tensor(np.random.default_rng(y.numel()).standard_normal(y.shape).astype(y.dtype), backend=y.backend)


def _pull(ys: Sequence[Tensor], xs: Sequence[Tensor], gs: Sequence[Tensor], **options: Any) -> list[Tensor]:
    """The gradients of Σ ⟨y, g⟩ by the xs, none of which may be missing."""
    found = grad(ys, xs, gs, **options)
    missing = [k for k, g in enumerate(found) if g is None]
    assert not missing, f"inputs {missing} get no gradient"
    return list(found)


def _gradients(sample: Sample, xs: Sequence[Tensor]) -> list[Host]:
    """The gradients of the inputs, from random ones of the results; none if no result has one."""
    ys = [y for y in sample.apply(*xs) if y.requires_grad]
    return _host(_pull(ys, _variables(xs), [_random_like(y) for y in ys])) if ys else []


def _same(what: str, got: object, wanted: object) -> None:
    assert got == wanted, f"{what}: got {got}, wanted {wanted}"


def _close(what: str, got: Sequence[Array], wanted: Sequence[Array], rtol: float, atol: float | None = None) -> None:
    """Each array is equal to the other up to rounding, relative to each element and to the largest."""
    assert len(got) == len(wanted), f"{what}s: got {len(got)}, wanted {len(wanted)}"
    for k, (a, b) in enumerate(zip(got, wanted, strict=True)):
        scale = max(1.0, float(np.abs(b[np.isfinite(b)]).max(initial=0)))
        rest = (rtol / 10 if atol is None else atol) * scale
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rest, err_msg=f"{what} {k}")


@contextlib.contextmanager
def _without_gc() -> Iterator[None]:
    """Within this context Python's collector of reference cycles is off."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


def _has_kernel(sample: Sample, backend: str) -> bool:
    """Whether some kernel stands in for a composition here: then the graph is another one without it."""
    try:
        found = _ops(sample.apply(*_leaves(sample, backend)))
        with definitions():
            return found != _ops(sample.apply(*_leaves(sample, backend)))
    except Exception:  # the law itself will tell
        return True


def _ops(ys: Sequence[Tensor]) -> set[str]:
    """The names of the ops in the graph of these tensors."""
    seen: set[Node] = {y.node for y in ys if y.node is not None}
    stack = list(seen)
    while stack:
        new = {parent for parent in stack.pop().parents if parent is not None} - seen
        seen |= new
        stack += new
    return {node.name for node in seen}
