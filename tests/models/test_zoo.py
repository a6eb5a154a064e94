"""What holds for every model of the zoo, over the table of models."""

import functools
import inspect
import pickle
from unittest import mock

import numpy as np
import pytest

import minidl
from minidl import models, nn
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


def settings_named_by(function):
    """The settings that a function says it has, when it is given one that it has not."""
    with pytest.raises(TypeError, match=rf"^{function.__name__} has no setting 'nclasses': it has ") as caught:
        function(num_classes=2, nclasses=3)
    return str(caught.value).partition(": it has ")[2].split(", ")


@pytest.mark.parametrize("name", models.list_models())
def test_a_setting_that_a_model_has_not_is_named_with_it_and_those_it_has(name):
    function = getattr(models, name)
    assert inspect.signature(function).parameters.keys() - {"settings"} <= set(settings_named_by(function))
    assert {"num_classes", "in_channels"} <= set(settings_named_by(function))
    with pytest.raises(TypeError, match=f"^{name} has no setting 'nclasses'"):
        models.create_model(name, nclasses=3)


VALUES = {
    "activation": nn.SiLU, "bias": False, "bottleneck": False, "compression": 1.0, "drop_rate": 0.1,
    "dropout": 0.1, "groups": 2, "in_channels": 1,
    "large_images": False, "num_classes": 2, "reduction": 4, "scale_activation": nn.Tanh, "shortcut": "A",
    "squeeze": "max", "stem": [(8, 3)], "width": 0.5, "width_per_group": 32, "zero_init_residual": True,
}  # fmt: skip
TAKERS = [
    "densenet121",
    "resnet18",
    "resnet50",
    "resnext50_32x4d",
    "se_resnet18",
    "se_resnext50_32x4d",
    "se_mobilenet_v1",
]


@mock.patch("minidl.random.generator", Undrawn)
@pytest.mark.parametrize("name", TAKERS)
def test_the_settings_that_a_model_says_it_has_it_takes(name):
    function = getattr(models, name)
    function(**{setting: VALUES[setting] for setting in settings_named_by(function)})


def test_functions_are_the_same_in_their_own_modules_and_can_be_pickled():
    assert models.resnet50 is models.resnet.resnet50
    assert pickle.loads(pickle.dumps(models.resnet50)) is models.resnet50


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
    ours, theirs = np.swapaxes(list(noise_in_float32(entry, training)), 0, 1)
    twins = theirs.max(0)
    allowed = np.minimum(5 * twins, np.maximum(1e-4, 2 * twins))
    assert (ours.max(0) <= allowed)[:2].all()  # outputs and statistics
    assert np.median(ours[:, 2]) < 20 * np.median(theirs[:, 2])


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
    optimizer, correct = Adam(model.parameters(), lr=entry.lr), 0.0
    for _ in range(steps):
        optimizer.zero_grad()
        ys = as_list(model(x))
        sum(F.cross_entropy(y, labels) for y in ys).backward()
        optimizer.step()
        correct = float((ys[0].numpy().argmax(1) == labels.numpy()).mean())
        if correct == 1:
            break
    return correct
