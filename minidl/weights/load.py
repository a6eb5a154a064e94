"""Weights from files into models, and back."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from minidl.checkpoint import atomic_write
from minidl.nn.module import Module
from minidl.tensor import Tensor
from minidl.weights import densenet
from minidl.weights.file import open_weights
from minidl.weights.safetensors import write_safetensors
from minidl.weights.stored import Array, Stored, WeightsError

WRAPPERS = ("module", "_orig_mod")
"""What DataParallel and torch.compile add to the path of what they wrap."""
LISTED = 8
"""How many names an error lists of a kind."""

Rename = Callable[[str], str]
Shapes = dict[str, tuple[int, ...]]


class LoadedWeights(NamedTuple):
    """What `load_weights` left as it was."""

    missing_keys: list[str]
    """The model's, of which the file has nothing (strict=False)."""
    unexpected_keys: list[str]
    """The file's, for which the model has no place (strict=False)."""
    initial_keys: list[str]
    """The head's, because the file has another number of classes."""


def load_weights(
    model: Module, file: str | Path, *, strict: bool = True, rename: Rename | None = None, new_first: bool = False
) -> LoadedWeights:
    """Copy weights from a file into the model: safetensors, what torch.save writes (.pth, .pt), or .npz.

    Nothing in the file is run, and nothing is changed if the file does not fit: WeightsError lists what is missing,
    unexpected or of another shape. strict=False lets missing and unexpected names pass. Numbers take the model's dtype.
    Prefixes (`module.`, or whatever stands before all names) are taken off, and torchvision's old names of DenseNets
    are understood. A head for another number of classes keeps its initial weights, with a warning.

    rename: from a name in the file to the model's, for networks whose parts are named otherwise.
    new_first: the file is of a DenseNet that concatenates [new, old]; ours concatenates [old, new].
    """
    own = model.state_dict()
    with open_weights(file) as stored:
        found = _under_own_names(stored, own, rename)
        shapes = {name: tensor.shape for name, tensor in own.items()}
        misfits = {key: found[key].shape for key in own if key in found and found[key].shape != shapes[key]}
        head = _head(misfits, shapes)
        missing = [key for key in own if key not in found and not key.endswith("num_batches_tracked")]
        unexpected = [key for key in found if key not in own]
        must_fit = strict or len(unexpected) == len(found)  # if nothing at all is known by name, something is wrong
        problems = {
            "missing": missing if must_fit else [],
            "unexpected": unexpected if must_fit else [],
            "of another shape": [f"{key}: got {got}, wanted {shapes[key]}" for key, got in misfits.items() if not head],
        }
        if any(problems.values()):
            raise WeightsError(_misfit(file, model, problems))
        arrays = {key: _converted(key, found[key].read(), own[key]) for key in own if key in found and key not in head}
    model.load_state_dict(densenet.old_first(arrays, shapes) if new_first else arrays, strict=False)
    if head:
        (theirs, *_), (ours, *_) = misfits[head[0]], shapes[head[0]]
        warnings.warn(
            f"{file} is for {theirs} classes and the model for {ours}: {', '.join(head)} keep their initial values",
            stacklevel=2,
        )
    return LoadedWeights(missing, unexpected, head)


def save_weights(model: Module, file: str | Path) -> None:
    """Write a model's parameters and persistent buffers as safetensors, all or nothing; PyTorch's tools open it."""
    arrays = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    with atomic_write(file) as temporary, temporary.open("wb") as opened:
        write_safetensors(opened, arrays)


def _under_own_names(
    stored: Mapping[str, Stored], own: Mapping[str, Tensor], rename: Rename | None
) -> dict[str, Stored]:
    """What the file has, each under the name by which the model calls it."""
    added = [part for part in WRAPPERS if not any(part in name.split(".") for name in own)]
    names = {}
    for name in stored:
        ours = name if rename is None else rename(name)
        names[name] = densenet.today(".".join(part for part in ours.split(".") if part not in added))
    prefix = _prefix(names.values(), own)
    names = {name: ours.removeprefix(prefix) for name, ours in names.items()}
    for ours, count in Counter(names.values()).items():
        if count > 1:
            both = " and ".join(name for name in names if names[name] == ours)
            raise WeightsError(f"load_weights: {both} would all be {ours}: rename one")
    return {ours: stored[name] for name, ours in names.items()}


def _prefix(names: Iterable[str], own: Mapping[str, Tensor]) -> str:
    """What stands before most names that, but for it, are the model's."""
    ends = ((name, name.split(".", dots)[-1]) for name in names for dots in range(name.count(".") + 1))
    votes = Counter(name.removesuffix(end) for name, end in ends if end in own)
    return max(votes, key=lambda prefix: (votes[prefix], -len(prefix)), default="")


def _head(misfits: Shapes, shapes: Shapes) -> list[str]:
    """The names that do not fit, if all that is wrong with them is one number of outputs, that of the classes."""
    changes = {(got[:1], shapes[key][:1]) for key, got in misfits.items()}
    weights = {key: "".join(key.rpartition(".")[:2]) + "weight" for key in misfits}
    of_outputs = all(got[1:] == shapes[key][1:] for key, got in misfits.items())
    of_layers = all(len(shapes.get(weight, shapes[key])) > 1 for key, weight in weights.items())
    return list(misfits) if len(changes) == 1 and of_outputs and of_layers else []


def _misfit(file: str | Path, model: Module, problems: Mapping[str, list[str]]) -> str:
    lines = [f"load_weights: {file} does not fit {type(model).__name__}, which stays as it is"]
    for what, names in problems.items():
        rest = [f"and {len(names) - LISTED} more"] if len(names) > LISTED else []
        lines += [f"  {what}:", *(f"    {name}" for name in [*names[:LISTED], *rest])] if names else []
    if any(name.startswith("optimizer.") for name in problems["unexpected"]):
        lines.append("it is the checkpoint of a whole run; best.safetensors beside it holds the weights alone")
    hint = "strict=False lets missing and unexpected names pass, rename=... maps other names to the model's"
    return "\n".join([*lines, hint] if problems["missing"] or problems["unexpected"] else lines)


def _converted(key: str, array: Array, like: Tensor) -> Array:
    """The numbers in the dtype that the model has them in."""
    with np.errstate(all="ignore"):
        result = array.astype(like.dtype)
    exact = like.dtype.kind == "f" or np.array_equal(result, array)
    if not exact or not np.array_equal(np.isfinite(result), np.isfinite(array)):
        raise WeightsError(f"load_weights: {key} holds {array.dtype} numbers that {like.dtype} has not")
    return result
