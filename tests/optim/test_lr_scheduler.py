"""Schedules: their formulas, their products and sequences, PyTorch's numbers, and a state to go on from."""

import json
import math
import warnings
from bisect import bisect_right

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import minidl
from minidl import optim
from minidl.optim import lr_scheduler

STEPS = 30
lengths = st.integers(1, 12)
gammas = st.floats(0.1, 1.1)

# One row per schedule: its settings, and by its formula the rate at step t from the initial one.
SCHEDULES = {
    "StepLR": (
        st.fixed_dictionaries({"step_size": lengths, "gamma": gammas}),
        lambda lr, t, step_size, gamma: lr * gamma ** (t // step_size),
    ),
    "MultiStepLR": (
        st.fixed_dictionaries({"milestones": st.lists(st.integers(1, STEPS), max_size=4), "gamma": gammas}),
        lambda lr, t, milestones, gamma: lr * gamma ** bisect_right(sorted(milestones), t),
    ),
    "ExponentialLR": (st.fixed_dictionaries({"gamma": gammas}), lambda lr, t, gamma: lr * gamma**t),
    "ConstantLR": (
        st.fixed_dictionaries({"factor": st.floats(0.01, 1.0), "total_iters": lengths}),
        lambda lr, t, factor, total_iters: lr * factor if t < total_iters else lr,
    ),
    "LinearLR": (
        st.fixed_dictionaries(
            {"start_factor": st.floats(0.01, 1.0), "end_factor": st.floats(0.0, 1.0), "total_iters": lengths}
        ),
        lambda lr, t, start_factor, end_factor, total_iters: (
            lr * np.interp(t, [0, total_iters], [start_factor, end_factor])
        ),
    ),
    "CosineAnnealingLR": (
        st.fixed_dictionaries({"T_max": lengths, "eta_min": st.sampled_from([0.0, 1e-3])}),
        lambda lr, t, T_max, eta_min: eta_min + (lr - eta_min) * (1 + math.cos(math.pi * t / T_max)) / 2,
    ),
}
cases = st.sampled_from(sorted(SCHEDULES)).flatmap(lambda name: st.tuples(st.just(name), SCHEDULES[name][0]))
ONE_CYCLE = st.fixed_dictionaries(
    {
        "max_lr": st.one_of(st.floats(0.01, 1.0), st.lists(st.floats(0.01, 1.0), min_size=2, max_size=2)),
        "total_steps": st.integers(STEPS, 2 * STEPS),
        "pct_start": st.floats(0.05, 0.95),
        "anneal_strategy": st.sampled_from(["cos", "linear"]),
        "cycle_momentum": st.booleans(),
        "base_momentum": st.floats(0.5, 0.8),
        "max_momentum": st.floats(0.8, 0.95),
        "div_factor": st.floats(2.0, 50.0),
        "final_div_factor": st.floats(2.0, 1e4),
    }
)


def optimizer(kind="SGD"):
    groups = [{"params": [minidl.zeros(1, requires_grad=True)], "lr": lr} for lr in (0.1, 0.03)]
    return getattr(optim, kind)(groups)


def torch_optimizer(kind="SGD"):
    torch = pytest.importorskip("torch")
    return getattr(torch.optim, kind)([{"params": [torch.zeros(1)], "lr": lr} for lr in (0.1, 0.03)])


def settings_of(group):
    return [group["lr"], *group.get("betas", [group.get("momentum")])]


def record(scheduler, steps=STEPS):
    """The groups' rates and momenta before each step."""
    rows = []
    for _ in range(steps):
        rows.append([settings_of(group) for group in scheduler.optimizer.param_groups])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch wants an optimiser's step before each of a schedule's
            scheduler.step()
    return np.array(rows)


def pair(kind, make):
    """The same schedule, made by this function of (optimiser, module), of minidl and of PyTorch."""
    torch_schedulers = pytest.importorskip("torch").optim.lr_scheduler
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = make(torch_optimizer(kind), torch_schedulers)
    return make(optimizer(kind), lr_scheduler), theirs


def assert_equal(mine, theirs, steps=STEPS):
    np.testing.assert_allclose(record(mine, steps), record(theirs, steps), rtol=1e-9, atol=1e-12)


@given(case=cases)
@example(case=("CosineAnnealingLR", {"T_max": 1, "eta_min": 0.0}))
@example(case=("LinearLR", {"start_factor": 0.5, "end_factor": 0.0, "total_iters": 3}))
def test_rates_follow_the_formula(case):
    name, settings = case
    rates = record(getattr(lr_scheduler, name)(optimizer(), **settings))[:, :, 0]
    wanted = [[SCHEDULES[name][1](lr, t, **settings) for lr in (0.1, 0.03)] for t in range(STEPS)]
    np.testing.assert_allclose(rates, wanted, rtol=1e-9, atol=1e-15)


@given(case=cases)
def test_rates_equal_pytorch(case):
    name, settings = case
    assert_equal(*pair("SGD", lambda optimizer, module: getattr(module, name)(optimizer, **settings)))


@given(settings=ONE_CYCLE, kind=st.sampled_from(["SGD", "Adam"]))
def test_one_cycle_equals_pytorch_in_rate_and_momentum(settings, kind):
    assert_equal(*pair(kind, lambda optimizer, module: module.OneCycleLR(optimizer, **settings)))


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
def test_one_cycle_goes_up_and_down_while_momentum_goes_down_and_up(kind):
    scheduler = lr_scheduler.OneCycleLR(optimizer(kind), [0.5, 0.25], total_steps=21, pct_start=11 / 21)
    rows = record(scheduler, 21)
    for group, top in enumerate((0.5, 0.25)):
        np.testing.assert_allclose(rows[[0, 5, 10, 20], group, 0], [top / 25, top * 0.52, top, top / 25e4])
        np.testing.assert_allclose(rows[[0, 5, 10, 15, 20], group, 1], [0.95, 0.9, 0.85, 0.9, 0.95])


@pytest.mark.parametrize("pct_start", [0.0, 0.1, 1.0])
def test_one_cycle_may_have_a_rise_or_a_fall_of_no_length(pct_start):
    rates = record(lr_scheduler.OneCycleLR(optimizer(), 0.5, total_steps=10, pct_start=pct_start), 10)[:, 0, 0]
    assert np.isfinite(rates).all()
    assert rates.max() == pytest.approx(0.5) if pct_start else rates.max() < 0.5


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
def test_a_state_from_after_the_last_step_loads_though_the_rate_has_shot_past_the_end(kind):
    scheduler = lr_scheduler.OneCycleLR(optimizer(kind), 0.5, total_steps=5, anneal_strategy="linear")
    record(scheduler, 5)
    assert scheduler.get_last_lr()[0] < 0
    fresh = optimizer(kind)
    fresh.load_state_dict(scheduler.optimizer.state_dict())
    assert fresh.param_groups[0]["lr"] == scheduler.get_last_lr()[0]


def test_one_cycle_ends():
    scheduler = lr_scheduler.OneCycleLR(optimizer(), 0.5, total_steps=5)
    record(scheduler, 5)
    with pytest.raises(ValueError, match="step 6 of a schedule of 5 steps"):
        scheduler.step()


@given(functions=st.sampled_from([lambda t: 0.5**t, [lambda t: t / 10, lambda t: 1 / (1 + t)]]))
def test_any_function_can_be_a_schedule(functions):
    assert_equal(*pair("SGD", lambda optimizer, module: module.LambdaLR(optimizer, functions)))


@given(parts=st.lists(cases, min_size=1, max_size=3), lengths=st.lists(lengths, min_size=2, max_size=2))
def test_a_sequence_equals_pytorch(parts, lengths):
    milestones = np.cumsum(lengths)[: len(parts) - 1].tolist()

    def make(optimizer, module):
        schedulers = [getattr(module, name)(optimizer, **settings) for name, settings in parts]
        return module.SequentialLR(optimizer, schedulers, milestones)

    assert_equal(*pair("SGD", make))


@given(parts=st.lists(cases, min_size=1, max_size=3))
def test_a_chain_equals_pytorch(parts):
    def make(optimizer, module):
        return module.ChainedScheduler([getattr(module, name)(optimizer, **settings) for name, settings in parts])

    assert_equal(*pair("SGD", make))


@given(part=cases, settings=ONE_CYCLE, first=st.booleans())
def test_a_sequence_with_one_cycle_equals_pytorch(part, settings, first):
    def make(optimizer, module):
        other = getattr(module, part[0])(optimizer, **part[1])
        both = [other, module.OneCycleLR(optimizer, **settings)]
        if first:
            both = [module.OneCycleLR(optimizer, **settings), getattr(module, part[0])(optimizer, **part[1])]
        return module.SequentialLR(optimizer, both, [10])

    assert_equal(*pair("SGD", make))


@given(first=cases, second=cases)
def test_two_schedules_of_one_optimiser_equal_pytorch(first, second):
    def make(optimizer, module):
        return [getattr(module, name)(optimizer, **settings) for name, settings in (first, second)]

    mine, theirs = pair("SGD", make)
    for _ in range(STEPS):
        assert_equal(mine[0], theirs[0], steps=1)
        assert_equal(mine[1], theirs[1], steps=1)


def test_a_warm_up_and_a_cosine_make_the_usual_schedule():
    sgd = optimizer()
    warm_up = lr_scheduler.LinearLR(sgd, start_factor=0.2, total_iters=4)
    cosine = lr_scheduler.CosineAnnealingLR(sgd, T_max=10)
    rates = record(lr_scheduler.SequentialLR(sgd, [warm_up, cosine], [4]), 15)[:, 0, 0]
    wanted = [0.02, 0.04, 0.06, 0.08, *(0.05 * (1 + math.cos(math.pi * t / 10)) for t in range(11))]
    np.testing.assert_allclose(rates, wanted, atol=1e-15)


def test_a_chain_within_a_sequence_starts_anew_at_its_milestone():
    def chain(sgd):
        parts = [lr_scheduler.LinearLR(sgd, total_iters=3), lr_scheduler.CosineAnnealingLR(sgd, T_max=8)]
        return lr_scheduler.ChainedScheduler(parts)

    alone = record(chain(optimizer()), 10)
    sgd = optimizer()
    constant = lr_scheduler.ConstantLR(sgd, 0.5, 3)
    np.testing.assert_allclose(record(lr_scheduler.SequentialLR(sgd, [constant, chain(sgd)], [5]), 15)[5:], alone)
    sgd = optimizer()
    inner = lr_scheduler.SequentialLR(sgd, [chain(sgd), lr_scheduler.ExponentialLR(sgd, 0.5)], [4])
    outer = lr_scheduler.SequentialLR(sgd, [lr_scheduler.ConstantLR(sgd, 0.5, 3), inner], [5])
    np.testing.assert_allclose(record(outer, 15)[5:9], alone[:4])


@given(case=cases, settings=ONE_CYCLE, stop=st.integers(0, 20))
def test_a_schedule_resumed_from_its_state_equals_one_never_stopped_bit_for_bit(case, settings, stop):
    def make():
        sgd = optimizer()
        warm_up, other = lr_scheduler.LinearLR(sgd), getattr(lr_scheduler, case[0])(sgd, **case[1])
        chain = lr_scheduler.ChainedScheduler([other, lr_scheduler.ExponentialLR(sgd, 0.9)])
        return lr_scheduler.SequentialLR(sgd, [warm_up, chain, lr_scheduler.OneCycleLR(sgd, **settings)], [5, 12])

    uninterrupted, resumed = make(), make()
    record(uninterrupted, stop)
    saved = json.loads(json.dumps([uninterrupted.optimizer.state_dict(), uninterrupted.state_dict()]))
    resumed.optimizer.load_state_dict(saved[0])
    resumed.load_state_dict(saved[1])
    np.testing.assert_array_equal(record(resumed, 20), record(uninterrupted, 20))


def test_a_group_added_later_is_scheduled_from_its_own_rate():
    sgd = optimizer()
    scheduler = lr_scheduler.StepLR(sgd, step_size=2, gamma=0.5)
    scheduler.step()
    sgd.add_param_group({"params": [minidl.zeros(1, requires_grad=True)], "lr": 0.4})
    scheduler.step()
    assert scheduler.get_last_lr() == pytest.approx([0.05, 0.015, 0.2])
    cycle = lr_scheduler.OneCycleLR(sgd, 0.5, total_steps=9)
    sgd.add_param_group({"params": [minidl.zeros(1, requires_grad=True)]})
    with pytest.raises(ValueError, match="made for 3 parameter groups, now there are 4"):
        cycle.step()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda sgd: lr_scheduler.StepLR("sgd", 3), TypeError, "expected an optimiser, got str"),
        (lambda sgd: lr_scheduler.StepLR(sgd, 0), ValueError, "step_size must be a positive number of steps, got 0"),
        (lambda sgd: lr_scheduler.CosineAnnealingLR(sgd, -1), ValueError, "T_max"),
        (lambda sgd: lr_scheduler.LambdaLR(sgd, [abs]), ValueError, "lr_lambda: got 1 values for 2 parameter groups"),
        (lambda sgd: lr_scheduler.OneCycleLR(sgd, [0.1] * 3, 9), ValueError, "max_lr: got 3 values for 2"),
        (lambda sgd: lr_scheduler.OneCycleLR(sgd, 0.1, 9, pct_start=1.5), ValueError, "pct_start .* got 1.5"),
        (lambda sgd: lr_scheduler.OneCycleLR(sgd, 0.1, 9, anneal_strategy="log"), ValueError, "got 'log'"),
        (lambda sgd: lr_scheduler.ChainedScheduler([]), ValueError, "one or more schedules"),
        (
            lambda sgd: lr_scheduler.SequentialLR(sgd, [lr_scheduler.StepLR(sgd, 3)], [4]),
            ValueError,
            "1 schedules need 0",
        ),
    ],
    ids=lambda value: None,
)
def test_settings_that_make_no_sense_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make(optimizer())


def test_schedules_of_two_optimisers_do_not_compose():
    one, other = lr_scheduler.StepLR(optimizer(), 3), lr_scheduler.StepLR(optimizer(), 3)
    with pytest.raises(ValueError, match="all of one optimiser"):
        lr_scheduler.ChainedScheduler([one, other])
    with pytest.raises(ValueError, match="belong to another optimiser"):
        lr_scheduler.SequentialLR(optimizer(), [one], [])


def test_an_optimiser_without_momentum_has_none_to_cycle():
    class Plain(optim.Optimizer):
        pass

    plain = Plain([minidl.zeros(1, requires_grad=True)], lr=0.1)
    with pytest.raises(ValueError, match="Plain has no momentum to cycle: pass cycle_momentum=False"):
        lr_scheduler.OneCycleLR(plain, 0.5, total_steps=5)
    assert lr_scheduler.OneCycleLR(plain, 0.5, total_steps=5, cycle_momentum=False).get_last_lr() == [0.02]


def test_a_state_of_another_schedule_is_refused():
    step, sgd = lr_scheduler.StepLR(optimizer(), 3), optimizer()
    chain = lr_scheduler.ChainedScheduler([lr_scheduler.StepLR(sgd, 3), lr_scheduler.StepLR(sgd, 5)])
    with pytest.raises(ValueError, match=r"has \['last_epoch', 'schedulers'\], wanted \['base_lrs', 'last_epoch'\]"):
        step.load_state_dict(chain.state_dict())
    with pytest.raises(ValueError, match="has 1 schedules, wanted 2"):
        chain.load_state_dict({"last_epoch": 0, "schedulers": [step.state_dict()]})
