"""G J by the engine: the gradients for random upstream gradients and, of small outputs, for each element by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from minidl.backend import Array, array_module
from minidl.testing.function import Host, flatten
from minidl.testing.pullback import Trial


@dataclass(frozen=True)
class Jacobian:
    """G, its random rows first, and G J by each input as a matrix with a column for each element."""

    random: Host
    places: Sequence[str]  # what the rows are about: two random sums of outputs, then each output
    by_input: Sequence[Host]

    def contract(self, values: Host) -> Host:
        """G times the values of the outputs, flat."""
        sums = self.random @ values
        return np.concatenate([sums, values]) if len(self.places) > len(sums) else sums

    def contract_sizes(self, values: Host) -> Host:
        """How large the sums are that G makes of the values, were none to cancel."""
        sums = np.abs(self.random) @ np.abs(values)
        return np.concatenate([sums, np.abs(values)]) if len(self.places) > len(sums) else sums


def jacobian(trial: Trial, each: bool) -> Jacobian:
    """That of a trial; with `each`, G has a row for each element of the outputs."""
    places = ["a random sum of the outputs"] * 2
    rows = [trial.gradient, trial.pull_back(trial.other)]
    if each:
        for k, y in enumerate(trial.values):
            for index in np.ndindex(y.shape):
                rows.append(trial.pull_back(_unit(trial.values, k, index)))
                places.append(f"output {k} {list(index)}" if len(trial.values) > 1 else f"output {list(index)}")
    random = np.stack([flatten(trial.upstream), flatten(trial.other)])
    return Jacobian(random, places, [np.stack([g.ravel() for g in parts]) for parts in zip(*rows, strict=True)])


def _unit(values: Sequence[Array], k: int, index: tuple[int, ...]) -> list[Array]:
    """The upstream gradient that is 1 for one element of one output."""
    upstream = [array_module(y).zeros_like(y) for y in values]
    upstream[k][index] = 1
    return upstream
