"""Modules that hold modules, in order. (Modules in plain lists and dicts are found as well.)"""

from __future__ import annotations

import itertools
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Any, Self, overload

from minidl.nn.chain import chain
from minidl.nn.module import Module


class _Container(Module):
    """A module whose items are the modules among its attributes, in the order of assignment."""

    def _items(self) -> dict[str, Module]:
        return {name: value for name, value in vars(self).items() if isinstance(value, Module)}

    def __len__(self) -> int:
        return len(self._items())


class _Row(_Container):
    """A container whose items have positions, and numbers for names unless they were given others."""

    def __iter__(self) -> Iterator[Module]:
        return iter(self._items().values())

    def __setitem__(self, index: int, module: Module) -> None:
        self.add_module(list(self._items())[index], module)

    def append(self, module: Module) -> Self:
        """Add a module at the end."""
        names = self._items()
        self.add_module(next(str(i) for i in itertools.count(len(names)) if str(i) not in names), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add modules at the end."""
        for module in modules:
            self.append(module)
        return self


class Sequential(_Row):
    """The composition of modules: each takes what the one before it returns.

    Sequential(a, b) names its items "0", "1"; Sequential({"conv": a, "norm": b}) by keys. Slices keep names.
    """

    def __init__(self, *modules: Any):
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            for name, module in modules[0].items():
                self.add_module(name, module)
        else:
            self.extend(modules)

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> Sequential: ...
    def __getitem__(self, index: int | slice) -> Module:
        items = list(self._items().items())
        return Sequential(dict(items[index])) if isinstance(index, slice) else items[index][1]

    def forward(self, x: Any) -> Any:
        return chain(x, *self)


class ModuleList(_Row):
    """Modules in a list, named by their positions."""

    def __init__(self, modules: Iterable[Module] = ()):
        super().__init__()
        self.extend(modules)

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> ModuleList: ...
    def __getitem__(self, index: int | slice) -> Module:
        return ModuleList(list(self)[index]) if isinstance(index, slice) else list(self)[index]

    def __delitem__(self, index: int | slice) -> None:
        modules = list(self)
        del modules[index]
        self._renumber(modules)

    def insert(self, index: int, module: Module) -> None:
        """Put a module in front of the one at this position."""
        self.append(module)
        *modules, module = self
        modules.insert(index, module)
        self._renumber(modules)

    def _renumber(self, modules: list[Module]) -> None:
        for name in self._items():
            delattr(self, name)
        self.extend(modules)


class ModuleDict(_Container):
    """Modules in a dict, named by their keys."""

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] = ()):
        super().__init__()
        self.update(modules)

    def __getitem__(self, key: str) -> Module:
        return self._items()[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        if key not in self:
            raise KeyError(key)
        delattr(self, key)

    def __contains__(self, key: object) -> bool:
        return key in self._items()

    def __iter__(self) -> Iterator[str]:
        return iter(self._items())

    def keys(self) -> KeysView[str]:
        """The names, in the order of insertion."""
        return self._items().keys()

    def values(self) -> ValuesView[Module]:
        """The modules."""
        return self._items().values()

    def items(self) -> ItemsView[str, Module]:
        """(name, module) pairs."""
        return self._items().items()

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Add modules, or replace those whose keys are there already."""
        for key, module in dict(modules).items():
            self[key] = module
