"""LeNet-5 beyond what holds for every model: the paper's counts, its squashing function, its table, its output."""

import numpy as np
import pytest

import minidl
from minidl import models
from minidl.models.lenet import RBF, TABLE_I, f
from minidl.nn import functional as F
from tests.models.agreement import count


def test_each_layer_has_the_papers_parameters_and_connections():
    model = models.lenet5()
    assert {name: count(part) for name, part in model.named_children()} == {
        "c1": 156,
        "s2": 12,
        "c3": 1_516,
        "s4": 32,
        "c5": 48_120,
        "f6": 10_164,
        "output": 0,  # "chosen by hand and kept fixed"
    }
    assert [count(part) for _, part in models.lenet().named_children()] == [156, 2_416, 48_120, 10_164, 850]


def test_each_layer_has_the_papers_size():
    model, sizes = models.lenet5(), {}
    for name, part in model.named_children():
        part.register_forward_hook(lambda _, args, y, name=name: sizes.update({name: y.shape[1:]}))
    model(minidl.ones(1, 1, 32, 32))
    assert sizes == {
        "c1": (6, 28, 28),
        "s2": (6, 14, 14),
        "c3": (16, 10, 10),
        "s4": (16, 5, 5),
        "c5": (120, 1, 1),
        "f6": (84,),
        "output": (10,),
    }


def test_squashing_keeps_plus_and_minus_one_and_bends_most_there():
    a = minidl.tensor(np.linspace(-3, 3, 601))
    y = f(a).numpy()
    np.testing.assert_allclose(y[[200, 400]], [-1, 1], atol=1e-4)
    bend = np.gradient(np.gradient(y, 0.01), 0.01)
    np.testing.assert_allclose(a.numpy()[[np.argmax(bend), np.argmin(bend)]], [-1, 1], atol=0.02)  # appendix A


def test_c3_is_blind_to_the_maps_its_table_leaves_out():
    c3 = models.lenet5().c3
    x = minidl.randn(1, 6, 5, 5)
    before = c3(x).numpy().ravel()
    for i, row in enumerate(TABLE_I.strip().splitlines()):
        changed = minidl.tensor(x.numpy())
        changed.data[:, i] += 1
        assert "".join("X" if y else "." for y in c3(changed).numpy().ravel() != before) == row.replace(" ", "")


def test_the_outputs_are_distances_from_pictures_of_the_digits():
    codes = models.lenet5().output.codes
    assert sorted(np.unique(codes.numpy())) == [-1, 1]
    y = RBF(10)(codes).numpy()
    differing = (codes.numpy()[:, None] != codes.numpy()).sum(2)
    np.testing.assert_array_equal(y, -4 * differing)
    assert (differing + 84 * np.eye(10, dtype=int)).min() >= 8
    seven = codes.numpy()[7].reshape(12, 7)
    assert (seven[1] == 1).all()
    assert (seven[2:9, 0] == -1).all()


def test_cross_entropy_is_the_papers_criterion_without_its_constant():
    model, labels = models.lenet5(), np.array([3, 8])
    logits = model(minidl.randn(2, 1, 32, 32))
    y = -logits.numpy().astype(float)
    criterion = np.mean([y[p, d] + np.log(np.exp(-y[p]).sum()) for p, d in enumerate(labels)])  # (9)
    np.testing.assert_allclose(F.cross_entropy(logits, minidl.tensor(labels)).item(), criterion, rtol=1e-5)


@pytest.mark.parametrize("build", [models.lenet5, models.lenet])
def test_a_border_makes_small_images_large_enough(build):
    model = build()
    x = minidl.randn(2, 1, 28, 28)
    framed = minidl.pad(x, [(0, 0), (0, 0), (2, 2), (2, 2)])
    np.testing.assert_array_equal(model(x).numpy(), model(framed).numpy())
    assert model(minidl.randn(2, 1, 29, 45)).shape == (2, 10)


def test_other_classes_get_codes_by_chance():
    codes = models.lenet5(num_classes=47).output.codes.numpy()
    assert len(np.unique(codes, axis=0)) == 47
    assert abs(codes.mean()) < 0.1
