"""Each optimiser moves parameters as its formula says: a loop over plain numbers, and PyTorch, over 20 steps."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl import Tensor, optim
from minidl.backend import to_backend

SHAPES = [(3, 2), (4,), ()]
STEPS = 20

rates = st.floats(1e-4, 0.5)
decays = st.sampled_from([0.0, 1e-4, 0.1])
fractions = st.floats(0.5, 0.99)
momenta = st.sampled_from([0.0, 0.5, 0.9])

# One row per optimiser: how its settings are drawn. Every law below holds for each of them.
SGD = st.one_of(
    st.fixed_dictionaries(
        {"lr": rates, "momentum": momenta, "dampening": st.sampled_from([0.0, 0.3]), "weight_decay": decays}
    ),
    st.fixed_dictionaries({"lr": rates, "momentum": fractions, "nesterov": st.just(True), "weight_decay": decays}),
)
ADAM = st.fixed_dictionaries(
    {
        "lr": rates,
        "betas": st.tuples(fractions, fractions),
        "eps": st.sampled_from([1e-8, 1e-3]),
        "weight_decay": decays,
    }
)
RMSPROP = st.fixed_dictionaries(
    {
        "lr": rates,
        "alpha": fractions,
        "eps": st.sampled_from([1e-8, 1e-3]),
        "weight_decay": decays,
        "momentum": momenta,
        "centered": st.booleans(),
    }
)
SETTINGS = {"SGD": SGD, "Adam": ADAM, "AdamW": ADAM, "RMSprop": RMSPROP}
cases = st.sampled_from(sorted(SETTINGS)).flatmap(lambda name: st.tuples(st.just(name), SETTINGS[name]))
seeds = st.integers(0, 2**32 - 1)


def start(seed, dtype):
    """Initial parameters, and the gradients of each step."""
    rng = np.random.default_rng(seed)
    values = [np.asarray(rng.normal(size=shape), dtype) for shape in SHAPES]
    return values, [[np.asarray(rng.normal(size=shape), dtype) for shape in SHAPES] for _ in range(STEPS)]


def leaves(values, backend="numpy"):
    return [Tensor(to_backend(value.copy(), backend)).requires_grad_() for value in values]


def advance(optimizer, params, gradients):
    for step in gradients:
        for p, g in zip(params, step, strict=True):
            p.grad = Tensor(to_backend(g.copy(), p.backend))
        optimizer.step()
    return [p.numpy() for p in params]


def plain_sgd(p, gradients, lr, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False):
    v = None
    for g in gradients:
        g = g + weight_decay * p
        v = g if v is None else momentum * v + (1 - dampening) * g
        p = p - lr * (g + momentum * v if nesterov else v if momentum else g)
    return p


def plain_adam(p, gradients, lr, betas, eps, weight_decay, decoupled=False):
    m = v = 0.0
    for t, g in enumerate(gradients, start=1):
        if decoupled:
            p = p - lr * weight_decay * p
        else:
            g = g + weight_decay * p
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        p = p - lr * (m / (1 - betas[0] ** t)) / (math.sqrt(v / (1 - betas[1] ** t)) + eps)
    return p


def plain_rmsprop(p, gradients, lr, alpha, eps, weight_decay, momentum, centered, eps_inside_sqrt=False):
    v = m = b = 0.0
    for g in gradients:
        g = g + weight_decay * p
        v = alpha * v + (1 - alpha) * g**2
        m = alpha * m + (1 - alpha) * g
        spread = v - m**2 if centered else v
        b = momentum * b + g / (math.sqrt(spread + eps) if eps_inside_sqrt else math.sqrt(spread) + eps)
        p = p - lr * b
    return p


PLAIN = {
    "SGD": plain_sgd,
    "Adam": plain_adam,
    "AdamW": lambda *args, **settings: plain_adam(*args, **settings, decoupled=True),
    "RMSprop": plain_rmsprop,
}


def by_plain_loop(name, values, gradients, settings):
    """Each number on its own, in Python's floats."""
    moved = []
    for position, value in enumerate(values):
        steps = [np.ravel(step[position]).tolist() for step in gradients]
        numbers = [
            PLAIN[name](number, [g[index] for g in steps], **settings)
            for index, number in enumerate(np.ravel(value).tolist())
        ]
        moved.append(np.reshape(numbers, value.shape))
    return moved


@given(case=cases, seed=seeds)
def test_updates_are_those_of_a_loop_over_numbers(backend, case, seed):
    name, settings = case
    values, gradients = start(seed, np.float64)
    params = leaves(values, backend)
    moved = advance(getattr(optim, name)(params, **settings), params, gradients)
    for got, wanted in zip(moved, by_plain_loop(name, values, gradients, settings), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-9)


@given(settings=RMSPROP, seed=seeds)
def test_rmsprop_puts_epsilon_under_the_root_as_tensorflow_does(backend, settings, seed):
    settings = {**settings, "eps_inside_sqrt": True}
    values, gradients = start(seed, np.float64)
    params = leaves(values, backend)
    moved = advance(optim.RMSprop(params, **settings), params, gradients)
    for got, wanted in zip(moved, by_plain_loop("RMSprop", values, gradients, settings), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@given(case=cases, seed=seeds)
def test_20_steps_equal_pytorch(backend, dtype, case, seed):
    torch = pytest.importorskip("torch")
    name, settings = case
    values, gradients = start(seed, dtype)
    params = leaves(values, backend)
    moved = advance(getattr(optim, name)(params, **settings), params, gradients)

    theirs = [torch.tensor(value, requires_grad=True) for value in values]
    optimizer = getattr(torch.optim, name)(theirs, **settings)
    for step in gradients:
        for p, g in zip(theirs, step, strict=True):
            p.grad = torch.tensor(g)
        optimizer.step()
    tolerance = 1e-9 if dtype == np.float64 else 2e-5
    for got, wanted in zip(moved, theirs, strict=True):
        np.testing.assert_allclose(got, wanted.detach().numpy(), rtol=tolerance, atol=tolerance)


@given(case=cases, seed=seeds)
def test_a_run_resumed_from_its_state_equals_one_never_stopped_bit_for_bit(backend, case, seed):
    name, settings = case
    values, gradients = start(seed, np.float32)
    params = leaves(values, backend)
    optimizer = getattr(optim, name)(params, **settings)
    halfway = advance(optimizer, params, gradients[: STEPS // 2])
    saved = optimizer.state_dict()
    halfway = [value.copy() for value in halfway]
    uninterrupted = advance(optimizer, params, gradients[STEPS // 2 :])

    saved["param_groups"] = json.loads(json.dumps(saved["param_groups"]))
    saved["state"] = {str(position): state for position, state in saved["state"].items()}
    params = leaves(halfway, backend)
    resumed_optimizer = getattr(optim, name)(params, lr=1.0)
    resumed_optimizer.load_state_dict(saved)
    resumed = advance(resumed_optimizer, params, gradients[STEPS // 2 :])
    for got, wanted in zip(resumed, uninterrupted, strict=True):
        np.testing.assert_array_equal(got, wanted)


@given(case=cases, seed=seeds)
def test_float32_stays_float32_even_if_a_setting_is_a_numpy_float64(backend, case, seed):
    name, settings = case
    values, gradients = start(seed, np.float32)
    params = leaves(values, backend)
    optimizer = getattr(optim, name)(params, **{**settings, "lr": np.float64(settings["lr"])})
    arrays = [p.data for p in params]
    first = advance(optimizer, params, gradients[:10])
    assert all(value.dtype == np.float32 for value in first)
    optimizer.param_groups[0]["lr"] = np.float64(settings["lr"])
    advance(optimizer, params, gradients[10:])
    twin = leaves(values, backend)
    advance(getattr(optim, name)(twin, **settings), twin, gradients)
    for p, q, array in zip(params, twin, arrays, strict=True):
        assert p.data is array, "updates are written into the parameter's array"
        np.testing.assert_array_equal(p.numpy(), q.numpy())
    kept = [value for state in optimizer.state.values() for value in state.values() if not isinstance(value, int)]
    assert all(value.dtype == np.float32 for value in kept)


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_gradients_are_left_as_they_are(backend, name):
    values, gradients = start(0, np.float32)
    params = leaves(values, backend)
    momentum = {"momentum": 0.9} if name in ("SGD", "RMSprop") else {}
    optimizer = getattr(optim, name)(params, lr=0.1, weight_decay=0.1, **momentum)
    for step in gradients[:3]:
        advance(optimizer, params, [step])
        for p, g in zip(params, step, strict=True):
            np.testing.assert_array_equal(p.grad.numpy(), g)


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_a_parameter_without_gradient_rests_and_its_state_too(backend, name):
    values, gradients = start(1, np.float64)
    params = leaves(values, backend)
    optimizer = getattr(optim, name)(params, lr=0.1, weight_decay=0.1)
    for count, step in enumerate(gradients):
        for p, g in zip(params, step, strict=True):
            p.grad = Tensor(to_backend(g, backend))
        if count % 2:
            params[0].grad = None
        optimizer.step()
    alone = leaves(values[:1], backend)
    advance(getattr(optim, name)(alone, lr=0.1, weight_decay=0.1), alone, [step[:1] for step in gradients[::2]])
    np.testing.assert_array_equal(params[0].numpy(), alone[0].numpy())


def test_a_negative_variance_by_rounding_does_not_make_a_nan():
    p = Tensor(np.ones(50, np.float32)).requires_grad_()
    optimizer = optim.RMSprop([p], lr=1e-3, alpha=0.1, centered=True)
    gradient = np.linspace(0.1, 10, 50, dtype=np.float32)
    for _ in range(30):
        p.grad = Tensor(gradient)
        optimizer.step()
    assert np.isfinite(p.numpy()).all()
