"""What `torch.save` writes, read without torch, and without running any of it.

Since torch 1.6 it is a zip: a pickle, data.pkl, and a file of bare numbers for each storage. Before, it was pickles one
after another (a magic number, a version, the machine, the object, the keys of the storages), then for each storage its
length and its numbers. In the pickle a tensor is a call of `_rebuild_tensor_v2` with a storage, an offset, a shape and
strides. These calls are answered here; whatever else the pickle names is refused.
"""

from __future__ import annotations

import functools
import mmap
import zipfile
from collections.abc import Callable
from typing import IO, Any, ClassVar

import numpy as np

from minidl.unpickler import RefusalError, Unpickler
from minidl.weights.stored import BFLOAT16, Dtype, PlaceError, Storage, Stored, read_exactly

MAGIC = 0x1950A86A20F9469CFC6C
"""What the first pickle of the older format holds."""
CODES = {
    "torch.DoubleStorage": "f8",
    "torch.FloatStorage": "f4",
    "torch.HalfStorage": "f2",
    "torch.BFloat16Storage": BFLOAT16,
    "torch.LongStorage": "i8",
    "torch.IntStorage": "i4",
    "torch.ShortStorage": "i2",
    "torch.CharStorage": "i1",
    "torch.ByteStorage": "u1",
    "torch.BoolStorage": "?",
}
ORDERED_DICT = "an ordered dict"
NESTS = ("state_dict", "model_state_dict", "model", "net")
"""Under these names checkpoints keep the weights beside the epoch and the optimizer; or in the one dict of tensors."""
LEVELS = 3
"""How deep: a nest may hold itself."""

Open = Callable[[str, "Dtype | str", int], Storage]
"""From a storage's key, type and length to the storage."""


def read_torch_zip(archive: zipfile.ZipFile) -> dict[str, Stored]:
    """The tensors of the state dict in a file of today's format, by name."""
    (pickled,) = (name for name in archive.namelist() if name.count("/") == 1 and name.endswith("/data.pkl"))
    folder = pickled.removesuffix("data.pkl")
    named = f"{folder}byteorder" in archive.namelist()
    order = archive.read(_uncompressed(archive, f"{folder}byteorder")) if named else b"little"

    def storage(key: str, dtype: Dtype | str, length: int) -> Storage:
        info = _uncompressed(archive, f"{folder}data/{key}")
        found = Storage(dtype, length, lambda start, stop: _read_member(archive, info, start, stop))
        if info.file_size != length * found.itemsize:
            raise ValueError(f"storage {key} has {info.file_size} bytes where {length * found.itemsize} are announced")
        return found

    program = archive.read(_uncompressed(archive, pickled))
    return _state(_Unpickler(storage, order == b"big").run(program))


def read_torch_pickles(disk: IO[bytes]) -> dict[str, Stored]:
    """The tensors of the state dict in a file of the format before torch 1.6, by name."""
    file: Any = mmap.mmap(disk.fileno(), 0, access=mmap.ACCESS_READ)  # reads no more than is there, whatever is asked
    if Unpickler().run(file) != MAGIC:
        raise RefusalError("what torch.save did not write")
    _, machine = Unpickler().run(file), Unpickler().run(file)
    starts: dict[str, int] = {}
    storages: dict[str, Storage] = {}

    def storage(key: str, dtype: Dtype | str, length: int) -> Storage:
        read = functools.partial(_read_behind, file, starts, key)
        return storages.setdefault(key, Storage(dtype, length, read))

    state = _state(_Unpickler(storage, not machine["little_endian"]).run(file))
    keys = Unpickler().run(file)
    start = file.tell()
    for key in keys:
        length = int.from_bytes(read_exactly(file, start, start + 8), "little")
        if length != storages[key].length:
            raise ValueError(f"storage {key} has {length} numbers where {storages[key].length} are announced")
        starts[key] = start + 8
        start += 8 + length * storages[key].itemsize
    if start > len(file) or starts.keys() != storages.keys():
        raise EOFError("not all storages are there")
    return state


class _Unpickler(Unpickler):
    """Builds tensors, and dicts and lists of them."""

    names: ClassVar = {
        **CODES,
        "collections.OrderedDict": ORDERED_DICT,
        "torch._utils._rebuild_parameter": lambda tensor, *_: tensor,
        "torch._utils._rebuild_tensor": lambda storage, *place: storage.array(*place),
        "torch._utils._rebuild_tensor_v2": lambda storage, offset, shape, strides, *_: storage.array(
            offset, shape, strides
        ),
    }

    def __init__(self, storage: Open, big_endian: bool):
        super().__init__()
        self.storage, self.order = storage, ">" if big_endian else "<"

    def call(self, function: Any, arguments: Any) -> Any:
        if function == ORDERED_DICT:  # called with nothing, or in Python 2 with a list of pairs
            return self.pairs([part for pairs in arguments for pair in pairs for part in pair])
        if isinstance(function, str) or not callable(function):
            raise RefusalError("a call of something that makes no tensor")
        return function(*arguments)

    def build(self, thing: Any, state: Any) -> None:
        """Attributes of a state dict, its versions, are left alone."""
        if type(thing) is not dict:
            raise RefusalError(f"attributes of a {type(thing).__name__}")

    def refer(self, key: Any) -> Storage:
        kind, code, name, _, length, *view = key
        if kind != "storage" or code not in CODES.values():
            raise RefusalError("a reference to something that is no storage")
        if any(part is not None for part in view):
            raise RefusalError("a storage that is part of another")
        if self.order == ">" and code == BFLOAT16:
            raise RefusalError("bfloat16 of a big-endian machine")
        if type(name) is not str or type(length) is not int:
            raise ValueError("a storage has a name and a length")
        return self.storage(name, code if code == BFLOAT16 else np.dtype(code).newbyteorder(self.order), length)


def _state(nest: Any) -> dict[str, Stored]:
    """The tensors by name, of a state dict or of the one within a checkpoint; by path, where tensors lie beside it.

    The rest is left, and so is what layers keep beside their tensors, which torch names `_extra_state`.
    """
    for _ in range(LEVELS):
        inner = [nest[name] for name in NESTS if isinstance(nest.get(name), dict)] if isinstance(nest, dict) else []
        nest = inner[0] if inner else nest
    if isinstance(nest, Stored):
        raise PlaceError("it holds no weights by name, but a tensor")
    if not isinstance(nest, dict):
        raise ValueError(f"there are no weights in it, but a {type(nest).__name__}")
    bare = _tensors(nest)
    dicts = {name: _tensors(value) for name, value in nest.items() if not str(name).endswith("_extra_state")}
    held = {name: state for name, state in dicts.items() if state}
    if len(held) > 1 or not (bare or held):
        what = "several dicts of weights in" if held else f"no weights, nor under {' or '.join(NESTS)}, but"
        raise PlaceError(f"it holds {what} {', '.join(map(str, nest)) or 'nothing':.200}")
    return bare | {f"{name}.{key}" if bare else key: value for name in held for key, value in held[name].items()}


def _tensors(nest: Any) -> dict[str, Stored]:
    """The tensors that a dict holds by name, if it is one."""
    held = nest.items() if isinstance(nest, dict) else ()
    return {name: value for name, value in held if isinstance(name, str) and isinstance(value, Stored)}


def _uncompressed(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    """A file in the archive, which is no longer than the archive itself."""
    info = archive.getinfo(name)
    if info.compress_type != zipfile.ZIP_STORED:
        raise RefusalError(f"{name}, which is compressed, as torch.save never does")
    if archive.fp is None or info.file_size > archive.fp.seek(0, 2):
        raise EOFError(f"{name} is longer than the file it is in")
    return info


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, start: int, stop: int) -> bytes:
    with archive.open(info) as file:
        return read_exactly(file, start, stop)


def _read_behind(file: IO[bytes], starts: dict[str, int], key: str, start: int, stop: int) -> bytes:
    return read_exactly(file, starts[key] + start, starts[key] + stop)
