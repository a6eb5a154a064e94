"""The table of models: a row or more for each function of `minidl.models` that builds one."""

from tests.models import (
    rows_densenet,
    rows_resnet,
)

ENTRIES = [
    *rows_densenet.ROWS,
    *rows_resnet.ROWS,
]
