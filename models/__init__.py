"""The zoo: one paper, one file."""

import sys

from minidl.models.densenet import (
    DenseNet,
    densenet121,
    densenet161,
    densenet169,
    densenet201,
    densenet264,
    densenet_cifar,
)

__all__ = [
    "DenseNet",
    "densenet121",
    "densenet161",
    "densenet169",
    "densenet201",
    "densenet264",
    "densenet_cifar",
]

# In a checkout this folder is `models`, and through the link minidl/models also `minidl.models`; a wheel
# has it only as the latter (package-dir in pyproject.toml). So that each class is there once, `models` and
# its modules become second names of `minidl.models` and its modules.
if __name__ == "models":
    sys.modules |= {
        name.removeprefix("minidl."): module for name, module in sys.modules.items() if name.startswith("minidl.models")
    }
