"""What does gradcheck find, what does it take for an error that is none, and what does it cost?

Run `python -m benchmarks.gradcheck_power`; `--trials 100` is quicker than the 1,000 that are the default.

One element of 1,000 is wrong by 1 %. A random unit direction u misses it where 0.01 |aᵢ uᵢ| is within the tolerance,
1e-6 |⟨a, u⟩|. With a gradient a whose other elements are of one size, √n uᵢ and √n ⟨a, u⟩ / |a| are normal, and the
ratio of two normal numbers is below c with probability 2/π atan c: here c = 1e-6 √n / 0.01 r, where r is the size of aᵢ
relative to the others. Several directions miss it with that to the power of their number.
"""

import argparse
import functools
import math
import statistics
import time
from collections.abc import Callable
from itertools import cycle

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

import minidl
from minidl import nn
from minidl.nn import functional as F
from minidl.tensor import Tensor
from minidl.testing import check_vjp, gradcheck
from tests.table import SAMPLES

SIZE = 1000
RELATIVE_SIZES = (1, 0.1, 0.01, 0.003)
DEFAULT = 8  # directions
CASES = 2000


def found(shape: tuple[int, ...], r: float, error: float, seed: int, directions: int = DEFAULT) -> bool:
    """Whether an error in one random element of the gradient, one r times the size of the others, is found."""
    rng = np.random.default_rng(seed)
    weight, wrong = np.ones(shape), np.ones(shape)
    place = tuple(rng.integers(0, shape))
    weight[place], wrong[place] = r, 1 + error
    report = check_vjp(
        lambda x: np.sum(weight * np.exp(x)),
        lambda g, x: g * weight * np.exp(x) * wrong,
        [rng.uniform(-0.1, 0.1, shape)],
        seed=seed,
        raise_exception=False,
        directions=directions,
    )
    return report.broken == ("slope",)


def missed_in_directions(trials: int) -> Table:
    """Errors of 1 % in one element of 1,000, in two directions and in the default number of them."""
    table = Table("size of the element", "directions", "missed, predicted", "missed, measured")
    for r in RELATIVE_SIZES:
        c = 1e-6 * math.sqrt(SIZE) / (0.01 * r)
        for directions in (2, DEFAULT):
            predicted = (2 / math.pi * math.atan(c)) ** directions
            missed = sum(not found((SIZE,), r, 0.01, seed, directions=directions) for seed in range(trials))
            table.add_row(f"{r:g}", str(directions), f"{predicted:.1e}", f"{missed} of {trials}")
    return table


def missed_one_by_one(trials: int) -> str:
    """Errors of 1 in 100,000, where every element is looked at."""
    missed = sum(not found((4, 5), 1, 1e-5, seed) for seed in range(trials))
    return f"an error of 1e-5 in one element of 20, element by element: missed {missed} of {trials}"


def false_alarms() -> str:
    """Random cases of all ops, functions and layers, to the order that their rows say."""
    samples = [sample for sample in SAMPLES if sample.order]
    alarms = []
    for k, sample in track([*zip(range(CASES), cycle(samples), strict=False)], "random cases", transient=True):
        inputs = sample.arrays(seed=k)
        report = gradcheck(sample.apply, inputs, order=sample.order, seed=k, raise_exception=False)
        alarms += [] if report.ok else [f"\n{sample}, seed {k}: {report.broken}"]
    return f"false alarms in {CASES:,} random cases over {len(samples)} rows: {len(alarms)}{''.join(alarms)}"


class Block(nn.Module):
    """A basic residual block in float64. (He et al., arXiv:1512.03385.)"""

    def __init__(self, channels: int):
        super().__init__()
        self.conv1, self.conv2 = (nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(2))
        self.bn1, self.bn2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)
        self.to(np.float64)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + x)


def step(block: Block, x: Tensor) -> None:
    """One pass forward and one backward."""
    block(x).sum().backward()


def seconds(function: Callable[[], object], repeat: int) -> float:
    """The median time of a call."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def price() -> Table:
    """A residual block with its parameters, in both modes, beside a pass forward and backward."""
    table = Table("residual block", "elements", "pass", "project", "full", "full / project")
    for channels, size in [(2, 4), (4, 6), (8, 8)]:
        minidl.manual_seed(0)
        block, x = Block(channels), minidl.randn(2, channels, size, size, dtype="float64")
        params = list(block.parameters())
        check = functools.partial(gradcheck, block, [x], params=params)
        once = seconds(functools.partial(step, block, x), 9)
        project, full = (seconds(functools.partial(check, mode=mode), 1) for mode in ("project", "full"))
        elements = x.numel() + sum(p.numel() for p in params)
        shown = [f"{t:.2g} s" for t in (once, project, full)]
        table.add_row(f"{channels} channels, {size}×{size}", f"{elements:,}", *shown, f"{full / project:.0f}")
    return table


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=1000, help="for each row of the first table")
    arguments, console = parser.parse_args(), Console()
    console.print("An error of 1 % in one element of 1,000:", missed_in_directions(arguments.trials))
    console.print(missed_one_by_one(arguments.trials))
    console.print(false_alarms())
    console.print(price())
