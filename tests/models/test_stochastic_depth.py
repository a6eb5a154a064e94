"""Stochastic depth beyond what holds for every model: who survives, what it costs, and the expectation over draws."""

import itertools

import numpy as np
import pytest

import minidl
from minidl import models
from minidl.models.stochastic_depth import StochasticBlock, StochasticDepth
from minidl.nn import functional as F


def gates(model):
    return [module for module in model.modules() if isinstance(module, StochasticDepth)]


def test_survival_falls_linearly_and_leaves_the_papers_depth():
    p = [gate.p for gate in gates(models.stochastic_depth_resnet_cifar(110))]
    assert len(p) == 54
    assert p[-1] == 0.5
    np.testing.assert_allclose(np.diff(p), -0.5 / 54)
    np.testing.assert_allclose(1 - p[0], 0.5 / 54)
    np.testing.assert_allclose(sum(p), 40.25)  # (3L - 1) / 4
    assert {gate.p for gate in gates(models.stochastic_depth_resnet_cifar(20, p_L=1.0))} == {1.0}


def test_blocks_survive_as_often_as_they_should():
    minidl.manual_seed(0)
    for p in (0.1, 0.5, 0.9):
        draws = np.array([StochasticDepth(p)() for _ in range(4000)])
        assert set(draws) == {0.0, 1.0}
        assert abs(draws.mean() - p) < 5 * np.sqrt(p * (1 - p) / len(draws))
    assert StochasticDepth(0.3).eval()() == 0.3
    assert all(StochasticDepth(1.0)() == 1 for _ in range(100))


def a_block(p, backend):
    """A block in float64 whose batch norms, not its gate, are in evaluation: nothing but the gate changes."""
    minidl.manual_seed(0)
    block = StochasticBlock(4, 4).to("float64").to(backend).eval()
    block.survival.p = p
    block.survival.train()
    x = minidl.tensor(np.random.default_rng(0).standard_normal((3, 4, 5, 6))).to(backend)
    return block, x


def test_the_expectation_over_many_draws_is_the_residual_of_the_test_time_network(backend, monkeypatch):
    monkeypatch.setattr(F, "relu", lambda x: x)  # a linear block: without σ expectation and network commute
    blocks = [a_block(p, backend)[0] for p in (0.9, 0.6, 0.5)]
    _, x = a_block(1.0, backend)
    network = minidl.nn.Sequential(*blocks)
    weights = {}
    with minidl.no_grad():
        for draw in itertools.product((0, 1), repeat=3):
            for block, b in zip(blocks, draw, strict=True):
                block.survival.forward = lambda b=b: float(b)
            weights[draw] = network(x).numpy()
        for block in blocks:
            del block.survival.forward
        minidl.manual_seed(1)
        draws = 2000
        total = sum(network(x).numpy() for _ in range(draws)) / draws
        p = {draw: np.prod([q if b else 1 - q for b, q in zip(draw, (0.9, 0.6, 0.5), strict=True)]) for draw in weights}
        exact = sum(p[draw] * y for draw, y in weights.items())
        whole = network.eval()(x).numpy()
    np.testing.assert_allclose(exact, whole, rtol=1e-10, atol=1e-12)
    spread = np.sqrt(sum(p[draw] * (y - exact) ** 2 for draw, y in weights.items()))
    assert (abs(total - whole) < 6 * spread / np.sqrt(draws) + 1e-9).all()


def test_where_a_block_is_dropped_it_is_not_computed_and_does_not_learn(backend):
    block, x = a_block(0.0, backend)
    block.train()
    block.residual = lambda _: pytest.fail("a dropped block was computed")
    x.requires_grad_()
    y = block(x)
    np.testing.assert_array_equal(y.numpy(), np.maximum(x.numpy(), 0))
    y.sum().backward()
    assert all(p.grad is None for p in block.parameters())
    assert block.bn1.num_batches_tracked.item() == 0


def test_a_surviving_block_is_resnets_and_counts_in_full(backend):
    block, x = a_block(1.0, backend)
    wanted = np.maximum((block.residual(x) + x).numpy(), 0)
    np.testing.assert_array_equal(block(x).numpy(), wanted)
    block.survival.eval().p = 0.25
    np.testing.assert_allclose(block(x).numpy(), np.maximum((0.25 * block.residual(x) + x).numpy(), 0), rtol=1e-12)


def test_one_draw_is_for_the_whole_batch_and_repeats_from_a_seed():
    model = models.stochastic_depth_resnet_cifar(20, p_L=0.5)
    x = minidl.randn(1, 3, 8, 8).numpy()
    batch = minidl.tensor(np.concatenate([x] * 4))
    seen = set()
    for seed in range(6):
        minidl.manual_seed(seed)
        first = model(batch).numpy()
        minidl.manual_seed(seed)
        np.testing.assert_array_equal(first, model(batch).numpy())
        assert (abs(first - first[:1]) < 1e-5).all()
        seen.add(first.tobytes())
    assert len(seen) > 1


def test_what_does_not_fit_is_refused():
    for p in (0, 1.5, -0.1):
        with pytest.raises(ValueError, match=rf"p_L is a probability and must be in \(0, 1\], got {p}"):
            models.stochastic_depth_resnet_cifar(20, p_L=p)
    with pytest.raises(ValueError, match=r"stochastic_depth_resnet_cifar: depth must be 6n \+ 2 .* got 21"):
        models.stochastic_depth_resnet_cifar(21)
