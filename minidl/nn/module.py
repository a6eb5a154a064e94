"""Modules: the parts a network is made of, and how their parameters are found, named, saved and moved.

A module owns what its attributes hold: parameters, registered buffers and other modules, also inside lists,
tuples and dicts. They are found when somebody asks, not when they are assigned: a list may grow later.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np

from minidl.autograd import note_write
from minidl.backend import Array, is_cupy, to_backend
from minidl.tensor import Tensor

T = TypeVar("T")


class Parameter(Tensor):
    """A tensor that a module learns: a leaf that requires a gradient. It shares the memory of `data`."""

    __slots__ = ()

    def __init__(self, data: Tensor | Array, requires_grad: bool = True):
        super().__init__(data.data if isinstance(data, Tensor) else data)
        self.requires_grad_(requires_grad)


class IncompatibleKeys(NamedTuple):
    """What `load_state_dict(strict=False)` left alone."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class RemovableHandle:
    """Takes a hook away again."""

    def __init__(self, hooks: dict[object, Callable[..., Any]], hook: Callable[..., Any]):
        self._hooks, self._key = hooks, object()
        hooks[self._key] = hook

    def remove(self) -> None:
        """Take the hook away; once more does nothing."""
        self._hooks.pop(self._key, None)


class Module:
    """Base of all layers and models: assign parameters and modules as attributes, compute in `forward`."""

    training: bool
    """Whether layers such as dropout and batch norm behave as in training; set by `train` and `eval`."""
    _buffers: dict[str, bool]  # which attributes are buffers, and whether the state dict has them
    _forward_pre_hooks: dict[object, Callable[..., Any]]
    _forward_hooks: dict[object, Callable[..., Any]]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        # Here and not in __init__, so that a subclass may assign before, or without, super().__init__().
        self = super().__new__(cls)
        vars(self).update(training=True, _buffers={}, _forward_pre_hooks={}, _forward_hooks={})
        return self

    def __init__(self) -> None:
        super().__init__()  # takes no arguments, where object.__init__ would swallow any

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; each subclass defines it."""
        raise NotImplementedError(f"{type(self).__name__} has no forward(): define what it computes")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """`forward`, between the hooks."""
        for hook in tuple(self._forward_pre_hooks.values()):
            changed = hook(self, args)
            if changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
        output = self.forward(*args, **kwargs)
        for hook in tuple(self._forward_hooks.values()):
            changed = hook(self, args, output)
            if changed is not None:
                output = changed
        return output

    @property
    def has_hooks(self) -> bool:
        """Whether somebody watches what goes in or comes out."""
        return bool(self._forward_pre_hooks or self._forward_hooks)

    def register_forward_pre_hook(self, hook: Callable[[Any, tuple[Any, ...]], Any]) -> RemovableHandle:
        """Call hook(module, args) before `forward`; what it returns, unless None, are the arguments."""
        return RemovableHandle(self._forward_pre_hooks, hook)

    def register_forward_hook(self, hook: Callable[[Any, tuple[Any, ...], Any], Any]) -> RemovableHandle:
        """Call hook(module, args, output) after `forward`; what it returns, unless None, is the output."""
        return RemovableHandle(self._forward_hooks, hook)

    def __setattr__(self, name: str, value: Any) -> None:
        """Assign; a parameter, buffer or module gives way only to its like, or to None."""
        held = Tensor if name in self._buffers else _kind(vars(self).get(name))
        guarded = name in self._buffers or held in (Parameter, Module)
        if guarded and value is not None and _kind(value) is not held:
            raise TypeError(
                f"{type(self).__name__}.{name}: a {type(value).__name__} cannot replace a {held.__name__}: "
                "assign to its .data to change its values, `del` it first to change what it is"
            )
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        self._buffers.pop(name, None)

    def register_parameter(self, name: str, parameter: Parameter | None) -> None:
        """Assign a parameter to an attribute of this name, or None for one the module does without."""
        self._assign(name, parameter, Parameter)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Assign a tensor that moves with the module but is not learned; it is saved if it is persistent."""
        self._assign(name, tensor, Tensor)
        self._buffers[name] = persistent

    def add_module(self, name: str, module: Module | None) -> None:
        """Assign a module to an attribute of this name, which need not be an identifier."""
        self._assign(name, module, Module)

    def _assign(self, name: str, value: Any, kind: type) -> None:
        owner = type(self).__name__
        if not isinstance(name, str) or not name or "." in name:
            raise ValueError(f"{owner}: a name is a non-empty string without dots, got {name!r}")
        if value is not None and _kind(value) is not kind:
            raise TypeError(f"{owner}.{name}: expected a {kind.__name__} or None, got {type(value).__name__}")
        held = vars(self).get(name)
        if hasattr(type(self), name) or (held is not None and _kind(held) is not kind):
            raise ValueError(f"{owner} has an attribute {name!r} of another kind: choose another name")
        setattr(self, name, value)

    def _own(self, kind: type) -> Iterator[tuple[str, Any]]:
        """The parameters or modules that the attributes hold, once per name, in the order of assignment."""
        for name, value in vars(self).items():
            if name not in _BOOKKEEPING:
                yield from _search(name, value, kind)

    def _own_buffers(self) -> Iterator[tuple[str, Tensor, bool]]:
        """(name, buffer, whether it is persistent), in the order of registration."""
        for name, persistent in self._buffers.items():
            if vars(self)[name] is not None:
                yield name, vars(self)[name], persistent

    def named_modules(self, remove_duplicate: bool = True) -> Iterator[tuple[str, Module]]:
        """(dotted path, module), this one first with the path "", each once (or once per path)."""
        return self._walk("", set() if remove_duplicate else None)

    def _walk(self, path: str, seen: set[int] | None) -> Iterator[tuple[str, Module]]:
        if seen is not None:
            if id(self) in seen:
                return
            seen.add(id(self))
        yield path, self
        for name, child in self._own(Module):
            yield from child._walk(_join(path, name), seen)

    def modules(self) -> Iterator[Module]:
        """This module and all modules below it, each once."""
        return (module for _, module in self.named_modules())

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """(name, module) of the modules right below this one, each once."""
        return _once(self._own(Module))

    def children(self) -> Iterator[Module]:
        """The modules right below this one, each once."""
        return (child for _, child in self.named_children())

    def named_parameters(self, recurse: bool = True) -> Iterator[tuple[str, Parameter]]:
        """(dotted path, parameter), each parameter once however many modules share it."""
        modules = self.named_modules() if recurse else [("", self)]
        return _once((_join(path, name), p) for path, module in modules for name, p in module._own(Parameter))

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters of this module and of all below it, each once."""
        return (p for _, p in self.named_parameters(recurse))

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """(dotted path, buffer) of this module and of all below it, each buffer once."""
        return _once(
            (_join(path, name), buffer)
            for path, module in self.named_modules()
            for name, buffer, _ in module._own_buffers()
        )

    def buffers(self) -> Iterator[Tensor]:
        """The buffers of this module and of all below it, each once."""
        return (buffer for _, buffer in self.named_buffers())

    def apply(self, function: Callable[[Module], Any]) -> Self:
        """Call function(module) on every module, children before their parent."""
        for child in self.children():
            child.apply(function)
        function(self)
        return self

    def train(self, mode: bool = True) -> Self:
        """Set `training` here and below."""
        self.training = mode
        for child in self.children():
            child.train(mode)
        return self

    def eval(self) -> Self:
        """Leave training mode: `train(False)`."""
        return self.train(False)

    def requires_grad_(self, flag: bool = True) -> Self:
        """Let all parameters learn, or freeze them."""
        for p in self.parameters():
            p.requires_grad_(flag)
        return self

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for p in self.parameters():
            p.grad = None

    def to(self, target: str | type | np.dtype[Any]) -> Self:
        """Move to a backend ("numpy" or "cupy"), or turn what is floating into another floating dtype.

        Parameters and buffers get new arrays but stay the same objects, so an optimiser still knows them.
        """
        tensors = [*self.parameters(), *self.buffers()]
        if not isinstance(target, str) or target not in ("numpy", "cupy"):
            if np.dtype(target).kind != "f":
                raise TypeError(f"Module.to: expected 'numpy', 'cupy' or a floating dtype, got {target!r}")
            tensors = [tensor for tensor in tensors if tensor.dtype.kind == "f"]
        for tensor in tensors:
            _convert(tensor, target)
        return self

    def _state(self) -> dict[str, Tensor]:
        """Parameters and persistent buffers by path: those of a module first, then those of its children."""
        state: dict[str, Tensor] = {}
        for path, module in self.named_modules(remove_duplicate=False):
            kept = [(name, buffer) for name, buffer, persistent in module._own_buffers() if persistent]
            for name, tensor in (*module._own(Parameter), *kept):
                full = _join(path, name)
                if full in state:
                    raise ValueError(f"{type(self).__name__}: two tensors have the path {full!r}: rename one")
                state[full] = tensor
        return state

    def state_dict(self) -> dict[str, Tensor]:
        """The parameters and persistent buffers by path, as detached tensors that share their memory."""
        return {path: tensor.detach() for path, tensor in self._state().items()}

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> IncompatibleKeys:
        """Copy values into the parameters and persistent buffers; backend and dtype stay the module's.

        Values are tensors, or arrays of any library that NumPy can read. What fails changes nothing. Missing
        and unexpected keys are returned, and are an error if strict.
        """
        own = self._state()
        missing = [path for path in own if path not in state]
        unexpected = [key for key in state if key not in own]
        arrays = {path: _array(path, state[path]) for path in own if path in state}
        misfits = [
            f"{path} (got {array.shape}, wanted {own[path].shape})"
            for path, array in arrays.items()
            if array.shape != own[path].shape
        ]
        problems = {"wrong shape": misfits}
        if strict:
            problems |= {"missing": missing, "unexpected": unexpected}
        lines = [f"  {what}: {', '.join(map(str, names))}" for what, names in problems.items() if names]
        if lines:
            hint = " (strict=False lets missing and unexpected keys pass)" if strict else ""
            title = f"load_state_dict: the state does not fit {type(self).__name__}{hint}"
            raise RuntimeError("\n".join([title, *lines]))
        for path, array in arrays.items():
            own[path].data[...] = to_backend(array, own[path].backend)
            note_write(own[path])
        return IncompatibleKeys(missing, unexpected)

    def extra_repr(self) -> str:
        """The settings that `repr` shows in the parentheses."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = [f"({name}): {child!r}" for name, child in self._own(Module)]
        if not lines and "\n" not in extra:
            return f"{type(self).__name__}({extra})"
        body = textwrap.indent("\n".join([extra, *lines] if extra else lines), "  ")
        return f"{type(self).__name__}(\n{body}\n)"


_BOOKKEEPING = ("_buffers", "_forward_pre_hooks", "_forward_hooks")


def _kind(value: Any) -> type:
    """What a module tells apart: parameters, other tensors, modules, and the rest."""
    return next((kind for kind in (Parameter, Tensor, Module) if isinstance(value, kind)), object)


def _search(name: str, value: Any, kind: type) -> Iterator[tuple[str, Any]]:
    """What an attribute holds of a kind: itself, or what is inside lists, tuples and dicts."""
    if isinstance(value, kind):
        yield name, value
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _search(f"{name}.{index}", item, kind)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _search(f"{name}.{key}", item, kind)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _once(found: Iterable[tuple[str, T]]) -> Iterator[tuple[str, T]]:
    """Only the first of several names for the same object."""
    seen: set[int] = set()
    for name, value in found:
        if id(value) not in seen:
            seen.add(id(value))
            yield name, value


def _convert(tensor: Tensor, target: Any) -> None:
    """Give a tensor, and its gradient, an array on another backend or of another dtype."""
    array, grad, learns = tensor.detach().to(target).data, tensor.grad, tensor.requires_grad
    if array is not tensor.data:
        tensor._hold(array)  # a new leaf, because the graph knows the old dtype
        tensor.requires_grad_(learns)
        tensor.grad = None if grad is None else grad.detach().to(target)


def _array(path: str, value: Any) -> Array:
    """A value of a state dict as an array of numbers."""
    try:
        array = value.data if isinstance(value, Tensor) else value if is_cupy(value) else np.asarray(value)
    except Exception as error:  # whatever another library says when it cannot be read
        raise TypeError(f"load_state_dict: cannot read {path} as an array: {error}") from error
    if array.dtype.kind not in "biufc":
        raise TypeError(f"load_state_dict: {path} must be an array of numbers, got a {type(value).__name__}")
    return array
