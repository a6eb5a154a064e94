"""Arguments that several commands take; a mistake is refused in a line, before anything is measured."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from pathlib import Path

from benchmarks.cpu import machine


def add_threads(parser: argparse.ArgumentParser) -> None:
    """--threads."""
    parser.add_argument("--threads", type=count, default=machine.cores(), help="default: the cores (%(default)s)")


def add_files(parser: argparse.ArgumentParser, what_is_drawn: str = "") -> None:
    """--json and --read, and --plot if there is something to draw."""
    parser.add_argument("--json", type=kept, metavar="PATH", help="where to keep what was measured")
    parser.add_argument("--read", type=Path, metavar="PATH", help="show what was kept there, and measure nothing")
    if what_is_drawn:
        parser.add_argument("--plot", type=picture, metavar="PATH", help=f"draw {what_is_drawn}: a .png or .svg")


def count(text: str) -> int:
    """A whole number above 0."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number above 0")
    return int(text)


def kept(text: str) -> Path:
    """A file that can be written."""
    path = Path(text)
    if path.is_dir() or any(parent.exists() and not parent.is_dir() for parent in path.parents):
        raise argparse.ArgumentTypeError(f"{text} is no place for a file")
    return path


def picture(text: str) -> Path:
    """A file to draw into."""
    path = kept(text)
    if path.suffix not in (".png", ".svg"):
        raise argparse.ArgumentTypeError(f"{text} is neither a .png nor a .svg")
    return path


@contextlib.contextmanager
def reading(path: Path | None) -> Iterator[None]:
    """What cannot be shown because another command kept it ends this one in a line."""
    try:
        yield
    except (ArithmeticError, IndexError, KeyError, ValueError) as error:
        if path is None:
            raise
        raise SystemExit(f"--read {path}: not what this command keeps: {error!r}") from error
