"""The table of models: a row or more for each function of `minidl.models` that builds one."""

from tests.models import rows_densenet

ENTRIES = [*rows_densenet.ROWS]
