"""FractalNet in PyTorch, computed column by column as in the paper's Figure 1: the oracle for ours."""

from collections import OrderedDict

import pytest

torch = pytest.importorskip("torch")
nn = torch.nn


class Block(nn.Module):
    """A tree only holds the layers: those of column k are its nodes k below the top, from left to right."""

    def __init__(self, columns, inputs, outputs):
        super().__init__()
        conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.layer = nn.Sequential(OrderedDict(conv=conv, norm=nn.BatchNorm2d(outputs), relu=nn.ReLU()))
        self.columns = columns
        if columns > 1:
            self.first, self.second = Block(columns - 1, inputs, outputs), Block(columns - 1, outputs, outputs)

    def level(self, k):
        return [self.layer] if k == 0 else self.first.level(k - 1) + self.second.level(k - 1)

    def forward(self, x):
        waiting = [iter(self.level(k)) for k in range(self.columns)]
        begun = [x] * self.columns
        rows = 2 ** (self.columns - 1)
        for row in range(1, rows + 1):
            ends = [k for k in range(self.columns) if row % (rows >> k) == 0]
            joined = torch.stack([next(waiting[k])(begun[k]) for k in ends]).mean(0)
            for k in ends:
                begun[k] = joined
        return joined


class Twin(nn.Module):
    def __init__(self, columns, channels, classes, colours):
        super().__init__()
        widths = [colours, *channels]
        self.blocks = nn.ModuleList([Block(columns, widths[i], widths[i + 1]) for i in range(len(channels))])
        self.fc = nn.Linear(widths[-1], classes)

    def forward(self, x):
        for block in self.blocks:
            x = nn.functional.max_pool2d(block(x), 2)
        return self.fc(x.mean((2, 3)))


def fractalnet(columns=4, channels=(16, 32, 64, 128, 128), num_classes=10, in_channels=3):
    return Twin(columns, channels, num_classes, in_channels)
