"""Groups, errors, zeroed gradients, and states that load or are refused."""

import copy

import numpy as np
import pytest

import minidl
from minidl import Tensor, nn, optim
from minidl.backend import to_backend


def leaf(*shape, value=1.0, backend="numpy"):
    return minidl.full(shape, value, backend=backend, requires_grad=True)


def descend(optimizer, steps=1):
    """Steps along a gradient of ones."""
    for _ in range(steps):
        for group in optimizer.param_groups:
            for p in group["params"]:
                p.grad = minidl.ones_like(p)
        optimizer.step()


def test_groups_have_their_own_settings_and_otherwise_the_defaults(backend):
    fast, slow = leaf(3, backend=backend), leaf(2, backend=backend)
    optimizer = optim.SGD([{"params": [fast], "lr": 0.5}, {"params": slow, "name": "slow"}], lr=0.125, momentum=0.5)
    assert [(group["lr"], group["momentum"]) for group in optimizer.param_groups] == [(0.5, 0.5), (0.125, 0.5)]
    assert optimizer.param_groups[1]["name"] == "slow"
    descend(optimizer)
    np.testing.assert_array_equal(fast.numpy(), 0.5)
    np.testing.assert_array_equal(slow.numpy(), 0.875)


def test_a_group_added_later_is_learned_too():
    first, later = leaf(3), leaf(2)
    optimizer = optim.SGD([first], lr=0.5)
    descend(optimizer)
    optimizer.add_param_group({"params": [later], "lr": 0.25})
    descend(optimizer)
    np.testing.assert_array_equal(first.numpy(), 0.0)
    np.testing.assert_array_equal(later.numpy(), 0.75)


def test_a_setting_changed_in_its_group_counts_from_the_next_step():
    p = leaf(2)
    optimizer = optim.SGD([p], lr=0.5)
    optimizer.param_groups[0]["lr"] = 0.25
    descend(optimizer)
    np.testing.assert_array_equal(p.numpy(), 0.75)


def test_a_parameter_that_is_a_scalar_learns():
    p = Tensor(np.float32(1)).requires_grad_()
    descend(optim.SGD([p], lr=0.5, momentum=0.5), steps=2)
    assert p.item() == 1 - 0.5 - 0.75


def test_zero_grad_forgets_gradients_or_makes_them_zeros(backend):
    p, untouched = leaf(2, backend=backend), leaf(2, backend=backend)
    optimizer = optim.SGD([p, untouched])
    p.grad = minidl.ones_like(p)
    optimizer.zero_grad(set_to_none=False)
    np.testing.assert_array_equal(p.grad.numpy(), 0.0)
    assert untouched.grad is None
    optimizer.zero_grad()
    assert p.grad is None


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ([], ValueError, "no parameters"),
        (leaf(2), TypeError, "not one Tensor"),
        ({"params": [leaf(2)]}, TypeError, "not one dict"),
        (["weight"], TypeError, "must be a Tensor, got str"),
        ([leaf(2) * 2], ValueError, "pass a leaf"),
        ([leaf(2)] * 2, ValueError, r"shape \(2,\) is given twice"),
        ([{"params": [leaf(2)], "weight_dacay": 1.0}], ValueError, "any of .*got .*weight_dacay"),
        ([{"lr": 1.0}], ValueError, "a group has 'params'"),
    ],
    ids=lambda value: None,
)
def test_parameters_that_cannot_be_learned_are_refused(params, error, message):
    with pytest.raises(error, match=message):
        optim.SGD(params)


def test_a_parameter_of_another_group_is_given_twice():
    p = leaf(2)
    optimizer = optim.SGD([p])
    with pytest.raises(ValueError, match="given twice"):
        optimizer.add_param_group({"params": [leaf(3), p]})
    assert len(optimizer.param_groups) == 1


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("SGD", {"lr": -1.0}, "lr must be a number ≥ 0, got -1.0"),
        ("SGD", {"lr": float("nan")}, "lr"),
        ("SGD", {"nesterov": True}, "nesterov needs momentum > 0 and dampening 0, got 0.0 and 0.0"),
        ("SGD", {"nesterov": True, "momentum": 0.9, "dampening": 0.1}, "got 0.9 and 0.1"),
        ("Adam", {"betas": (0.9, 1.0)}, "betas must be two numbers in"),
        ("AdamW", {"eps": -1e-8}, "eps"),
        ("RMSprop", {"weight_decay": -1e-8}, "weight_decay"),
    ],
)
def test_settings_that_make_no_sense_are_refused(name, settings, message):
    with pytest.raises(ValueError, match=message):
        getattr(optim, name)([leaf(2)], **settings)


def test_a_state_is_a_copy(backend):
    p = leaf(2, backend=backend)
    optimizer = optim.SGD([p], lr=0.5, momentum=0.5)
    descend(optimizer)
    saved = optimizer.state_dict()
    descend(optimizer)
    np.testing.assert_array_equal(to_backend(saved["state"][0]["momentum_buffer"], "numpy"), 1.0)
    optimizer.load_state_dict(saved)
    descend(optimizer)
    np.testing.assert_array_equal(to_backend(saved["state"][0]["momentum_buffer"], "numpy"), 1.0)


def test_what_remembers_nothing_saves_nothing():
    optimizer = optim.SGD([leaf(2)])
    descend(optimizer)
    assert optimizer.state_dict()["state"] == {}


def test_a_state_does_not_load_where_it_does_not_fit():
    optimizer = optim.SGD([leaf(2), leaf(3)], lr=0.5, momentum=0.5)
    descend(optimizer)
    saved = optimizer.state_dict()

    with pytest.raises(ValueError, match=r"groups have \[2\] parameters, wanted \[1, 1\]"):
        optim.SGD([{"params": [leaf(2)]}, {"params": [leaf(3)]}]).load_state_dict(saved)
    with pytest.raises(ValueError, match=r"wanted .*'betas'"):
        optim.Adam([leaf(2), leaf(3)]).load_state_dict(saved)

    other = optim.SGD([leaf(2), leaf(4)], lr=0.25)
    with pytest.raises(ValueError, match=r"momentum_buffer of parameter 1 has shape \(3,\), wanted \(4,\)"):
        other.load_state_dict(saved)
    assert other.param_groups[0]["lr"] == 0.25, "what fails changes nothing"
    assert not other.state

    stray = copy.deepcopy(saved)
    stray["state"][7] = {}
    with pytest.raises(ValueError, match="for parameter 7 of 2"):
        optim.SGD([leaf(2), leaf(3)]).load_state_dict(stray)


def test_the_state_follows_a_model_that_changes_its_type():
    model, twin = nn.Linear(2, 2), nn.Linear(2, 2).to(np.float64)
    twin.load_state_dict(model.state_dict())
    optimizer, other = (optim.Adam(some.parameters(), lr=0.1) for some in (model, twin))
    descend(optimizer)
    descend(other)
    model.to(np.float64)
    descend(optimizer, steps=3)
    descend(other, steps=3)
    assert model.weight.dtype == np.float64
    assert {
        value.dtype for state in optimizer.state.values() for value in state.values() if value is not state["step"]
    } == {np.dtype(np.float64)}
    np.testing.assert_allclose(model.weight.numpy(), twin.weight.numpy(), rtol=1e-6)


def test_the_repr_shows_the_groups():
    optimizer = optim.SGD([{"params": [leaf(2)], "lr": 0.5}, {"params": [leaf(3), leaf(4)]}], lr=0.25)
    rest = "momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False"
    assert repr(optimizer) == f"SGD(1 parameters: lr=0.5, {rest}; 2 parameters: lr=0.25, {rest})"


def test_an_optimiser_without_an_update_says_so():
    with pytest.raises(NotImplementedError, match="Optimizer has no update"):
        descend(optim.Optimizer([leaf(2)], lr=0.1))
