"""Pre-activation ResNet beyond what holds for every model: the five orders, and equations (4) and (5)."""

import numpy as np
import pytest

import minidl
from minidl import models
from minidl.models.preact_resnet import ORDERS, PreActBlock
from tests.models.agreement import data, distances, shake, side_by_side


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("shortcut", ["A", "B"])
def test_each_order_steps_as_figure_4_has_it(backend, order, shortcut, training):
    twins = pytest.importorskip("tests.models.preact_resnet_twin")
    settings = {"depth": 14, "order": order, "shortcut": shortcut, "num_classes": 7, "in_channels": 2}
    twin = shake(twins.preact_resnet_cifar(**settings)).double()
    ours = models.preact_resnet_cifar(**settings)
    got, wanted = side_by_side(ours, twin, training, "float64", *data(2, (9, 12), 1, n=3), backend)
    for group in map(distances, got, wanted):
        assert max(group.values()) < 1e-9, max(group, key=group.get)


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_bottlenecks_step_as_pytorchs_do(backend, training):
    twins = pytest.importorskip("tests.models.preact_resnet_twin")
    settings = {"depth": 20, "bottleneck": True, "shortcut": "B", "num_classes": 7, "in_channels": 2}
    twin = shake(twins.preact_resnet_cifar(**settings)).double()
    ours = models.preact_resnet_cifar(**settings)
    got, wanted = side_by_side(ours, twin, training, "float64", *data(2, (8, 10), 1, n=3), backend)
    for group in map(distances, got, wanted):
        assert max(group.values()) < 1e-9, max(group, key=group.get)


def test_the_original_order_is_resnet():
    ours, resnet = models.preact_resnet_cifar(14, order="original"), models.resnet_cifar(14)
    assert len(ours.state_dict()) == len(resnet.state_dict())
    state = zip(ours.state_dict(), resnet.state_dict().values(), strict=True)
    ours.load_state_dict(dict(state))
    x = minidl.randn(2, 3, 12, 10)
    with minidl.definitions():  # kernels may do the same steps in another order, and round otherwise
        np.testing.assert_array_equal(ours(x).numpy(), resnet(x).numpy())


def a_stage(order, units=4):
    """Units whose shapes stay, in float64, and an input."""
    minidl.manual_seed(0)
    stage = minidl.nn.Sequential(*[PreActBlock(6, 6, order=order) for _ in range(units)]).to("float64")
    x = minidl.tensor(np.random.default_rng(0).standard_normal((3, 6, 5, 4)))
    return stage, x.requires_grad_()


def by_equation_4(stage, x):
    """x_L, and the sum in it."""
    total = sum(unit.residual(stage[:i](x)) for i, unit in enumerate(stage))
    return x + total, total


@pytest.mark.parametrize("order", ORDERS)
def test_equations_4_and_5_hold_where_nothing_follows_the_addition(backend, order):
    stage, x = a_stage(order)
    stage, x = stage.to(backend), x.detach().to(backend).requires_grad_()
    end, total = by_equation_4(stage, x)
    g = minidl.tensor(np.random.default_rng(1).standard_normal(end.shape)).to(backend)
    (whole,) = minidl.grad(stage(x), x, g)
    (through_branches,) = minidl.grad(total, x, g)
    holds = [
        np.allclose(stage(x).numpy(), end.numpy(), rtol=1e-10),
        np.allclose(whole.numpy(), (g + through_branches).numpy(), rtol=1e-8, atol=1e-10),
    ]
    identity_after = order not in ("original", "BN after addition")
    assert holds == [identity_after] * 2


def test_a_shared_activation_comes_before_the_split():
    model = models.preact_resnet_cifar(14, shortcut="B")
    shared = [name for name, module in model.named_modules() if isinstance(module, PreActBlock) and module.shared]
    assert shared == ["layer1.0", "layer2.0", "layer3.0"]
    model = models.preact_resnet_cifar(14, shortcut="A")
    assert [unit.shared for stage in model[1:4] for unit in stage] == [True] + [False] * 5
    unit = model[1][0]
    x = minidl.randn(2, 16, 4, 4)
    unit.branch = minidl.nn.Sequential()
    np.testing.assert_array_equal(unit(x).numpy(), 2 * unit.before(x).numpy())


def test_what_does_not_fit_is_refused():
    with pytest.raises(
        ValueError, match=r"order must be one of 'original', 'BN after .*, 'full pre-activation'; got 'e'"
    ):
        models.preact_resnet_cifar(20, order="e")
    with pytest.raises(ValueError, match=r"preact_resnet_cifar: depth must be 6n \+ 2 .* got 111"):
        models.preact_resnet_cifar(111)
    with pytest.raises(ValueError, match=r"depth must be 9n \+ 2 .* got 100"):
        models.preact_resnet_cifar(100, bottleneck=True)
