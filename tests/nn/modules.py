"""Modules with a part of every sort."""

import numpy as np

import minidl
from minidl import nn


class Scale(nn.Module):
    """A parameter, a buffer that is saved and one that is not."""

    def __init__(self, n=2):
        super().__init__()
        self.register_buffer("count", minidl.tensor(0))
        self.register_buffer("cache", minidl.zeros(n), persistent=False)
        self.weight = nn.Parameter(np.arange(1, n + 1, dtype=np.float32))
        self.register_parameter("bias", None)

    def forward(self, x, times=1):
        return x * self.weight * times


class Net(nn.Module):
    """Modules as attributes, in lists, tuples and dicts, nested; parameters in a list; one of everything shared."""

    def __init__(self):
        super().__init__()
        self.layers = [Scale(1), Scale(2)]
        self.branches = {"left": Scale(3), "right": [Scale(4), (Scale(5), "no module")]}
        self.head = Scale(6)
        self.tied = self.head
        self.gates = [nn.Parameter(np.zeros(7, np.float32)), 3.0]
        self.again = self.gates[0]
