"""Schedules of the learning rate: `step()`, after each epoch or batch, gives the optimiser the next rate.

Most are a factor f, of the number t of steps, between a floor (0 unless named) and the initial rate:

    lr(t) = floor + (initial - floor) f(t)

A step scales what it finds, lr ← floor + (lr - floor) f(t) / f(t - 1): schedules of one optimiser multiply.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from minidl.optim.optimizer import Optimizer


class LRScheduler:
    """Base of the schedules. A new one takes the optimiser's rates as initial and sets those of step 0."""

    def __init__(self, optimizer: Optimizer):
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(self).__name__}: expected an optimiser, got {type(optimizer).__name__}")
        self.optimizer = optimizer
        self.base_lrs: list[float] = []
        self.last_epoch = -1
        self.step()

    def get_lr(self) -> list[float]:
        """The rates of the groups at step `last_epoch`, from those at the step before."""
        raise NotImplementedError(f"{type(self).__name__} has no get_lr(): define how the rates change")

    def step(self) -> None:
        """Go on to the next step."""
        groups = self.optimizer.param_groups
        for group in groups[len(self.base_lrs) :]:  # all of them at first, later those that were added since
            group.setdefault("initial_lr", group["lr"])
            self.base_lrs.append(group["initial_lr"])
        self.last_epoch += 1
        lrs = self.get_lr()
        if len(lrs) != len(groups):
            raise ValueError(
                f"{type(self).__name__}: made for {len(lrs)} parameter groups, now there are {len(groups)}"
            )
        for group, lr in zip(groups, lrs, strict=True):
            group["lr"] = lr

    def rewind(self) -> None:
        """Make the next step that to 0."""
        self.last_epoch = -1

    def get_last_lr(self) -> list[float]:
        """The groups' current rates."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Numbers and lists: where the schedule stands. The rates themselves are saved with the optimiser."""
        return {"last_epoch": self.last_epoch, "base_lrs": list(self.base_lrs)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Stand where a saved schedule of the same settings stood; load the optimiser's state as well."""
        self._check(state_dict)
        self.last_epoch, self.base_lrs = state_dict["last_epoch"], list(state_dict["base_lrs"])

    def _check(self, state_dict: Mapping[str, Any]) -> None:
        got, wanted = sorted(state_dict), sorted(self.state_dict())
        if got != wanted:
            raise ValueError(f"{type(self).__name__}: the state has {got}, wanted {wanted}")


class _Factor(LRScheduler):
    """lr(t) = floor + (initial - floor) f(t)."""

    floor = 0.0

    def factor(self, t: int) -> float:
        """The factor f at step t."""
        raise NotImplementedError

    def get_lr(self) -> list[float]:
        t = self.last_epoch
        now, before = self.factor(t), self.factor(t - 1) if t else 1.0
        groups = zip(self.optimizer.param_groups, self.base_lrs, strict=True)
        if not before:  # nothing can be multiplied; only the initial rate says where it goes from here
            return [group["lr"] + (base - self.floor) * now for group, base in groups]
        return [self.floor + (group["lr"] - self.floor) * (now / before) for group, _ in groups]


class StepLR(_Factor):
    """f(t) = γ^⌊t / step_size⌋."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1):
        self.step_size, self.gamma = _positive("step_size", step_size), gamma
        super().__init__(optimizer)

    def factor(self, t: int) -> float:
        return self.gamma ** (t // self.step_size)


class MultiStepLR(_Factor):
    """f(t) = γ^(how many milestones are ≤ t)."""

    def __init__(self, optimizer: Optimizer, milestones: Sequence[int], gamma: float = 0.1):
        self.milestones, self.gamma = sorted(milestones), gamma
        super().__init__(optimizer)

    def factor(self, t: int) -> float:
        return self.gamma ** bisect_right(self.milestones, t)


class ExponentialLR(_Factor):
    """f(t) = γ^t."""

    def __init__(self, optimizer: Optimizer, gamma: float):
        self.gamma = gamma
        super().__init__(optimizer)

    def factor(self, t: int) -> float:
        return self.gamma**t


class ConstantLR(_Factor):
    """f(t) = factor before step T = total_iters, then 1."""

    def __init__(self, optimizer: Optimizer, factor: float = 1 / 3, total_iters: int = 5):
        self.start_factor, self.total_iters = factor, _positive("total_iters", total_iters)
        super().__init__(optimizer)

    def factor(self, t: int) -> float:
        return self.start_factor if t < self.total_iters else 1.0


class LinearLR(_Factor):
    """f(t) goes in a straight line from start_factor to end_factor, at step total_iters: the linear warm-up.

    Goyal et al., Accurate, large minibatch SGD, 2017, arXiv:1706.02677, section 2.2.
    """

    def __init__(
        self, optimizer: Optimizer, start_factor: float = 1 / 3, end_factor: float = 1.0, total_iters: int = 5
    ):
        self.start_factor, self.end_factor = start_factor, end_factor
        self.total_iters = _positive("total_iters", total_iters)
        super().__init__(optimizer)

    def factor(self, t: int) -> float:
        done = min(t, self.total_iters) / self.total_iters
        return self.start_factor + (self.end_factor - self.start_factor) * done


class CosineAnnealingLR(_Factor):
    """f(t) = (1 + cos(π t / T)) / 2, above the floor eta_min; after T = T_max the rate rises again.

    Loshchilov & Hutter, SGDR: stochastic gradient descent with warm restarts, 2017, arXiv:1608.03983, eq. 5.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0):
        self.T_max, self.floor = _positive("T_max", T_max), eta_min
        super().__init__(optimizer)

    def factor(self, t: int) -> float:
        return (1 + math.cos(math.pi * t / self.T_max)) / 2


class LambdaLR(LRScheduler):
    """lr(t) = initial · λ(t), with one function λ or one for each group, whatever other schedules did."""

    def __init__(self, optimizer: Optimizer, lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]]):
        self.lr_lambdas = _for_each_group(optimizer, "lr_lambda", lr_lambda)
        super().__init__(optimizer)

    def get_lr(self) -> list[float]:
        known = zip(self.base_lrs, self.lr_lambdas, strict=False)
        return [base * function(self.last_epoch) for base, function in known]


class OneCycleLR(LRScheduler):
    """Up from max_lr / div_factor to max_lr in pct_start of the steps, then to 1 / final_div_factor of that.

    Momentum, or Adam's β₁, goes the other way: from max_momentum to base_momentum and back. max_lr and the
    momenta are numbers, or lists with one for each group.

    Smith & Topin, Super-convergence, 2018, arXiv:1708.07120.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int,
        *,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.85,
        max_momentum: float | Sequence[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
    ):
        if anneal_strategy not in _ANNEAL:
            raise ValueError(f"OneCycleLR: anneal_strategy must be 'cos' or 'linear', got {anneal_strategy!r}")
        if not 0 <= pct_start <= 1:
            raise ValueError(f"OneCycleLR: pct_start must be in [0, 1], got {pct_start}")
        if cycle_momentum and not {"momentum", "betas"} & optimizer.defaults.keys():
            raise ValueError(
                f"OneCycleLR: {type(optimizer).__name__} has no momentum to cycle: pass cycle_momentum=False"
            )
        self.total_steps = _positive("total_steps", total_steps)
        self.turn = pct_start * total_steps - 1  # the step of the highest rate
        self.anneal, self.cycle_momentum = _ANNEAL[anneal_strategy], cycle_momentum
        tops = _for_each_group(optimizer, "max_lr", max_lr)
        lows = _for_each_group(optimizer, "base_momentum", base_momentum)
        highs = _for_each_group(optimizer, "max_momentum", max_momentum)
        self.lrs = [(top / div_factor, top, top / div_factor / final_div_factor) for top in tops]
        self.momenta = [(high, low, high) for high, low in zip(highs, lows, strict=True)]
        for group, (start, _, _) in zip(optimizer.param_groups, self.lrs, strict=True):
            group["initial_lr"] = start
        super().__init__(optimizer)

    def step(self) -> None:
        super().step()
        if self.cycle_momentum:
            for group, momenta in zip(self.optimizer.param_groups, self.momenta, strict=True):
                momentum = self._between(*momenta)
                if "betas" in group:
                    group["betas"] = (momentum, *group["betas"][1:])
                else:
                    group["momentum"] = momentum

    def get_lr(self) -> list[float]:
        if self.last_epoch > self.total_steps:
            raise ValueError(f"OneCycleLR: step {self.last_epoch} of a schedule of {self.total_steps} steps")
        return [self._between(*lrs) for lrs in self.lrs]

    def _between(self, start: float, middle: float, end: float) -> float:
        """The value at the current step, from start to middle until the turn, then to end at the last."""
        t, turn, last = self.last_epoch, self.turn, self.total_steps - 1
        if t <= turn:
            return start + (middle - start) * self.anneal(t / turn if turn else 1.0)
        return middle + (end - middle) * self.anneal((t - turn) / (last - turn) if last != turn else 1.0)


class _Composed(LRScheduler):
    """A schedule made of schedules of one optimiser."""

    def __init__(self, schedulers: Sequence[LRScheduler]):
        self.schedulers, self.last_epoch = list(schedulers), -1
        if len({id(scheduler.optimizer) for scheduler in schedulers}) != 1:
            raise ValueError(f"{type(self).__name__}: expected one or more schedules, all of one optimiser")
        self.optimizer = schedulers[0].optimizer

    def state_dict(self) -> dict[str, Any]:
        states = [scheduler.state_dict() for scheduler in self.schedulers]
        return {"last_epoch": self.last_epoch, "schedulers": states}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self._check(state_dict)
        got, wanted = len(state_dict["schedulers"]), len(self.schedulers)
        if got != wanted:
            raise ValueError(f"{type(self).__name__}: the state has {got} schedules, wanted {wanted}")
        for scheduler, state in zip(self.schedulers, state_dict["schedulers"], strict=True):
            scheduler.load_state_dict(state)
        self.last_epoch = state_dict["last_epoch"]


class SequentialLR(_Composed):
    """One schedule after another; a milestone starts the next, at its step 0 and from the initial rates."""

    def __init__(self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int]):
        self.starts = [0, *milestones]
        if len(self.starts) != len(schedulers) or self.starts != sorted(self.starts):
            wanted = f"{len(schedulers)} schedules need {len(schedulers) - 1} rising milestones"
            raise ValueError(f"SequentialLR: {wanted}, got {milestones}")
        super().__init__(schedulers)
        if optimizer is not self.optimizer:
            raise ValueError("SequentialLR: the schedules belong to another optimiser")
        self.step()

    def step(self) -> None:
        self.last_epoch += 1
        current = bisect_right(self.starts, self.last_epoch) - 1
        if self.last_epoch == self.starts[current]:
            for group in self.optimizer.param_groups:
                group["lr"] = group.setdefault("initial_lr", group["lr"])
            self.schedulers[current].rewind()
        self.schedulers[current].step()


class ChainedScheduler(_Composed):
    """Several schedules at once, each a step at every step: their factors multiply."""

    def __init__(self, schedulers: Sequence[LRScheduler]):
        super().__init__(schedulers)
        self.last_epoch = 0  # each took its step 0 when it was made

    def step(self) -> None:
        self.last_epoch += 1
        for scheduler in self.schedulers:
            scheduler.step()

    def rewind(self) -> None:
        super().rewind()
        for scheduler in self.schedulers:
            scheduler.rewind()


_ANNEAL: dict[str, Callable[[float], float]] = {
    "cos": lambda done: (1 - math.cos(math.pi * done)) / 2,
    "linear": lambda done: done,
}


def _positive(name: str, value: int) -> int:
    if not value > 0:
        raise ValueError(f"{name} must be a positive number of steps, got {value}")
    return value


def _for_each_group(optimizer: Optimizer, name: str, value: Any) -> list[Any]:
    """One value for each parameter group, from one for all or from a list of them."""
    count = len(optimizer.param_groups)
    values = list(value) if isinstance(value, (list, tuple)) else [value] * count
    if len(values) != count:
        raise ValueError(f"{name}: got {len(values)} values for {count} parameter groups")
    return values
