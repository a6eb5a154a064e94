"""The arrays of the stand-in: what `cupy.ndarray` has, does, and refuses."""

from types import SimpleNamespace

import numpy as np

from tests.cupy_stand_in import calls


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
        if calls.theirs(function) is None or not all(issubclass(t, (Array, np.ndarray)) for t in types):
            return NotImplemented
        return calls.call(function, *args, **kwargs)

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **kwargs):
        if calls.real is not None and not hasattr(calls.real, ufunc.__name__):
            return NotImplemented
        if out is not None:
            (kwargs["out"],) = out
        if method == "at":
            return calls.scatter(ufunc, *inputs, **kwargs)
        if method == "reduce" and ufunc in (np.add, np.multiply):
            return calls.call({np.add: np.sum, np.multiply: np.prod}[ufunc], *inputs, **kwargs)
        if ufunc in COMPARISONS.values():  # a NumPy scalar that is compared comes as an array of no axes
            inputs = [x.item() if isinstance(x, np.ndarray) and not x.ndim else x for x in inputs]
        if method != "__call__":
            raise NotImplementedError(f"`cupy_{ufunc.__name__}.{method}` is not supported yet")
        return calls.elementwise(ufunc, *inputs, **kwargs)

    # ------------------------------------------------------------------------------------------- waiting for results
    def get(self, stream=None, order="C", out=None, blocking=True):
        calls.log["wait"] += 1
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
        return calls.view_or_new(self.host[calls.to_index(index)], [self])

    def __setitem__(self, index, value):
        if isinstance(value, (np.ndarray, list, tuple)) and np.ndim(value):
            raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
        calls.log["launch"] += 1
        self.host[calls.to_index(index)] = calls.to_host(value)

    def __copy__(self):
        return self.copy()

    def __deepcopy__(self, memo):
        return self.copy()

    def __reduce__(self):
        return calls.rebuild, (self.get(order="A"),)

    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
        return SimpleNamespace(host=self.host)

    def __dlpack_device__(self):
        return (2, 0)

    def astype(self, dtype, order="K", casting=None, subok=None, copy=True):
        if casting is not None or subok is not None:
            raise TypeError("casting and subok are not supported yet")
        if not copy and np.dtype(dtype) == self.dtype and order == "K":
            return self
        calls.log["launch"] += 1
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
        calls.log["copy"] += bool(self.size) and not np.may_share_memory(result, self.host)
        return calls.view_or_new(result, [self])

    def transpose(self, *axes):
        return Array(self.host.transpose(*axes), self)

    def swapaxes(self, axis1, axis2):
        return Array(self.host.swapaxes(axis1, axis2), self)

    def ravel(self, order="C"):
        return calls.view_or_new(self.host.ravel(order), [self])

    def squeeze(self, axis=None):
        return Array(self.host.squeeze(axis), self)

    def sum(self, axis=None, dtype=None, out=None, keepdims=False):
        return calls.call(np.sum, self, axis=axis, dtype=dtype, out=out, keepdims=keepdims)

    def mean(self, axis=None, dtype=None, out=None, keepdims=False):
        return calls.call(np.mean, self, axis=axis, dtype=dtype, out=out, keepdims=keepdims)

    def max(self, axis=None, out=None, keepdims=False):
        return calls.call(np.max, self, axis=axis, out=out, keepdims=keepdims)

    def min(self, axis=None, out=None, keepdims=False):
        return calls.call(np.min, self, axis=axis, out=out, keepdims=keepdims)

    def argmax(self, axis=None, out=None, dtype=None, keepdims=False):
        return calls.call(np.argmax, self, axis=axis, out=out, keepdims=keepdims)

    def all(self, axis=None, out=None, keepdims=False):
        return calls.call(np.all, self, axis=axis, out=out, keepdims=keepdims)

    def any(self, axis=None, out=None, keepdims=False):
        return calls.call(np.any, self, axis=axis, out=out, keepdims=keepdims)


def _operators(name, ufunc):
    """x + y, y + x and x += y, for one of the operators. Another type that knows better gets its turn."""

    def forward(self, other):
        known_better = getattr(other, "__array_ufunc__", ...) is None
        return NotImplemented if known_better else calls.elementwise(ufunc, self, other)

    def reflected(self, other):
        return calls.elementwise(ufunc, other, self)

    def in_place(self, other):
        return calls.elementwise(ufunc, self, other, out=self)

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
Array.__neg__ = lambda self: calls.elementwise(np.negative, self)
Array.__abs__ = lambda self: calls.elementwise(np.absolute, self)
Array.__invert__ = lambda self: calls.elementwise(np.invert, self)
