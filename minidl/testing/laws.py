"""The laws that ops, functions and layers obey, each a function of a `Sample`.

Who has written an op gives it one row, and it is held to all of them:

    SAMPLE = Sample("triple", triple, [(2, 3)], lambda x: 3 * x, linear=True)

    @pytest.mark.parametrize("law", [law for law in laws.LAWS if law.applies(SAMPLE)], ids=str)
    def test_triple(law):
        law(SAMPLE)
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from minidl.autograd import grad
from minidl.backend import to_backend
from minidl.creation import tensor
from minidl.mode import definitions, no_grad
from minidl.testing.evaluation import (
    close,
    floats,
    gradients,
    has_kernel,
    host,
    layouts,
    leaf,
    leaves,
    named,
    placed,
    pull,
    random_like,
    require,
    same,
    second_derivatives,
    variables,
    without_gc,
)
from minidl.testing.gradcheck import gradcheck
from minidl.testing.sample import Sample

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
    results, expected = sample.apply(*leaves(sample, backend)), sample.expected(*sample.arrays())
    same("the number of results", len(results), len(expected))
    for k, (y, wanted) in enumerate(zip(results, expected, strict=True)):
        same(f"the shape of result {k}", y.shape, wanted.shape)
        same(f"the type of result {k}", y.dtype, wanted.dtype)
        if sample.keeps_backend:
            same(f"the backend of result {k}", y.backend, backend)
    close("result", host(results), expected, 1e-13)


@_law(lambda sample, backend: sample.broadcasts)
def tiling(sample: Sample, backend: str) -> None:
    """Broadcasting is tiling: inputs repeated by hand give the same, and gradients that sum to the same."""
    xs = leaves(sample, backend)
    shape = np.broadcast_shapes(*(x.shape for x in xs))
    tiled = [leaf(np.broadcast_to(x.numpy(), shape), backend) for x in xs]
    for y, wanted in zip(sample.apply(*xs), sample.apply(*tiled), strict=True):
        np.testing.assert_array_equal(y.numpy(), wanted.numpy(), "the result differs from that of tiled inputs")
    summed = []
    for x, repeated in zip(xs, gradients(sample, tiled), strict=True):
        new = tuple(range(repeated.ndim - x.ndim))
        stretched = tuple(i for i, n in enumerate(x.shape, len(new)) if n == 1)
        summed.append(repeated.sum(new + stretched).reshape(x.shape))
    close("the gradient of input", gradients(sample, xs), summed, 1e-12)


@_law()
def layout(sample: Sample, backend: str) -> None:
    """Values and gradients do not depend on how the inputs lie in memory."""
    expected, slopes = host(sample.apply(*leaves(sample, backend))), gradients(sample, leaves(sample, backend))
    for name, arrays in layouts(sample.arrays()):
        close(f"{name}: result", host(sample.apply(*placed(arrays, backend))), expected, 1e-14)
        close(f"{name}: the gradient of input", gradients(sample, placed(arrays, backend)), slopes, 1e-12)


@_law()
def dtype(sample: Sample, backend: str) -> None:
    """Of float32 it makes float32, values and first and second derivatives, as exact as that allows."""
    xs, exact = leaves(sample, backend, np.float32), leaves(sample, backend)
    ys, wanted = floats(sample.apply(*xs)), floats(sample.apply(*exact))
    if sample.keeps_dtype:
        for k, y in enumerate(ys):
            same(f"the type of result {k}", y.dtype, np.dtype(np.float32))
        close("result", host(ys), host(wanted), 1e-5, 1e-5)
    slopes = gradients(sample, xs)
    for k, g in enumerate(slopes):
        same(f"the type of the gradient of input {k}", g.dtype, np.dtype(np.float32))
    close("the gradient of input", slopes, gradients(sample, exact), 1e-4, 1e-4)
    close("second derivative", second_derivatives(sample, xs), second_derivatives(sample, exact), 1e-3, 1e-4)


@_law(lambda sample, backend: has_kernel(sample, backend))
def kernel(sample: Sample, backend: str) -> None:
    """A kernel computes what the composition does that it stands in for, in both precisions and any memory layout."""
    for precision, rounding in ((np.float64, 1e-11), (np.float32, 2e-5)):
        for name, arrays in layouts(sample.arrays(precision)):
            found = []
            for run in (contextlib.nullcontext, definitions):
                with run():
                    xs = placed(arrays, backend)
                    found.append((host(sample.apply(*xs)), gradients(sample, xs)))
            (results, slopes), (wanted, wanted_slopes) = found
            what = f"{np.dtype(precision)}, {name}"
            for k, (a, b) in enumerate(zip([*results, *slopes], [*wanted, *wanted_slopes], strict=True)):
                same(f"{what}: the type of number {k} of the results and gradients", a.dtype, b.dtype)
            close(f"{what}: result", results, wanted, rounding, rounding)
            close(f"{what}: the gradient of input", slopes, wanted_slopes, rounding, rounding)


@_law(lambda sample, backend: backend != "numpy")
def backends(sample: Sample, backend: str) -> None:
    """Every array library computes what NumPy does, values and first and second derivatives."""
    for precision, rounding in ((np.float64, 1e-10), (np.float32, 1e-4)):
        xs, hosts = leaves(sample, backend, precision), leaves(sample, "numpy", precision)
        what = str(np.dtype(precision))
        close(f"{what}: result", host(sample.apply(*xs)), host(sample.apply(*hosts)), rounding)
        close(f"{what}: the gradient of input", gradients(sample, xs), gradients(sample, hosts), rounding, rounding)
        second = second_derivatives(sample, xs), second_derivatives(sample, hosts)
        close(f"{what}: second derivative", *second, 10 * rounding, rounding)


# ---------------------------------------------------------------------------------------------------------- derivatives
@_law(lambda sample, backend: sample.order > 0)
def gradient(sample: Sample, backend: str) -> None:
    """The gradient is the slope of the values."""
    gradcheck(named(sample), [tensor(x, backend=backend) for x in sample.arrays()])


@_law(lambda sample, backend: sample.order > 1)
def gradient_of_gradient(sample: Sample, backend: str) -> None:
    """The gradient of the gradient is the slope of the gradient, and so on up to the sample's order."""
    gradcheck(named(sample), [tensor(x, backend=backend) for x in sample.arrays()], order=sample.order)


@_law(lambda sample, backend: sample.linear)
def adjoint(sample: Sample, backend: str) -> None:
    """A linear function A and its pullback are adjoint: ⟨A x, y⟩ = ⟨x, Aᵀ y⟩."""
    xs = leaves(sample, backend)
    results = floats(sample.apply(*xs))
    ys = [random_like(result) for result in results]
    pairs = zip(variables(xs), pull(results, variables(xs), ys), strict=True)
    there = sum(np.vdot(result.numpy(), y.numpy()) for result, y in zip(results, ys, strict=True))
    back = sum(np.vdot(x.numpy(), g.numpy()) for x, g in pairs)
    np.testing.assert_allclose(back, there, rtol=1e-12, atol=1e-12, err_msg="⟨x, Aᵀ y⟩ is not ⟨A x, y⟩")


@_law(lambda sample, backend: sample.order > 0)
def alone(sample: Sample, backend: str) -> None:
    """The gradient of an input is the same when no other input wants one."""
    for k, wanted in enumerate(gradients(sample, leaves(sample, backend))):
        xs = leaves(sample, backend)
        for other in (*variables(xs)[:k], *variables(xs)[k + 1 :]):
            other.requires_grad_(False)
        (found,) = gradients(sample, xs)
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-13, err_msg=f"the gradient of input {k}, alone")


# --------------------------------------------------------------------------------------------------- memory and record
@_law()
def unmodified(sample: Sample, backend: str) -> None:
    """Inputs, results and upstream gradients stay as they were on the way there, back, and back once more."""
    arrays, xs = sample.arrays(), leaves(sample, backend)
    ys = sample.apply(*xs)
    outputs = [y for y in ys if y.requires_grad]
    upstream = [random_like(y) for y in outputs]
    before = [x.copy() for x in host([*ys, *upstream])]
    if outputs:
        first = pull(outputs, variables(xs), upstream, retain_graph=True)
        second = pull(outputs, variables(xs), upstream, create_graph=True)
        if recorded := variables(second):
            grad(recorded, variables(xs), [random_like(g) for g in recorded], retain_graph=True, allow_unused=True)
        close("from the same graph again, and recorded: the gradient of input", host(second), host(first), 1e-12)
    for k, (x, wanted) in enumerate(zip(xs, arrays, strict=True)):
        np.testing.assert_array_equal(to_backend(x.data, "numpy"), wanted, f"input {k} was written to")
    for now, wanted in zip(host([*ys, *upstream]), before, strict=True):
        np.testing.assert_array_equal(now, wanted, "a result or the gradient of one was written to")


@_law()
def unrecorded(sample: Sample, backend: str) -> None:
    """Nothing is recorded within no_grad, or of constants."""
    xs = leaves(sample, backend)
    with no_grad():
        results = [y for y in sample.apply(*xs) if not any(y is x for x in xs)]
    constants = [tensor(x, backend=backend) for x in sample.arrays()]
    require(not variables(results), "a result requires a gradient, though computed within no_grad")
    require(not variables(sample.apply(*constants)), "a result of constants requires a gradient")


@_law()
def freed(sample: Sample, backend: str) -> None:
    """The graph, forward and backward, is freed by reference counting alone."""
    for create_graph in (None, False, True):
        with without_gc():
            xs = leaves(sample, backend)
            ys = floats(sample.apply(*(x * 1 if x.requires_grad else x for x in xs)))
            watched = [weakref.ref(y) for y in ys] + [weakref.ref(y.data) for y in ys]
            outputs = [y for y in ys if y.requires_grad]
            if create_graph is not None and outputs:
                upstream = [random_like(y) for y in outputs]
                found = pull(outputs, variables(xs), upstream, create_graph=create_graph)
                watched += [weakref.ref(g) for g in found]
                del found
            del xs, ys, outputs
            left = sum(ref() is not None for ref in watched)
            require(not left, f"{left} results, arrays or gradients are in a cycle (create_graph={create_graph})")


@_law(lambda sample, backend: sample.linear and not has_kernel(sample, backend))
def forgetful(sample: Sample, backend: str) -> None:
    """The graph of a linear function does not keep its inputs alive.

    (That of a kernel does: gradients of gradients run the composition once more.)
    """
    xs = [x * 1 if x.requires_grad else x for x in leaves(sample, backend)]
    ys = sample.apply(*xs)
    owners = {id(y.data if y.data.base is None else y.data.base) for y in ys}
    watched = {k: weakref.ref(x.data) for k, x in enumerate(xs) if x.requires_grad and id(x.data) not in owners}
    del xs
    held = [k for k, ref in watched.items() if ref() is not None]
    require(not held, f"the graph holds on to inputs {held}, which no pullback of a linear function needs")


LAWS: tuple[Law, ...] = tuple(law for law in globals().values() if isinstance(law, Law))
"""All of them."""
