"""Packages that only some parts of minidl need: imported when they are, and named when they are missing."""

from __future__ import annotations

import importlib
from typing import Any


def import_extra(module: str, extra: str) -> Any:
    """The module; where it cannot be imported, ModuleNotFoundError says which of minidl's extras brings it along."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        raise ModuleNotFoundError(f"{package} is not installed: pip install 'minidl[{extra}]'") from error
