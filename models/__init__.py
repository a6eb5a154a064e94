"""The zoo: one paper, one file."""

import sys

from minidl.models.densenet import DenseNet, densenet121

__all__ = ["DenseNet", "densenet121"]

# In a checkout this folder is `models`, and through the link minidl/models also `minidl.models`; a wheel
# has it only as the latter (package-dir in pyproject.toml). So that each class is there once, `models` and
# its modules become second names of `minidl.models` and its modules.
if __name__ == "models":
    sys.modules |= {
        name.removeprefix("minidl."): module
        for name, module in sys.modules.items()
        if name.startswith("minidl.models")
    }
