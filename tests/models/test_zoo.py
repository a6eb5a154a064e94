"""What holds for every model of the zoo, over the table of models."""

import functools
from unittest import mock

import numpy as np
import pytest

import minidl
from minidl import models
from minidl.nn import functional as F
from minidl.optim import Adam
from tests.models.agreement import CLASSES, as_list, count, noise_in_float32, set_mode, shapes, worst_in_float64
from tests.models.table import ENTRIES
from tests.models.undrawn import Undrawn

every_model = pytest.mark.parametrize("entry", ENTRIES, ids=str)
quick_models = pytest.mark.parametrize("entry", [entry for entry in ENTRIES if entry.quick], ids=str)
both_modes = pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])


@functools.cache
def facts(entry):
    """How many parameters the network has, and its state; it is built only once, and without drawing weights."""
    with mock.patch("minidl.random.generator", Undrawn):
        model = entry.build()
    return count(model), shapes(model)


@pytest.mark.parametrize("name", ["resnet18", "lenet", "squeezenet1_1"])
def test_a_setting_that_no_part_knows_is_named_with_the_model(name):
    wanted = rf"create_model: {name} has no setting 'nclasses': use those of {name}\(num_classes: int = "
    with pytest.raises(TypeError, match=wanted):
        models.create_model(name, num_classes=2, nclasses=3)


def test_other_mistakes_in_settings_are_left_as_they_are():
    with pytest.raises(TypeError) as caught:
        models.create_model("lenet", num_classes="three")
    assert "has no setting" not in str(caught.value)


def test_every_model_is_in_the_table():
    assert {entry.name for entry in ENTRIES} == set(models.list_models())


@every_model
def test_it_has_as_many_parameters_as_published(entry):
    assert facts(entry)[0] == entry.parameters


@every_model
def test_keys_and_shapes_are_the_twins_in_order(entry):
    torch = pytest.importorskip("torch")
    with torch.device("meta"):
        twin = entry.build_twin()
    assert list(facts(entry)[1].items()) == list(shapes(twin).items())


@both_modes
@quick_models
def test_it_steps_as_its_twin_does_in_float64(backend, entry, training):
    for name, distance in worst_in_float64(entry, training, backend):
        assert distance < 1e-6, name


@both_modes
@quick_models
def test_in_float32_it_is_as_near_to_float64_as_its_twin_is(entry, training):
    outputs, statistics, ours, theirs = zip(*noise_in_float32(entry, training), strict=True)
    assert max(outputs) < 1e-4
    assert max(statistics) < 1e-4
    assert np.median(ours) < 20 * np.median(theirs)


@quick_models
def test_other_sizes_and_channels_do(backend, entry):
    model = set_mode(entry.build(num_classes=CLASSES, in_channels=1).to(backend), training=True)
    height, width = entry.size
    x = minidl.randn(2, 1, height + 8, width + 16, backend=backend)
    ys = as_list(model(x))
    assert {y.shape for y in ys} == {(2, CLASSES)}
    minidl.backward([y.sum() for y in ys])
    assert {t.dtype for t in (*ys, *(p.grad for p in model.parameters()))} == {np.dtype("float32")}
    assert all(np.isfinite(p.grad.numpy()).all() for p in model.parameters())


@quick_models
def test_it_learns_sixteen_images_by_heart(entry):
    assert overfit(entry) == 1.0


def overfit(entry, steps=60):
    """The accuracy on 16 random images, of 4 classes, after learning them by heart."""
    model = set_mode(entry.build(num_classes=4, in_channels=3), training=True)
    if entry.rouse:
        entry.rouse(model)
    rng = np.random.default_rng(0)
    x = minidl.tensor(rng.standard_normal((16, 3, *entry.size)).astype(np.float32))
    labels = minidl.tensor(np.arange(16) % 4)
    optimizer, correct = Adam(model.parameters(), lr=1e-3), 0.0
    for _ in range(steps):
        optimizer.zero_grad()
        ys = as_list(model(x))
        sum(F.cross_entropy(y, labels) for y in ys).backward()
        optimizer.step()
        correct = float((ys[0].numpy().argmax(1) == labels.numpy()).mean())
        if correct == 1:
            break
    return correct
