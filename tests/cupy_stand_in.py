"""A stand-in for CuPy that needs no device: arrays over NumPy's memory that do and refuse what cupy.ndarray does.

It finds, without a GPU, code that would fail on one or be slow there: functions and keywords that CuPy lacks, arrays
of NumPy among CuPy's, results taken for scalars, waiting for the device. Where the two libraries differ it follows
the sources of CuPy 14.2; where CuPy is installed, its own functions say which names and arguments there are. What
it cannot know is whether a kernel of CuPy computes what NumPy does. Indices out of range, which CuPy wraps around,
are errors here.

    python -m pytest -p tests.cupy_stand_in -k "cupy and not stand_in"      # the whole suite on it: some minutes
"""

import functools
import inspect
import math
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from minidl.backend import import_cupy
from minidl.kernels.cupy import launch

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


class Array:
    """What `cupy.ndarray` is to CuPy. `host` is the NumPy array whose memory plays the device's."""

    __slots__ = ("__weakref__", "base", "host")
    __array_priority__ = 100
    __hash__ = None

    def __init__(self, host, source=None):
        assert isinstance(host, np.ndarray)
        self.host = host
        self.base = source if source is None or source.base is None else source.base

    shape = property(lambda self: self.host.shape)
    dtype = property(lambda self: self.host.dtype)
    ndim = property(lambda self: self.host.ndim)
    size = property(lambda self: self.host.size)
    itemsize = property(lambda self: self.host.itemsize)
    nbytes = property(lambda self: self.host.nbytes)
    strides = property(lambda self: self.host.strides)
    T = property(lambda self: Array(self.host.T, self))
    real = property(lambda self: Array(self.host.real, self))
    imag = property(lambda self: Array(self.host.imag, self))
    data = property(lambda self: SimpleNamespace(ptr=self.host.ctypes.data))

    @property
    def flags(self):
        flags = self.host.flags
        return SimpleNamespace(c_contiguous=flags.c_contiguous, f_contiguous=flags.f_contiguous, owndata=flags.owndata)

    # ------------------------------------------------------------------------------------------- NumPy's functions
    def __array__(self, dtype=None):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`")

    def __array_function__(self, function, types, args, kwargs):
        if _theirs(function) is None or not all(issubclass(t, (Array, np.ndarray)) for t in types):
            return NotImplemented
        return call(function, *args, **kwargs)

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **kwargs):
        if real is not None and not hasattr(real, ufunc.__name__):
            return NotImplemented
        if out is not None:
            (kwargs["out"],) = out
        if method == "at":
            return scatter(ufunc, *inputs, **kwargs)
        if method == "reduce" and ufunc in (np.add, np.multiply):
            return call({np.add: np.sum, np.multiply: np.prod}[ufunc], *inputs, **kwargs)
        if ufunc in COMPARISONS.values():  # a NumPy scalar that is compared comes as an array of no axes
            inputs = [x.item() if isinstance(x, np.ndarray) and not x.ndim else x for x in inputs]
        if method != "__call__":
            raise NotImplementedError(f"`cupy_{ufunc.__name__}.{method}` is not supported yet")
        return elementwise(ufunc, *inputs, **kwargs)

    # ------------------------------------------------------------------------------------------- waiting for results
    def get(self, stream=None, order="C", out=None, blocking=True):
        log["wait"] += 1
        return np.array(self.host, order=order)

    def item(self):
        if self.size != 1:
            raise ValueError("can only convert an array of size 1 to a Python scalar")
        return self.get().item()

    def tolist(self):
        return self.get().tolist()

    def __bool__(self):
        if self.size != 1:
            raise ValueError("The truth value of an array with other than one element is ambiguous.")
        return bool(self.get())

    def __int__(self):
        return int(self.get())

    def __float__(self):
        return float(self.get())

    def __format__(self, spec):
        return format(self.get(), spec)

    def __repr__(self):
        return repr(self.get())

    # ------------------------------------------------------------------------------------------- containers, copies
    def __len__(self):
        if not self.shape:
            raise TypeError("len() of unsized object")
        return self.shape[0]

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index):
        return _view_or_new(self.host[_index(index)], [self])

    def __setitem__(self, index, value):
        if isinstance(value, (np.ndarray, list, tuple)) and np.ndim(value):
            raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
        log["launch"] += 1
        self.host[_index(index)] = _host(value)

    def __copy__(self):
        return self.copy()

    def __deepcopy__(self, memo):
        return self.copy()

    def __reduce__(self):
        return asarray, (self.get(order="A"),)

    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
        return SimpleNamespace(host=self.host)

    def __dlpack_device__(self):
        return (2, 0)

    def astype(self, dtype, order="K", casting=None, subok=None, copy=True):
        if casting is not None or subok is not None:
            raise TypeError("casting and subok are not supported yet")
        if not copy and np.dtype(dtype) == self.dtype and order == "K":
            return self
        log["launch"] += 1
        return Array(self.host.astype(dtype, order=order))

    def copy(self, order="C"):
        return self.astype(self.dtype, order=order)

    def view(self, dtype=None, type=None):
        assert type is None
        return Array(self.host.view(self.dtype if dtype is None else dtype), self)

    def fill(self, value):
        self[...] = value

    # ------------------------------------------------------------------------------------------- shapes and sums
    def reshape(self, *shape, order="C", copy=None):
        result = self.host.reshape(*shape, order=order)
        log["copy"] += bool(self.size) and not np.may_share_memory(result, self.host)
        return _view_or_new(result, [self])

    def transpose(self, *axes):
        return Array(self.host.transpose(*axes), self)

    def swapaxes(self, axis1, axis2):
        return Array(self.host.swapaxes(axis1, axis2), self)

    def ravel(self, order="C"):
        return _view_or_new(self.host.ravel(order), [self])

    def squeeze(self, axis=None):
        return Array(self.host.squeeze(axis), self)

    def sum(self, axis=None, dtype=None, out=None, keepdims=False):
        return call(np.sum, self, axis=axis, dtype=dtype, out=out, keepdims=keepdims)

    def mean(self, axis=None, dtype=None, out=None, keepdims=False):
        return call(np.mean, self, axis=axis, dtype=dtype, out=out, keepdims=keepdims)

    def max(self, axis=None, out=None, keepdims=False):
        return call(np.max, self, axis=axis, out=out, keepdims=keepdims)

    def min(self, axis=None, out=None, keepdims=False):
        return call(np.min, self, axis=axis, out=out, keepdims=keepdims)

    def argmax(self, axis=None, out=None, dtype=None, keepdims=False):
        return call(np.argmax, self, axis=axis, out=out, keepdims=keepdims)

    def all(self, axis=None, out=None, keepdims=False):
        return call(np.all, self, axis=axis, out=out, keepdims=keepdims)

    def any(self, axis=None, out=None, keepdims=False):
        return call(np.any, self, axis=axis, out=out, keepdims=keepdims)


def _operators(name, ufunc):
    """x + y, y + x and x += y, for one of the operators. Another type that knows better gets its turn."""

    def forward(self, other):
        known_better = getattr(other, "__array_ufunc__", ...) is None
        return NotImplemented if known_better else elementwise(ufunc, self, other)

    def reflected(self, other):
        return elementwise(ufunc, other, self)

    def in_place(self, other):
        return elementwise(ufunc, self, other, out=self)

    setattr(Array, f"__{name}__", forward)
    if name not in COMPARISONS:
        setattr(Array, f"__r{name}__", reflected)
    if name not in COMPARISONS and name != "matmul":
        setattr(Array, f"__i{name}__", in_place)


ARITHMETIC = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "truediv": np.true_divide,
    "floordiv": np.floor_divide,
    "mod": np.remainder,
    "pow": np.power,
    "matmul": np.matmul,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
}
COMPARISONS = {
    "lt": np.less,
    "le": np.less_equal,
    "eq": np.equal,
    "ne": np.not_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}
for _name, _ufunc in {**ARITHMETIC, **COMPARISONS}.items():
    _operators(_name, _ufunc)
Array.__neg__ = lambda self: elementwise(np.negative, self)
Array.__abs__ = lambda self: elementwise(np.absolute, self)
Array.__invert__ = lambda self: elementwise(np.invert, self)


# ------------------------------------------------------------------------------------------------------ calls of CuPy
def elementwise(ufunc, *inputs, out=None, dtype=None, casting="same_kind", **unknown):
    """CuPy's ufunc of this name (or matmul): on its own arrays and on scalars."""
    if unknown:
        raise TypeError(f"Wrong arguments {unknown}")
    for x in inputs:
        if not isinstance(x, (Array, np.generic, bool, int, float, complex)):
            raise TypeError(f"Unsupported type {type(x)}")
    log["launch"] += 1
    if ufunc is np.matmul:
        log["copy"] += _copies_of_matmul(*inputs)
    with np.errstate(all="ignore"):
        result = np.asarray(ufunc(*map(_host, inputs), dtype=dtype, order="C"))
    if out is None:
        return Array(result)
    if not isinstance(out, Array):
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
    ufunc.at(x.host, _index(indices), _host(values))


def call(function, *args, **kwargs):
    """CuPy's function of the name of this one of NumPy: its arguments must fit, and no array be NumPy's."""
    theirs = _theirs(function)
    if theirs is None:
        raise AttributeError(f"CuPy has no {function.__name__}")
    with_signature = inspect.isfunction(theirs)
    bound = inspect.signature(theirs if with_signature else function).bind(*args, **kwargs).arguments
    if function.__name__ not in ("asarray", "array"):
        _refuse_numpy([args, kwargs])
    if function.__name__ == "concatenate" and any(not x.shape for x in args[0]):
        raise TypeError("zero-dimensional arrays cannot be concatenated")
    if function.__name__.endswith("_like") and bound.get("shape") == ():
        kwargs["shape"] = args[0].shape  # CuPy takes an empty shape for none
    with np.errstate(all="ignore"):
        result = function(*_hosts(args), **_hosts({key: value for key, value in kwargs.items() if value is not None}))
    if function.__name__ in KEEP_LAYOUT:
        log["launch"] += function.__name__ != "empty_like"
        return Array(result)
    return _view_or_new(result, list(_arrays([args, kwargs])))


def _theirs(function):
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
    if isinstance(nest, Array):
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


def _hosts(nest):
    """The nest with NumPy arrays in place of stand-ins."""
    if isinstance(nest, dict):
        return {key: _hosts(value) for key, value in nest.items()}
    return type(nest)(map(_hosts, nest)) if isinstance(nest, (list, tuple)) else _host(nest)


def _host(x):
    return x.host if isinstance(x, Array) else x


def _index(index):
    """An index for the host. CuPy copies NumPy arrays in it to the device; masks make it wait for their count."""
    for part in index if isinstance(index, tuple) else (index,):
        log["upload"] += isinstance(part, (np.ndarray, list))
        log["wait"] += getattr(part, "dtype", None) == np.bool_
    return _hosts(index)


def _new(result):
    """New memory: C-contiguous, and an array even if it is one number."""
    log["launch"] += 1
    return Array(np.array(result, order="C"))


def _view_or_new(result, sources):
    """What NumPy returned: a view of one of the sources, or new memory."""
    if isinstance(result, tuple):
        return tuple(_view_or_new(part, sources) for part in result)
    if isinstance(result, np.ndarray):
        for source in sources:
            if np.may_share_memory(result, source.host):
                return Array(result, source)
    return _new(result)


# --------------------------------------------------------------------------------------------------------- the module
def asarray(a, dtype=None, order=None, *, copy=None, blocking=False):
    if isinstance(a, Array):
        return a if dtype is None else a.astype(dtype, copy=False)
    log["upload"] += 1
    return Array(np.array(a, dtype=dtype, order="C"))


def asnumpy(a, stream=None, order="C", out=None, *, blocking=True):
    return a.get(order=order) if isinstance(a, Array) else np.asarray(a, order=order)


def from_dlpack(array, *, device=None, copy=None):
    return Array(array.__dlpack__().host)


class Event:
    """A moment; the clock is the host's."""

    def record(self, stream=None):
        self.time = time.perf_counter()

    def synchronize(self):
        log["wait"] += 1


class Device:
    """The only one."""

    id, compute_capability = 0, "90"

    def synchronize(self):
        log["wait"] += 1


CUDA = SimpleNamespace(
    Device=Device,
    Event=Event,
    get_elapsed_time=lambda start, end: 1000 * (end.time - start.time),
    is_available=lambda: True,
    nvrtc=SimpleNamespace(getVersion=lambda: (13, 0)),
    runtime=SimpleNamespace(
        driverGetVersion=lambda: 13000,
        runtimeGetVersion=lambda: 13000,
        getDeviceProperties=lambda device: {
            "name": b"Stand-in",
            "multiProcessorCount": 1,
            "totalGlobalMem": 8 << 30,
            "l2CacheSize": 1 << 20,
        },
    ),
)
POOL = SimpleNamespace(total_bytes=lambda: 0, free_all_blocks=lambda: None)


class Library(ModuleType):
    """The module `cupy`, as far as somebody asks for it."""

    ndarray = Array
    asarray = array = staticmethod(asarray)
    asnumpy = staticmethod(asnumpy)
    from_dlpack = staticmethod(from_dlpack)
    cuda = CUDA
    get_default_memory_pool = staticmethod(lambda: POOL)

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        function = getattr(np, name)
        if isinstance(function, type):
            return function
        if isinstance(function, np.ufunc):
            wrapped = functools.partial(elementwise, function)
            wrapped.at = functools.partial(scatter, function)
            return wrapped
        return functools.partial(call, function)


def erf(x):
    """`cupyx.scipy.special.erf`."""
    log["launch"] += 1
    return Array(np.vectorize(math.erf, otypes=[x.dtype])(x.host))


def install(patch, compile_for_cpu):
    """Make the stand-in what minidl takes for CuPy, its .cu kernels compiled by `compile_for_cpu`."""
    special = SimpleNamespace(erf=erf)
    for name, module in {
        "cupy": Library("cupy"),
        "cupyx": ModuleType("cupyx"),
        "cupyx.scipy": SimpleNamespace(special=special),
        "cupyx.scipy.special": special,
    }.items():
        patch.setitem(sys.modules, name, module)
    import_cupy.cache_clear()

    def function(source, kernel, dtype):
        run = compile_for_cpu(source, kernel, dtype)

        def launched(grid, block, args):
            log["launch"] += 1
            for x in args:
                if isinstance(x, np.ndarray) and x.size != 1:
                    raise TypeError(f"You are trying to pass a numpy.ndarray of shape {x.shape} as a kernel parameter.")
            run(grid, block, tuple(map(_host, args)))

        return launched

    patch.setattr(launch, "function", function)


def pytest_configure(config):
    """As a plugin: be CuPy from the start."""
    from tests.kernels.conftest import CudaOnCpu

    folder = tempfile.TemporaryDirectory()
    config.add_cleanup(folder.cleanup)
    install(pytest.MonkeyPatch(), CudaOnCpu(Path(folder.name)).function)
