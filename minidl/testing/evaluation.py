"""What the laws do with a sample: make its tensors, run it, differentiate it, and compare what comes out."""

from __future__ import annotations

import contextlib
import functools
import gc
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from minidl.autograd import Node, grad
from minidl.backend import Array, to_backend
from minidl.creation import tensor
from minidl.mode import definitions
from minidl.tensor import Tensor
from minidl.testing.layout import LAYOUTS, lay_out
from minidl.testing.sample import Host, Sample


def leaf(array: Host, backend: str) -> Tensor:
    """A copy of the array on a backend, requiring a gradient if it is of floating point."""
    x = tensor(array, backend=backend)
    return x.requires_grad_() if x.dtype.kind == "f" else x


def leaves(sample: Sample, backend: str, dtype: Any = np.float64) -> list[Tensor]:
    """The inputs; those of floating point require a gradient."""
    return [leaf(x, backend) for x in sample.arrays(dtype)]


def named(sample: Sample) -> Callable[..., list[Tensor]]:
    """Its function, of the inputs that are not None, under the sample's name."""

    @functools.wraps(sample.function)
    def function(*tensors: Tensor) -> list[Tensor]:
        return sample.apply(*tensors)

    function.__name__ = sample.name
    return function


def placed(arrays: Sequence[Host], backend: str) -> list[Tensor]:
    """The arrays as they lie in memory, those of floating point requiring a gradient."""
    xs = [Tensor(to_backend(x, backend)) for x in arrays]
    return [x.requires_grad_() if x.dtype.kind == "f" else x for x in xs]


def layouts(arrays: Sequence[Host]) -> Iterator[tuple[str, list[Host]]]:
    """The same numbers in every layout in memory that has room for them all."""
    for name in LAYOUTS:
        if name != "broadcast":
            yield name, [lay_out(x, name) for x in arrays]


def variables(xs: Sequence[Tensor]) -> list[Tensor]:
    """Those that require a gradient."""
    return [x for x in xs if x.requires_grad]


def floats(ys: Sequence[Tensor]) -> list[Tensor]:
    """Those of floating point."""
    return [y for y in ys if y.dtype.kind == "f"]


def host(ys: Sequence[Tensor]) -> list[Host]:
    """The arrays of tensors, as arrays of NumPy."""
    return [to_backend(y.data, "numpy") for y in ys]


def random_like(y: Tensor) -> Tensor:
    """A constant of the same shape, type and backend, the same each time."""
    return tensor(np.random.default_rng(y.numel()).standard_normal(y.shape).astype(y.dtype), backend=y.backend)


def pull(ys: Sequence[Tensor], xs: Sequence[Tensor], gs: Sequence[Tensor], **options: Any) -> list[Tensor]:
    """The gradients of Σ ⟨y, g⟩ by the xs, none of which may be missing."""
    found = grad(ys, xs, gs, **options)
    missing = [k for k, g in enumerate(found) if g is None]
    require(not missing, f"inputs {missing} get no gradient")
    return list(found)


def gradients(sample: Sample, xs: Sequence[Tensor]) -> list[Host]:
    """The gradients of the inputs, from random ones of the results; none if no result has one."""
    ys = [y for y in sample.apply(*xs) if y.requires_grad]
    return host(pull(ys, variables(xs), [random_like(y) for y in ys])) if ys else []


def second_derivatives(sample: Sample, xs: Sequence[Tensor]) -> list[Host]:
    """The gradients of those gradients, from random ones, by the inputs and by the gradients of the results."""
    ys = [y for y in sample.apply(*xs) if y.requires_grad]
    upstream = [random_like(y).requires_grad_() for y in ys]
    first = pull(ys, variables(xs), upstream, create_graph=True) if ys else []
    first = [g for g in first if g.requires_grad]
    sources = [*variables(xs), *upstream]
    found = grad(first, sources, [random_like(g) for g in first], allow_unused=True) if first else []
    return [np.zeros(x.shape, x.dtype) if g is None else g.numpy() for x, g in zip(sources, found, strict=False)]


def require(holds: bool, message: str) -> None:
    """An `assert` that `python -O` does not switch off."""
    if not holds:
        raise AssertionError(message)


def same(what: str, got: object, wanted: object) -> None:
    """Require two things to be equal."""
    require(got == wanted, f"{what}: got {got}, wanted {wanted}")


def close(what: str, got: Sequence[Array], wanted: Sequence[Array], rtol: float, atol: float | None = None) -> None:
    """Require arrays to be equal up to rounding, relative to each element and to the largest."""
    require(len(got) == len(wanted), f"{what}s: got {len(got)}, wanted {len(wanted)}")
    for k, (a, b) in enumerate(zip(got, wanted, strict=True)):
        scale = max(1.0, float(np.abs(b[np.isfinite(b)]).max(initial=0)))
        rest = (rtol / 10 if atol is None else atol) * scale
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rest, err_msg=f"{what} {k}")


@contextlib.contextmanager
def without_gc() -> Iterator[None]:
    """Within this context Python's collector of reference cycles is off."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


def has_kernel(sample: Sample, backend: str) -> bool:
    """Whether some kernel stands in for a composition here: then the graph is another one without it."""
    try:
        found = op_names(sample.apply(*leaves(sample, backend)))
        with definitions():
            return found != op_names(sample.apply(*leaves(sample, backend)))
    except Exception:  # the law itself will tell
        return True


def op_names(ys: Sequence[Tensor]) -> set[str]:
    """The names of the ops in the graph of these tensors."""
    seen: set[Node] = {y.node for y in ys if y.node is not None}
    stack = list(seen)
    while stack:
        new = {parent for parent in stack.pop().parents if parent is not None} - seen
        seen |= new
        stack += new
    return {node.name for node in seen}
