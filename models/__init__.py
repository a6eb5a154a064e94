"""The zoo: one paper, one file."""

import sys

from minidl.models.densenet import DenseNet, densenet121

__all__ = ["DenseNet", "densenet121"]

# In a checkout this folder is `models`, and by the link minidl/models also `minidl.models`; a wheel has it as the
# latter only (package-dir in pyproject.toml). So that each class is there once, `models` and what is in it become
# second names of `minidl.models` and what is in it.
if __name__ == "models":
    sys.modules |= {
        name.removeprefix("minidl."): module
        for name, module in sys.modules.items()
        if name.startswith("minidl.models")
    }
