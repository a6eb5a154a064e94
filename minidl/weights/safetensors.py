"""safetensors: eight bytes that say how long the header is, the header, JSON, and after it the arrays' bytes.

https://huggingface.co/docs/safetensors. Read and written here rather than by the library, whose NumPy side has no
bfloat16.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import IO, Any

import numpy as np

from minidl.weights.stored import BFLOAT16, Array, Dtype, Storage, Stored, file_size, read_exactly

DTYPES: dict[str, Dtype | str] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": BFLOAT16,
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U64": np.dtype("<u8"),
    "U32": np.dtype("<u4"),
    "U16": np.dtype("<u2"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}
CODES = {dtype: code for code, dtype in DTYPES.items()}


def read_safetensors(file: IO[bytes]) -> dict[str, Stored]:
    """The arrays by name, in the header's order."""
    size = file_size(file)
    start = 8 + int.from_bytes(read_exactly(file, 0, 8), "little")
    if start > size:
        raise EOFError(f"a header of {start - 8} bytes is announced in a file of {size}")
    header = json.loads(read_exactly(file, 8, start))
    header.pop("__metadata__", None)
    return {name: _stored(file, name, entry, start, size - start) for name, entry in header.items()}


def _stored(file: IO[bytes], name: str, entry: dict[str, Any], start: int, size: int) -> Stored:
    code, (begin, end) = entry["dtype"], entry["data_offsets"]
    if code not in DTYPES:
        raise ValueError(f"{name} is of type {code!r}; known are {', '.join(DTYPES)}")
    if not 0 <= begin <= end <= size:
        raise EOFError(f"{name} ends at byte {end} of {size}")

    def read(first: int, last: int) -> bytes:
        return read_exactly(file, start + begin + first, start + begin + last)

    itemsize = Storage(DTYPES[code], 0, read).itemsize
    if (end - begin) % itemsize:
        raise ValueError(f"{name} has {end - begin} bytes, which are no numbers of type {code}")
    return Storage(DTYPES[code], (end - begin) // itemsize, read).whole(entry["shape"])


def write_safetensors(file: IO[bytes], arrays: Mapping[str, Array]) -> None:
    """Write arrays of numbers; the widest types come first, so that each lies at a multiple of its width."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}  # what other readers take for PyTorch's conventions
    contents, end = [], 0
    for name, array in sorted(arrays.items(), key=lambda item: -item[1].itemsize):
        dtype = array.dtype.newbyteorder("<")
        content = array.astype(dtype).tobytes()
        offsets = [end, end + len(content)]
        header[name] = {"dtype": CODES[dtype], "shape": array.shape, "data_offsets": offsets}
        contents.append(content)
        end += len(content)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.writelines([len(text).to_bytes(8, "little"), text, *contents])
