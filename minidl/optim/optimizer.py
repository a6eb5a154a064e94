"""What all optimisers share: groups of parameters and their settings, state, saving and loading."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from minidl.autograd import note_write
from minidl.backend import is_cupy, name_of, to_backend
from minidl.profiler import record_function
from minidl.tensor import Tensor

Group = dict[str, Any]
"""A list of parameters under "params", and the settings that hold for them under their names."""


class Optimizer:
    """Base of the optimisers: a subclass names its settings with their defaults, and defines `update`.

    `params` is an iterable of parameters, or of groups {"params": iterable, ...} with settings of their own.
    Parameters keep their arrays: updates are written into them.
    """

    def __init__(self, params: Iterable[Tensor] | Iterable[Group], **defaults: Any):
        name = type(self).__name__
        if isinstance(params, (Tensor, Mapping)):
            raise TypeError(
                f"{name}: params must be an iterable of tensors or of dicts, not one {type(params).__name__}"
            )
        given: list[Any] = list(params)
        if not given:
            raise ValueError(
                f"{name}: got no parameters: a generator such as model.parameters() can be used up only once"
            )
        self.defaults = defaults
        self.param_groups: list[Group] = []
        self.state: defaultdict[int, dict[str, Any]] = defaultdict(dict)
        """What updates remember, by the parameter's position when the groups are laid end to end."""
        for group in given if isinstance(given[0], Mapping) else [{"params": given}]:
            self.add_param_group(group)

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Learn more parameters: {"params": iterable, ...}, with the defaults for settings not given."""
        name = type(self).__name__
        unknown = group.keys() - self.defaults.keys() - {"params", "name"}
        if unknown or "params" not in group:
            raise ValueError(f"{name}: a group has 'params' and any of {sorted(self.defaults)}, got {sorted(group)}")
        params = [group["params"]] if isinstance(group["params"], Tensor) else list(group["params"])
        known = {id(p) for p in self._params()}
        for p in params:
            if not isinstance(p, Tensor):
                raise TypeError(f"{name}: a parameter must be a Tensor, got {type(p).__name__}")
            if not p.is_leaf:
                raise ValueError(f"{name}: an op computed this tensor, it cannot learn: pass a leaf, say a Parameter")
            if id(p) in known:
                raise ValueError(f"{name}: a parameter of shape {p.shape} is given twice")
            known.add(id(p))
        settings = {key: _plain(group.get(key, default)) for key, default in self.defaults.items()}
        self.check(**settings)
        self.param_groups.append({**group, "params": params, **settings})

    def check(self, **settings: Any) -> None:
        """Refuse settings that make no sense."""
        for key, value in settings.items():
            if key == "betas":
                if len(value) != 2 or not all(0 <= beta < 1 for beta in value):
                    raise ValueError(f"{type(self).__name__}: betas must be two numbers in [0, 1), got {value}")
            elif not value >= 0:
                raise ValueError(f"{type(self).__name__}: {key} must be a number ≥ 0, got {value}")

    def update(self, *arrays: Any, **settings: Any) -> None:
        """Move p against its gradient: update(p, g, state, **settings), arrays and a dict, empty at first."""
        raise NotImplementedError(f"{type(self).__name__} has no update(): define how it moves a parameter")

    def step(self) -> None:
        """Update every parameter that has a gradient."""
        with record_function(f"{type(self).__name__}.step"):
            positions = itertools.count()
            for group in self.param_groups:
                settings = {key: _plain(group[key]) for key in self.defaults}
                for p, position in zip(group["params"], positions, strict=False):
                    if p.grad is not None:
                        self._move(p, self.state[position], settings)

    def _move(self, p: Tensor, state: dict[str, Any], settings: dict[str, Any]) -> None:
        for key, value in state.items():
            state[key] = _like(p.data, value)
        self.update(p.data, _like(p.data, p.grad.data), state, **settings)  # type: ignore[union-attr]
        note_write(p)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or make them zeros: then `step` still moves what has momentum or decays."""
        for p in self._params():
            if p.grad is not None:
                p.grad = None if set_to_none else Tensor(np.zeros_like(p.grad.data))

    def _params(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def state_dict(self) -> dict[str, Any]:
        """A copy of all that `step` depends on, but for the parameters: {"state": ..., "param_groups": ...}.

        "state" is {position: {name: array or number}}; groups hold numbers, and positions for parameters.
        """
        positions = itertools.count()
        return {
            "state": {
                position: {key: value.copy() if _is_array(value) else value for key, value in state.items()}
                for position, state in self.state.items()
                if state
            },
            "param_groups": [
                {
                    key: [next(positions) for _ in value] if key == "params" else _plain(value)
                    for key, value in group.items()
                }
                for group in self.param_groups
            ],
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from a copy of a saved state; parameters are matched by position, in groups as they were.

        Arrays may be on another backend, positions may be strings, as in JSON. What fails changes nothing.
        """
        name, params, groups = type(self).__name__, self._params(), state_dict["param_groups"]
        sizes, wanted = ([len(group["params"]) for group in some] for some in (groups, self.param_groups))
        if sizes != wanted:
            raise ValueError(f"{name}: the saved groups have {sizes} parameters, wanted {wanted}")
        for group in groups:
            if not self.defaults.keys() <= group.keys():
                raise ValueError(f"{name}: a saved group has {sorted(group)}, wanted {sorted(self.defaults)}")
        loaded: defaultdict[int, dict[str, Any]] = defaultdict(dict)
        for position, state in state_dict["state"].items():
            if not 0 <= int(position) < len(params):
                raise ValueError(f"{name}: the saved state is for parameter {position} of {len(params)}")
            p = params[int(position)]
            for key, value in state.items():
                if _is_array(value) and value.shape != p.shape:
                    where = f"{name}: the saved {key} of parameter {position}"
                    raise ValueError(f"{where} has shape {value.shape}, wanted {p.shape}")
                loaded[int(position)][key] = _like(p.data, value.copy()) if _is_array(value) else value
        self.state = loaded
        for group, saved in zip(self.param_groups, groups, strict=True):
            group.update({key: _plain(value) for key, value in saved.items() if key != "params"})

    def __repr__(self) -> str:
        groups = [
            f"{len(group['params'])} parameters: "
            + ", ".join(f"{key}={value}" for key, value in group.items() if key != "params")
            for group in self.param_groups
        ]
        return f"{type(self).__name__}({'; '.join(groups)})"


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) or is_cupy(value)


def _like(array: Any, value: Any) -> Any:
    """The value, if an array on the backend and of the dtype of this one: a model may move between steps."""
    if not _is_array(value) or (type(value) is type(array) and value.dtype == array.dtype):
        return value
    return to_backend(value, name_of(array)).astype(array.dtype, copy=False)


def _plain(value: Any) -> Any:
    """Python's own numbers: a float64 scalar of NumPy would turn float32 work into float64."""
    if isinstance(value, (list, tuple)):
        return tuple(_plain(item) for item in value)
    return value.item() if isinstance(value, np.generic) else value
