"""Which kind of file it is, by what it begins with, whatever its name says."""

from __future__ import annotations

import contextlib
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO

from minidl.unpickler import DamageError, RefusalError
from minidl.weights.npz import read_npz
from minidl.weights.safetensors import read_safetensors
from minidl.weights.stored import PlaceError, Stored, WeightsError, file_size, read_exactly
from minidl.weights.torch_file import read_torch_pickles, read_torch_zip

RESAVE = "save it again where it came from: torch.save(model.state_dict(), path), with torch 1.6 or newer"
DAMAGES = (
    DamageError, AttributeError, EOFError, LookupError, OSError, OverflowError, RuntimeError, TypeError, ValueError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What reading raises if a file is not what it should be."""


@contextlib.contextmanager
def open_weights(path: str | Path) -> Iterator[dict[str, Stored]]:
    """The arrays in a file by name, to be read within this context; WeightsError for whatever is wrong with it."""
    if Path(path).is_dir():
        raise WeightsError(f"{path}: is a folder: name the file in it")
    if not Path(path).is_file():
        raise WeightsError(f"{path}: there is no such file")
    with Path(path).open("rb") as file:
        with _explained(path):
            found = _arrays(file)
        yield {name: replace(array, read=_explained(path)(array.read)) for name, array in found.items()}


@contextlib.contextmanager
def _explained(path: str | Path) -> Iterator[None]:
    """What goes wrong within, as an error that names the file and says what to do."""
    try:
        yield
    except RefusalError as error:
        raise WeightsError(
            f"{path}: refused to unpickle {error}; only tensors in dicts are admitted, and nothing is run: {RESAVE}"
        ) from error
    except PlaceError as error:
        raise WeightsError(f"{path}: can be read, but {error}: {RESAVE}") from error
    except DAMAGES as error:
        raise WeightsError(f"{path}: is damaged, or no file of weights ({error}): fetch it again") from error


def _arrays(file: IO[bytes]) -> dict[str, Stored]:
    head = read_exactly(file, 0, min(file_size(file), 300))
    if head.startswith(b"PK\x03\x04"):
        archive = zipfile.ZipFile(file)
        pickled = any(name.endswith("/data.pkl") for name in archive.namelist())
        return read_torch_zip(archive) if pickled else read_npz(archive)
    if head[8:9] == b"{":
        return read_safetensors(file)
    if head.startswith(b"\x80"):
        return read_torch_pickles(file)
    if head[257:262] == b"ustar":
        raise RefusalError("a tar, as torch wrote before 0.2")
    raise ValueError("it begins as neither safetensors, nor what torch.save writes, nor .npz")
