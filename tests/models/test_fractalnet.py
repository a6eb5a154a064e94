"""FractalNet beyond what holds for every model: depth and counts, single columns, what drop-path lets live."""

import numpy as np
import pytest

import minidl
from minidl import models, nn
from minidl.models.fractalnet import FractalNet, GlobalDropPath, LocalDropPath
from tests.models.agreement import count, data, distances, shake, side_by_side
from tests.models.rows_fractalnet import PUBLISHED

SMALL = (3, 4, 5)


@pytest.mark.parametrize("columns", [1, 2, 3, 4, 5])
def test_parameters_are_those_of_table_3(columns):
    model = models.fractalnet(columns, num_classes=100)
    assert f"{count(model) / 1e6:.1f} M" == PUBLISHED[columns]


def convolutions_run(model, x, **settings):
    """How many convolutions run, and what comes out."""
    seen = []
    handles = [
        module.register_forward_hook(lambda module, *_: seen.append(module))
        for module in model.modules()
        if isinstance(module, nn.Conv2d)
    ]
    y = model(x, **settings)
    for handle in handles:
        handle.remove()
    assert len(set(map(id, seen))) == len(seen)
    return len(seen), y


@pytest.mark.parametrize("column", [1, 2, 3, 4])
def test_any_column_runs_alone_as_a_plain_network(backend, column):
    minidl.manual_seed(0)
    model = models.fractalnet(4, SMALL, num_classes=6).to(backend).eval()
    x = minidl.randn(2, 3, 8, 8, backend=backend)
    layers, y = convolutions_run(model, x, column=column)
    assert layers == len(SMALL) * 2 ** (column - 1)  # 40 with five blocks and four columns
    wanted = x
    for block in model.blocks:
        nodes = [block]
        for _ in range(column - 1):
            nodes = [part for node in nodes for part in (node.first, node.second)]
        for node in nodes:
            wanted = node.layer(wanted)
        wanted = nn.functional.max_pool2d(wanted, 2)
    np.testing.assert_array_equal(y.numpy(), model.fc(wanted.mean(axis=(2, 3))).numpy())
    minidl.manual_seed(1)
    alone, _ = convolutions_run(model.train(), x, column=column)
    assert alone == layers


@pytest.mark.parametrize("columns", [1, 2, 4])
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_small_networks_step_as_pytorchs_do(backend, columns, training):
    twins = pytest.importorskip("tests.models.fractalnet_twin")
    twin = shake(twins.fractalnet(columns, SMALL, num_classes=7, in_channels=2)).double()
    ours = models.fractalnet(columns, SMALL, num_classes=7, in_channels=2)
    got, wanted = side_by_side(ours, twin, training, "float64", *data(2, (9, 12), 1, n=3), backend)
    for group in map(distances, got, wanted):
        assert max(group.values()) < 1e-9, max(group, key=group.get)


def test_a_join_is_the_mean_of_those_who_live_and_one_always_does(backend):
    minidl.manual_seed(0)
    n, p, draws = 3, 0.6, 3000
    paths = [minidl.full((1,), 10.0**k, backend=backend) for k in range(n)]
    means = {}
    for kept in range(1, 2**n):
        alive = [10.0**k for k in range(n) if kept >> k & 1]
        means[round(sum(alive) / len(alive), 3)] = kept
    seen = [means[round(LocalDropPath(p)(paths).item(), 3)] for _ in range(draws)]
    for kept in range(1, 2**n):
        size = kept.bit_count()
        chance = (1 - p) ** size * p ** (n - size) + (p**n / n if size == 1 else 0)
        assert abs(seen.count(kept) / draws - chance) < 5 * np.sqrt(chance / draws)
    assert LocalDropPath(p).eval()(paths).item() == 37
    assert {LocalDropPath(0.0)(paths).item() for _ in range(20)} == {37}
    assert {LocalDropPath(1.0)(paths).item() for _ in range(50)} == {1, 10, 100}


def test_global_drop_path_chooses_each_column_as_often():
    minidl.manual_seed(0)
    draws = [GlobalDropPath(4, 0.5)() for _ in range(4000)]
    for column, chance in {None: 0.5, 1: 0.125, 2: 0.125, 3: 0.125, 4: 0.125}.items():
        assert abs(draws.count(column) / len(draws) - chance) < 5 * np.sqrt(chance / len(draws))
    assert {GlobalDropPath(4, 1.0).eval()() for _ in range(20)} == {None}


def test_with_global_drop_path_one_column_of_all_blocks_lives():
    minidl.manual_seed(0)
    model = FractalNet(3, SMALL, global_drop_path=1.0)
    x = minidl.randn(2, 3, 8, 8)
    layers = {convolutions_run(model, x)[0] for _ in range(30)}
    assert layers == {3, 6, 12}
    assert convolutions_run(model.eval(), x)[0] == 3 * 7


def test_dropout_grows_from_block_to_block():
    model = models.fractalnet(2, drop_rate=0.4)
    np.testing.assert_allclose([drop.p for drop in model.drops], [0, 0.1, 0.2, 0.3, 0.4])


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="at least one column, got 0"):
        models.fractalnet(0)
    with pytest.raises(ValueError, match="at least one block, got no channels"):
        models.fractalnet(channels=())
    for name in ("drop_path", "global_drop_path"):
        with pytest.raises(ValueError, match=r"are probabilities, got 1\.5"):
            models.fractalnet(1, SMALL, **{name: 1.5})
    for column in (0, 5):
        with pytest.raises(ValueError, match=f"column must be from 1 to 4, got {column}"):
            models.fractalnet(4, SMALL)(minidl.ones(1, 3, 8, 8), column=column)
