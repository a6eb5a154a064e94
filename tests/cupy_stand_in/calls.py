"""Calls of CuPy's functions on the stand-in's arrays, checked and counted, and computed by NumPy."""

import functools
import inspect
from collections import Counter

import numpy as np

from tests.cupy_stand_in import array

try:
    import cupy as real
except ImportError:
    real = None

log = Counter()
"""How often something was asked of the device: "launch", "wait" (for a result), "upload", "copy" (by reshape)."""

KEEP_LAYOUT = {"empty_like", "zeros_like", "ones_like", "full_like", "asarray", "array"}
"""Functions whose new arrays may have any layout; those of all others are C-contiguous, also those of ufuncs."""
SCATTERS = {"add", "subtract", "maximum", "minimum", "bitwise_and", "bitwise_or", "bitwise_xor"}
"""Ufuncs that have `at`."""


def elementwise(ufunc, *inputs, out=None, dtype=None, casting="same_kind", **unknown):
    """CuPy's ufunc of this name (or matmul): on its own arrays and on scalars."""
    if unknown:
        raise TypeError(f"Wrong arguments {unknown}")
    for x in inputs:
        if not isinstance(x, (array.Array, np.generic, bool, int, float, complex)):
            raise TypeError(f"Unsupported type {type(x)}")
    log["launch"] += 1
    if ufunc is np.matmul:
        log["copy"] += _copies_of_matmul(*inputs)
    with np.errstate(all="ignore"):
        result = np.asarray(ufunc(*map(to_host, inputs), dtype=dtype, order="C"))
    if out is None:
        return array.Array(result)
    if not isinstance(out, array.Array):
        raise TypeError("Output arguments type must be cupy.ndarray")
    if out.shape != result.shape:
        raise ValueError("Out shape is mismatched")
    np.copyto(out.host, result, casting=casting)
    return out


def _copies_of_matmul(x, y):
    """How many operands CuPy copies first: BLAS takes a matrix of either order, but only C-contiguous batches."""
    as_they_are = ("c_contiguous", "f_contiguous") if max(x.ndim, y.ndim) <= 2 else ("c_contiguous",)
    return sum(not any(getattr(operand.flags, order) for order in as_they_are) for operand in (x, y))


def scatter(ufunc, x, indices, values=None):
    """`ufunc.at`, in whatever order the device likes, for the few types of numbers that have atomic operations."""
    if ufunc.__name__ not in SCATTERS:
        raise NotImplementedError(f"`cupy_{ufunc.__name__}.at` is not supported yet")
    if x.dtype not in (np.int32, np.int64, np.uint32, np.uint64, np.float16, np.float32, np.float64):
        raise TypeError(f"cupy.add.at only supports int32, int64, ... as data type, not {x.dtype}")
    log["launch"] += 1
    ufunc.at(x.host, to_index(indices), to_host(values))


def call(function, *args, **kwargs):
    """CuPy's function of the name of this one of NumPy: its arguments must fit, and no array be NumPy's."""
    found = theirs(function)
    if found is None:
        raise AttributeError(f"CuPy has no {function.__name__}")
    with_signature = inspect.isfunction(found)
    bound = inspect.signature(found if with_signature else function).bind(*args, **kwargs).arguments
    if function.__name__ not in ("asarray", "array"):
        _refuse_numpy([args, kwargs])
    if function.__name__ == "concatenate" and any(not x.shape for x in args[0]):
        raise TypeError("zero-dimensional arrays cannot be concatenated")
    if function.__name__.endswith("_like") and bound.get("shape") == ():
        kwargs["shape"] = args[0].shape  # CuPy takes an empty shape for none
    with np.errstate(all="ignore"):
        result = function(
            *to_hosts(args), **to_hosts({key: value for key, value in kwargs.items() if value is not None})
        )
    if function.__name__ in KEEP_LAYOUT:
        log["launch"] += function.__name__ != "empty_like"
        return array.Array(result)
    return view_or_new(result, list(_arrays([args, kwargs])))


def theirs(function):
    """CuPy's function in place of this one of NumPy; None if it has none. Without CuPy, NumPy's must do."""
    if real is None:
        return function
    try:
        module = functools.reduce(getattr, function.__module__.split(".")[1:], real)
        found = getattr(module, function.__name__)
    except AttributeError:
        return None
    return None if found is function else found


def _arrays(nest):
    """All stand-ins in a nest of lists, tuples and dicts."""
    if isinstance(nest, array.Array):
        yield nest
    elif isinstance(nest, (list, tuple, dict)):
        for item in nest.values() if isinstance(nest, dict) else nest:
            yield from _arrays(item)


def _refuse_numpy(nest):
    if isinstance(nest, np.ndarray):
        raise TypeError(f"Unsupported type {type(nest)}")
    if isinstance(nest, (list, tuple, dict)):
        for item in nest.values() if isinstance(nest, dict) else nest:
            _refuse_numpy(item)


def to_hosts(nest):
    """The nest with NumPy arrays in place of stand-ins."""
    if isinstance(nest, dict):
        return {key: to_hosts(value) for key, value in nest.items()}
    return type(nest)(map(to_hosts, nest)) if isinstance(nest, (list, tuple)) else to_host(nest)


def to_host(x):
    return x.host if isinstance(x, array.Array) else x


def to_index(index):
    """An index for the host. CuPy copies NumPy arrays in it to the device; masks make it wait for their count."""
    for part in index if isinstance(index, tuple) else (index,):
        log["upload"] += isinstance(part, (np.ndarray, list))
        log["wait"] += getattr(part, "dtype", None) == np.bool_
    return to_hosts(index)


def new(result):
    """New memory: C-contiguous, and an array even if it is one number."""
    log["launch"] += 1
    return array.Array(np.array(result, order="C"))


def view_or_new(result, sources):
    """What NumPy returned: a view of one of the sources, or new memory."""
    if isinstance(result, tuple):
        return tuple(view_or_new(part, sources) for part in result)
    if isinstance(result, np.ndarray):
        for source in sources:
            if np.may_share_memory(result, source.host):
                return array.Array(result, source)
    return new(result)


def rebuild(host):
    """An array from a pickle."""
    return array.Array(host)
