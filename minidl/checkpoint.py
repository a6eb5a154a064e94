"""Files that hold a nest of dicts and lists of arrays, numbers and strings: all that a run of training is.

The format is safetensors: the arrays, under the dotted path to each; the rest as JSON in the file's metadata, with a
checksum over everything. Nothing in such a file can run. It is one file, replaced in one step, and therefore always
whole.
"""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minidl.backend import is_cupy, to_backend
from minidl.extra import import_extra
from minidl.tensor import Tensor

Arrays = dict[str, np.ndarray[Any, Any]]
ARRAY = "$array"
"""In the JSON, {ARRAY: path} stands for the array of this path."""


class CheckpointError(ValueError):
    """A checkpoint is missing, damaged, or not what was expected."""


def save(path: str | Path, state: Mapping[str, Any]) -> None:
    """Write a nest of dicts, lists, tensors, arrays, numbers, strings, booleans and None: all of it, or nothing.

    As JSON has it, keys come back as strings and tuples as lists. Tensors come back as NumPy arrays.
    """
    safetensors = import_extra("safetensors.numpy", "train")
    arrays: Arrays = {}
    text = _dumps(_separate(state, "", arrays))
    document = json.dumps({"crc32": _checksum(text, arrays), "state": json.loads(text)})
    with atomic_write(path) as temporary:
        temporary.write_bytes(safetensors.save(arrays, metadata={"minidl": document}))


def load(path: str | Path) -> dict[str, Any]:
    """What `save` wrote; CheckpointError if it is not all there, or changed since."""
    safetensors = import_extra("safetensors", "train")
    if not Path(path).is_file():
        raise CheckpointError(f"{path}: there is no such file")
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            arrays: Arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no mapping)
            document = json.loads((file.metadata() or {})["minidl"])
        if document["crc32"] != _checksum(_dumps(document["state"]), arrays):
            raise ValueError("the checksum is wrong")
        state: dict[str, Any] = _join(document["state"], arrays)
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path}: is damaged, or none of minidl's checkpoints ({error}): delete it, or put a good copy there"
        ) from error
    return state


@contextlib.contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """A temporary path to write to, which becomes `path` when the block ends; if it fails, `path` stays as it was."""
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path}: there is no folder {path.parent}: make it first")
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())  # on the disk before it has the name, whatever the power does
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _separate(state: Any, path: str, arrays: Arrays) -> Any:
    """The nest with each array moved to `arrays`, and what stands for it in its place."""
    if isinstance(state, Tensor):
        state = state.data
    if isinstance(state, (np.ndarray, np.generic)) or is_cupy(state):
        if path in arrays:
            raise ValueError(f"checkpoint: two arrays have the path {path!r}: rename one")
        arrays[path] = np.array(to_backend(state, "numpy"), order="C")
        return {ARRAY: path}
    if isinstance(state, Mapping):
        if ARRAY in state:
            raise ValueError(f"checkpoint: {ARRAY!r} cannot be a key: it marks where arrays were: rename it")
        return {key: _separate(value, f"{path}.{key}" if path else str(key), arrays) for key, value in state.items()}
    if isinstance(state, (list, tuple)):
        return [_separate(value, f"{path}.{index}", arrays) for index, value in enumerate(state)]
    return state


def _join(state: Any, arrays: Arrays) -> Any:
    """The nest with each array back in its place."""
    if isinstance(state, dict):
        return arrays[state[ARRAY]] if state.keys() == {ARRAY} else {k: _join(v, arrays) for k, v in state.items()}
    return [_join(value, arrays) for value in state] if isinstance(state, list) else state


def _dumps(state: Any) -> str:
    return json.dumps(state, allow_nan=False)


def _checksum(text: str, arrays: Arrays) -> int:
    total = zlib.crc32(text.encode())
    for key in sorted(arrays):
        array = arrays[key]
        total = zlib.crc32(array.tobytes(), zlib.crc32(f"{key} {array.dtype} {array.shape}".encode(), total))
    return total
