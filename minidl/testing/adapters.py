"""Other people's engines, as `gradcheck(..., engine=...)` wants them. The library is handed over; none is imported."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minidl.backend import Array
from minidl.testing.engine import Pull, as_list


class PyTorch:
    """PyTorch: `gradcheck(fn, inputs, engine=PyTorch(torch))`. Its tensors share the arrays' memory.

    A gradient is recorded, for one of higher order, where an input or an upstream gradient requires grad.
    """

    aliasing = True  # of x + y, torch.autograd.grad returns one gradient twice

    def __init__(self, torch: Any) -> None:
        self.torch = torch

    def tensor(self, array: Array) -> Any:
        array = np.asarray(array)
        if not array.flags.writeable or min(array.strides, default=0) < 0:
            array = array.copy()  # PyTorch has no read-only tensors and no negative strides
        return self.torch.from_numpy(array)

    def array(self, x: Any) -> Array:
        return x.numpy(force=True)

    def vjp(self, fn: Callable[..., Any], xs: Sequence[Any]) -> tuple[list[Any], Pull]:
        with self.torch.enable_grad():
            leaves = [x.view_as(x) if x.requires_grad else x.detach().requires_grad_() for x in xs]
            ys = [y for y in _outputs("PyTorch", fn(*leaves), self.torch.Tensor) if y.is_floating_point()]

        def pull(gs: Sequence[Any]) -> Sequence[Any]:
            record = any(x.requires_grad for x in (*xs, *gs))
            pairs = [(y, g) for y, g in zip(ys, gs, strict=True) if y.requires_grad]
            if not pairs:
                return [self.torch.zeros_like(x) for x in leaves]
            outputs, upstream = zip(*pairs, strict=True)
            return self.torch.autograd.grad(
                outputs, leaves, upstream, retain_graph=True, create_graph=record, materialize_grads=True
            )

        return ys, pull


class Autograd:
    """HIPS autograd: `gradcheck(fn, inputs, engine=Autograd(autograd))`. Its tensors are NumPy arrays."""

    aliasing = True

    def __init__(self, autograd: Any) -> None:
        self.autograd = autograd

    def tensor(self, array: Array) -> Array:
        return np.asarray(array)

    def array(self, x: Any) -> Array:
        return np.asarray(x)

    def vjp(self, fn: Callable[..., Any], xs: Sequence[Any]) -> tuple[list[Any], Pull]:
        """As autograd's make_vjp, but with a root for each input, so that nothing is added to a gradient on its way."""
        core, tracer = self.autograd.core, self.autograd.tracer
        roots = [core.VJPNode.new_root() for _ in xs]
        with tracer.trace_stack.new_trace() as trace:
            boxes = [tracer.new_box(x, trace, root) for x, root in zip(xs, roots, strict=True)]
            ys = _outputs("Autograd", fn(*boxes), (np.ndarray, np.floating, float, tracer.Box))
            ys = [y for y in ys if np.asarray(tracer.getval(y)).dtype.kind == "f"]
            end = self.autograd.builtins.tuple(ys)
        if not tracer.isbox(end) or end._trace != trace:  # nothing in it depends on the inputs
            return ys, lambda gs: [np.zeros_like(tracer.getval(x)) for x in xs]

        def pull(gs: Sequence[Any]) -> list[Any]:
            found = [np.zeros_like(tracer.getval(x)) for x in xs]
            for i, root in enumerate(roots):
                root.vjp = functools.partial(_keep, found, i)
            core.backward_pass(tuple(gs), end._node)
            return found

        return list(end._value), pull


class JAX:
    """JAX: `gradcheck(fn, inputs, engine=JAX(jax))`, after `jax.config.update("jax_enable_x64", True)`."""

    aliasing = True

    def __init__(self, jax: Any) -> None:
        self.jax = jax

    def tensor(self, array: Array) -> Any:
        x = self.jax.numpy.array(array)
        if x.dtype != array.dtype and array.dtype.kind in "fc":
            raise TypeError(
                f"JAX: made {x.dtype} of {array.dtype}, which is too coarse to compare with differences: "
                'call jax.config.update("jax_enable_x64", True) before anything else'
            )
        return x

    def array(self, x: Any) -> Array:
        return np.asarray(x)

    def vjp(self, fn: Callable[..., Any], xs: Sequence[Any]) -> tuple[list[Any], Pull]:
        def floats(*xs: Any) -> list[Any]:
            return [y for y in _outputs("JAX", fn(*xs), self.jax.Array) if y.dtype.kind == "f"]

        ys, pull = self.jax.vjp(floats, *xs)
        return ys, lambda gs: pull(list(gs))


class Scalars:
    """An engine of scalars, like micrograd: `gradcheck(fn, inputs, engine=Scalars(Value))`. Order 1 only.

    fn gets NumPy arrays of Values (a Value for no axes) and returns the like. A Value has `data`, `grad`, `backward()`,
    and its own + and *, by which outputs are weighted. Since gradients stay in a graph that has been gone through, each
    pullback computes fn anew.
    """

    aliasing = False

    def __init__(self, value: Callable[[float], Any]) -> None:
        self.value = value
        self._busy = False

    def tensor(self, array: Array) -> Any:
        if array.dtype.kind not in "fc":
            return array
        if array.dtype.itemsize < 8:
            raise TypeError(f"Scalars: computes with Python's floats, which are float64; got {array.dtype}: convert it")
        return np.array([self.value(number) for number in array.ravel().tolist()], object).reshape(array.shape)[()]

    def array(self, x: Any) -> Array:
        return _read(x, "data")

    def vjp(self, fn: Callable[..., Any], xs: Sequence[Any]) -> tuple[list[Any], Pull]:
        def pull(gs: Sequence[Any]) -> list[Any]:
            leaves = [self.tensor(self.array(x)) for x in xs]
            pairs = zip(self._call(fn, leaves), gs, strict=True)
            terms = [y * g for ys, gs in pairs for y, g in zip(_flat(ys), _flat(gs), strict=True)]
            if terms:
                functools.reduce(operator.add, terms).backward()
            return [self.tensor(_read(x, "grad")) for x in leaves]

        return self._call(fn, xs), pull

    def _call(self, fn: Callable[..., Any], xs: Sequence[Any]) -> list[Any]:
        if self._busy:
            raise NotImplementedError("Scalars: a grad is a number, which has no gradient of its own: use order=1")
        self._busy = True
        try:
            ys = as_list(fn(*xs))
        finally:
            self._busy = False
        for y in ys:
            _outputs("Scalars", _flat(y), type(self.value(0.0)))
        return ys


def _outputs(engine: str, result: Any, kinds: Any) -> list[Any]:
    """What a function returns, as a list, if it is what the engine computes with."""
    ys = as_list(result)
    for y in ys:
        if not isinstance(y, kinds):
            raise TypeError(f"{engine}: the function must return what the engine computes with; got {type(y).__name__}")
    return ys


def _flat(values: Any) -> list[Any]:
    """The elements of an array of objects, or of one object."""
    return list(np.asarray(values, object).flat)


def _read(values: Any, attribute: str) -> Array:
    """The numbers that Values, an array of them or one, carry under this name."""
    numbers = [getattr(value, attribute) for value in _flat(values)]
    return np.array(numbers, np.result_type(np.float64, *numbers)).reshape(np.shape(values))


def _keep(found: list[Any], i: int, g: Any) -> tuple[()]:
    """A pullback of a root: it has no parents to pass the gradient to, and keeps it."""
    found[i] = g
    return ()
