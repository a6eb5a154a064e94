"""Whether gradients are right: those of an engine beside the slopes of the values, and the laws of every pullback."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from minidl.tensor import Tensor
from minidl.testing.engine import Engine, Minidl
from minidl.testing.examination import examine
from minidl.testing.hand_written import HandWritten
from minidl.testing.report import GradientError, Report
from minidl.testing.settings import Settings
from minidl.testing.subject import as_function, kept, list_of_parameters


def gradcheck(
    fn: Callable[..., Any],
    inputs: Sequence[Any],
    *,
    params: Iterable[Tensor] = (),
    order: int = 1,
    mode: str = "auto",
    directions: int = 8,
    eps: float | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    kinks: str = "detect",
    seed: int = 0,
    engine: Engine | None = None,
    raise_exception: bool = True,
) -> Report:
    """Compare the gradients of fn(*inputs), one tensor or several, with the slopes of its values; check the laws.

    That is done in float64, whatever the inputs are; in their own precision gradients are to be the same, to rounding.
    Nothing given is changed, nor the buffers of a module. (What else fn may change, it changes.)

    Args:
        fn: computes with the engine's tensors.
        inputs: arrays, tensors, numbers or None. There is a gradient by those of floating point.
        params: minidl tensors that fn uses besides, a model's parameters say: there are gradients by them too.
        order: 2 checks the gradient of the gradient as well, and so on.
        mode: "full" looks at every element of every input and output, "project" at random sums and directions; "auto"
            chooses by size; "complex" is "auto" with complex steps, exact to rounding, where fn takes complex numbers
            and is analytic (of order 1: slopes of gradients are differences).
        directions: how many random directions to look in at a large input.
        eps: the first step, relative to the size of the input; smaller ones follow where it does not settle.
        rtol, atol: a gradient may be off by rtol of itself and by atol of the largest element in it. By default that is
            1e-6 and 1e-10 in float64; 1e-4 and 1e-5 from this to float32.
        kinks: where the slopes to the two sides differ, "detect" reports both, and takes what is between for right;
            where kinks add up, and for higher orders, it looks about 1 % away. "resample" does so for all, and "error"
            reports a fault.
        seed: of the upstream gradients and directions.
        engine: minidl's, or one of `minidl.testing.adapters`.
        raise_exception: whether to raise a GradientError, which has the report, or to return the report anyway.
    """
    settings = Settings(mode, directions, eps, rtol, atol, kinks)
    if not isinstance(order, int) or order < 1:
        raise ValueError(f"gradcheck: order must be a whole number from 1, got {order}")
    params = list_of_parameters(params)
    function = as_function(fn, inputs, params, Minidl() if engine is None else engine)
    # A step may leave the function's domain, and what is not finite is reported.
    with kept(fn, params), np.errstate(all="ignore"):
        report = examine(function, order, settings, np.random.default_rng([seed, 0x5EED]))
    if raise_exception and not report.ok:
        raise GradientError(report)
    return report


def check_vjp(
    f: Callable[..., Any], vjp: Callable[..., Any], inputs: Sequence[Any], *, aliasing: bool = False, **options: Any
) -> Report:
    """The same checks of a function of arrays and a backward pass that somebody wrote for it.

    f(*inputs) returns an array or several; vjp(g, *inputs) takes the gradient of the output, or a tuple of them, and
    returns one for each input: None for those that have none. `aliasing` allows gradients to share memory, for those
    who never add to one in place. The options are those of `gradcheck`; there is no order above 1.
    """
    if options.get("order", 1) != 1:
        raise ValueError("check_vjp: a backward pass written by hand has no gradient of its own: order must be 1")
    return gradcheck(f, inputs, engine=HandWritten(vjp, inputs, aliasing), **options)
