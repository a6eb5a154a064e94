"""The table of models: a row or more for each function of `minidl.models` that builds one."""

from tests.models import (
    rows_densenet,
    rows_lenet,
    rows_mobilenet_v1,
    rows_resnet,
)

ENTRIES = [
    *rows_densenet.ROWS,
    *rows_lenet.ROWS,
    *rows_mobilenet_v1.ROWS,
    *rows_resnet.ROWS,
]
