"""The idx files of MNIST and of the sets that copy its format.

http://yann.lecun.com/exdb/mnist/, "file formats": two zero bytes, a type code, the number of dimensions,
each of these as a big-endian uint32, and the values.
"""

import gzip
import io
import math
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minidl.data.dataset import Dataset
from minidl.data.download import fetch
from minidl.data.error import DataError, check_md5
from minidl.data.source import Source

UINT8 = 8  # the type code of unsigned bytes, the only type in sets of images
CHUNK = 1 << 24  # bytes asked for at a time: a header that lies about its size allocates no more than this


def read_idx(path: str | Path, shape: tuple[int, ...] | None = None, published_md5: str | None = None) -> np.ndarray:
    """The uint8 array in an idx file, gzipped or not; read-only.

    shape: what the header must say; None: anything.
    published_md5: of the file without gzip; None: not compared.
    """
    path = Path(path)
    try:
        with path.open("rb") as raw:
            zipped = raw.peek(2)[:2] == b"\x1f\x8b"
            file: io.BufferedIOBase = gzip.GzipFile(fileobj=raw) if zipped else raw
            header, found = _read_header(file, path)
            if shape is not None and found != shape:
                raise DataError(f"{path}: holds an array {found}; wanted {shape}: another file under this name?")
            content = _read_content(file, math.prod(found), path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error}); fetch it again") from error
    except (EOFError, zlib.error) as error:
        raise DataError(f"{path}: its gzip stream is damaged or cut short ({error}); fetch it again") from error
    if published_md5 is not None:
        check_md5(header + content, published_md5, path)
    return np.frombuffer(content, np.uint8).reshape(found)


def _read_header(file: io.BufferedIOBase, path: Path) -> tuple[bytes, tuple[int, ...]]:
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0":
        raise DataError(f"{path}: begins with {magic.hex(' ') or 'nothing'}; wanted 00 00: this is no idx file")
    if magic[2] != UINT8:
        raise DataError(f"{path}: its type code is {magic[2]}; wanted {UINT8}, unsigned bytes")
    lengths = file.read(4 * magic[3])
    if len(lengths) < 4 * magic[3]:
        raise DataError(f"{path}: ends within its header; fetch it again")
    return magic + lengths, tuple(np.frombuffer(lengths, ">u4").tolist())


def _read_content(file: io.BufferedIOBase, size: int, path: Path) -> bytes:
    content = bytearray()
    while len(content) < size and (chunk := file.read(min(CHUNK, size - len(content)))):
        content += chunk
    if len(content) < size:
        raise DataError(f"{path}: ends after {len(content)} of the {size} bytes it announces; fetch it again")
    if file.read(1):
        raise DataError(f"{path}: goes on after the {size} bytes it announces; fetch it again")
    return bytes(content)


@dataclass(frozen=True)
class IdxSet(Source):
    """A published set of four idx files, of 28×28 grey pixels.

    folders: where below a data root the files may lie; a download goes to the first.
    counts: number of training and test images.
    md5s, gzip_md5s: of the idx files, and of the published .gz of each, in the order of `files`.
    """

    name: str
    origin: str
    folders: tuple[str, ...]
    classes: tuple[str, ...]
    counts: tuple[int, int]
    md5s: tuple[str, ...]
    gzip_md5s: tuple[str, ...]

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(f"{split}-{kind}-ubyte" for split in ("train", "t10k") for kind in ("images-idx3", "labels-idx1"))

    def places(self, root: Path) -> list[Path]:
        return [root, *(root / folder for folder in self.folders)]

    def missing(self, place: Path) -> list[str]:
        return [name for name in self.files if not _spelt(place, name).is_file()]

    def claims(self, place: Path) -> bool:
        """Goes by the training labels, a small file that differs from set to set."""
        try:
            read_idx(_spelt(place, self.files[1]), self.counts[:1], self.md5s[1])
        except DataError:
            return False
        return True

    def read(self, place: Path) -> tuple[Dataset, Dataset]:
        shapes = [shape for count in self.counts for shape in ((count, 28, 28), (count,))]
        images, labels, test_images, test_labels = (
            read_idx(_spelt(place, name), shape, published_md5)
            for name, shape, published_md5 in zip(self.files, shapes, self.md5s, strict=True)
        )
        return Dataset(images[:, None], labels, self.classes), Dataset(test_images[:, None], test_labels, self.classes)

    def download(self, root: Path) -> None:
        for name, published_md5 in zip(self.files, self.gzip_md5s, strict=True):
            fetch(f"{self.origin}{name}.gz", root / self.folders[0] / f"{name}.gz", published_md5)


def _spelt(place: Path, name: str) -> Path:
    """The path of the file `name`: as it is, gzipped, or with a dot before "idx", as some copies have it."""
    dotted = name.replace("-idx", ".idx")
    spellings = [place / spelling for spelling in (name, f"{name}.gz", dotted, f"{dotted}.gz")]
    return next((path for path in spellings if path.is_file()), spellings[0])
