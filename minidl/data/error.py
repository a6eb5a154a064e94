"""What goes wrong with data files, said clearly."""

import hashlib
import io
from pathlib import Path


class DataError(ValueError):
    """A data file is missing, damaged, or not what its name says."""


def check_md5(content: bytes | Path, wanted: str, what: object) -> None:
    """Raise DataError unless the md5 of some bytes, or of a file, is the published one."""
    got = md5(content)
    if got != wanted:
        raise DataError(
            f"{what}: its md5 is {got} but the published file has {wanted}: it is damaged, cut short or "
            "another file under this name; delete it and fetch it again"
        )


def md5(content: bytes | Path) -> str:
    """The hexadecimal md5 of some bytes or of a file: it tells files apart, it protects nothing."""
    with content.open("rb") if isinstance(content, Path) else io.BytesIO(content) as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
