"""Test-time augmentation: the views are those they are called, and scores the average that a loop would take."""

import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl import Tensor, is_grad_enabled, manual_seed, nn, tta
from minidl.data import DataLoader, Dataset
from minidl.nn import functional as F
from minidl.train import evaluate

LINES = {"hflip": lambda image: image[:, :, ::-1], "vflip": lambda image: image[:, ::-1]}


def images(*shape, backend="numpy", dtype="float32"):
    pixels = np.random.default_rng(0).permutation(math.prod(shape)).reshape(shape) / math.prod(shape)
    return Tensor(pixels.astype(dtype)).to(backend)


def network(seed=0, classes=4, backend="numpy"):
    """A network for images of any size, in which dropout and batch norm tell training from evaluation."""
    manual_seed(seed)
    layers = nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.5), nn.GlobalAvgPool2d()
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(6, classes)).to(backend)


def five_of(image, h, w):
    """The five crops of an image (C, H, W), as torchvision's documentation names them."""
    height, width = image.shape[1:]
    top_left, top_right = image[:, :h, :w], image[:, :h, width - w :]
    bottom_left, bottom_right = image[:, height - h :, :w], image[:, height - h :, width - w :]
    y, x = int(round((height - h) / 2.0)), int(round((width - w) / 2.0))  # noqa: RUF046 (as published)
    return [top_left, top_right, bottom_left, bottom_right, image[:, y : y + h, x : x + w]]


@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    room=st.tuples(st.integers(0, 8), st.integers(0, 8)),
    flip=st.sampled_from(["hflip", "vflip"]),
)
def test_five_and_ten_crops_are_torchvisions_image_by_image(size, room, flip):
    x = images(2, 3, size[0] + room[0], size[1] + room[1])
    five, ten = tta.FiveCrop(size)(x), tta.TenCrop(size, vertical_flip=flip == "vflip")(x)
    assert (len(five), len(ten)) == (5, 10)
    for n, image in enumerate(x.numpy()):
        plain, mirrored = five_of(image, *size), five_of(LINES[flip](image), *size)
        for got, wanted in zip([*five, *ten], [*plain, *plain, *mirrored], strict=True):
            np.testing.assert_array_equal(got.numpy()[n], wanted)


def test_one_number_is_the_side_of_a_square_crop():
    x = images(1, 1, 6, 8)
    for one, two in zip(tta.TenCrop(5)(x), tta.TenCrop((5, 5))(x), strict=True):
        np.testing.assert_array_equal(one.numpy(), two.numpy())


@pytest.mark.parametrize("name", LINES)
def test_flips_mirror_each_image(name, backend):
    x = images(2, 3, 4, 5, backend=backend)
    for got, image in zip(getattr(tta, name)(x).numpy(), x.numpy(), strict=True):
        np.testing.assert_array_equal(got, LINES[name](image))


def test_several_scales_are_sizes_of_the_shorter_side_or_height_and_width():
    x = images(2, 3, 8, 16)
    assert [y.shape for y in tta.MultiScale([4, (6, 5), 8])(x)] == [(2, 3, 4, 8), (2, 3, 6, 5), (2, 3, 8, 16)]


def test_composed_views_are_all_of_all():
    x = images(2, 3, 6, 8)
    got = list(tta.Compose([tta.MultiScale([6, 9]), tta.FiveCrop(5), tta.vflip])(x))
    wanted = [tta.vflip(crop) for size in (6, 9) for crop in tta.FiveCrop(5)(tta.resize(x, size))]
    assert len(got) == 10
    for one, two in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(one.numpy(), two.numpy())


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("none", [(28, 20)]),
        ("flip", [(28, 20)] * 2),
        ("five-crop", [(24, 18)] * 5),
        ("ten-crop", [(24, 18)] * 10),
        ("multi-scale", [(24, 18), (28, 20), (32, 22)]),
    ],
)
def test_views_by_name_follow_from_the_size_of_the_images(name, shapes):
    x = images(1, 2, 28, 20)
    seen = [batch for view in tta.VIEWS[name] for batch in tta.batches(view, x)]
    assert [batch.shape[2:] for batch in seen] == shapes
    assert set(tta.VIEWS) == {"none", "flip", "five-crop", "ten-crop", "multi-scale"}


def test_crops_by_name_are_224_of_256():
    x = images(1, 1, 256, 256)
    got = [batch for view in tta.VIEWS["ten-crop"] for batch in tta.batches(view, x)]
    assert all((one.numpy() == two.numpy()).all() for one, two in zip(got, tta.TenCrop(224)(x), strict=True))


def softmax(scores):
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("average", ["logits", "probabilities"])
@pytest.mark.parametrize(
    "views",
    [
        "ten-crop",
        tta.hflip,
        tta.FiveCrop(6),
        [tta.identity, lambda x: x.flip((2, 3)), tta.MultiScale([5, 9])],
    ],
    ids=["name", "function", "crops", "list"],
)
def test_scores_are_the_average_that_a_loop_takes(views, average, count, backend):
    models, x = [network(seed, backend=backend) for seed in range(count)], images(3, 3, 7, 8, backend=backend)
    scores = tta.TestTimeAugmentation(models if count > 1 else models[0], views, average)(x)
    listed = tta.VIEWS[views] if isinstance(views, str) else [views] if callable(views) else views
    said = []
    for view in listed:
        made = view(x)
        for batch in [made] if isinstance(made, Tensor) else made:
            said += [model.eval()(batch).numpy() for model in models]
    assert (scores.dtype, scores.backend, scores.requires_grad) == (np.float32, backend, False)
    if average == "logits":
        np.testing.assert_allclose(scores.numpy(), sum(said) / len(said), rtol=1e-5, atol=1e-6)
    else:
        np.testing.assert_allclose(np.exp(scores.numpy()), sum(map(softmax, said)) / len(said), rtol=1e-5)


def test_the_averages_differ_and_each_is_what_its_loss_means():
    said = [np.array([[4.0, 0, 0]]), np.array([[0, 3.0, 0]]), np.array([[0, 3.0, 0]])]

    class Fixed(nn.Module):
        def __init__(self, scores):
            self.scores = scores

        def forward(self, x):
            return Tensor(self.scores)

    x, label = images(1, 3, 4, 4), Tensor(np.array([0]))
    models = [Fixed(scores) for scores in said]
    p = np.mean([softmax(scores)[0, 0] for scores in said])
    probabilities = tta.TestTimeAugmentation(models, tta.identity, "probabilities")(x)
    assert F.cross_entropy(probabilities, label).item() == pytest.approx(-math.log(p), rel=1e-12)
    logits = tta.TestTimeAugmentation(models, tta.identity, "logits")(x)
    assert F.cross_entropy(logits, label).item() == pytest.approx(-math.log(softmax(sum(said) / 3)[0, 0]), rel=1e-12)


def test_a_class_that_no_view_deems_possible_has_a_finite_score():
    model = network()
    model[6].weight.data[...] = 0
    model[6].bias.data[...] = [300, -300, 0, 0]
    scores = tta.TestTimeAugmentation(model)(images(2, 3, 7, 7)).numpy()
    np.testing.assert_allclose(scores[:, 1], -600, rtol=1e-6)


def test_it_works_without_a_graph_and_in_eval_mode_and_leaves_the_networks_in_it():
    model, modes = network(), []
    model.register_forward_hook(lambda module, args, output: modes.append((module.training, is_grad_enabled())))
    augmented, x = tta.TestTimeAugmentation(model.train(), "flip"), images(2, 3, 6, 6)
    np.testing.assert_array_equal(augmented(x).numpy(), augmented(x).numpy())  # without dropout
    assert set(modes) == {(False, False)}
    assert not model.training
    assert is_grad_enabled()


def test_there_is_one_view_at_a_time():
    events, model = [], network()
    model.register_forward_pre_hook(lambda module, args: events.append("network"))

    def views(x):
        for view in (tta.identity, tta.hflip):
            events.append("view")
            yield view(x)

    tta.TestTimeAugmentation(model, views)(images(1, 3, 6, 6))
    assert events == ["view", "network", "view", "network"]


def test_it_is_evaluated_as_a_model_is(backend):
    generator = np.random.default_rng(0)
    pixels, labels = generator.integers(256, size=(10, 3, 8, 8), dtype=np.uint8), generator.integers(4, size=10)
    loader, model = DataLoader(Dataset(pixels, labels, "abcd"), 4), network(backend=backend)
    plain = evaluate(model, loader)
    assert evaluate(tta.TestTimeAugmentation(model, "none"), loader) == pytest.approx(plain, rel=1e-6)
    loss, accuracy = evaluate(tta.TestTimeAugmentation([model, network(1, backend=backend)], "ten-crop"), loader)
    assert loss != pytest.approx(plain[0], rel=1e-4)
    assert 0 <= accuracy <= 1


def test_it_shows_what_it_averages():
    shown = repr(tta.TestTimeAugmentation(network(), tta.FiveCrop(6), "logits"))
    assert shown.startswith("TestTimeAugmentation(\n  views=[FiveCrop(size=6)], average='logits'\n  (models.0): ")
    assert "views=[identity, hflip]" in repr(tta.TestTimeAugmentation(network(), "flip"))
    assert "views=[ten_crop, vflip]" in repr(tta.TestTimeAugmentation(network(), ["ten-crop", tta.vflip]))


def test_names_may_stand_in_a_list_of_views():
    x = images(2, 3, 9, 9)
    named = tta.TestTimeAugmentation(network(), ["flip", tta.vflip, "none"])(x)
    listed = tta.TestTimeAugmentation(network(), [tta.identity, tta.hflip, tta.vflip, tta.identity])(x)
    np.testing.assert_array_equal(named.numpy(), listed.numpy())


@pytest.mark.parametrize("views", tta.VIEWS)
def test_it_can_be_pickled(views):
    model, x = tta.TestTimeAugmentation(network(), views), images(2, 3, 16, 16)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model))(x).numpy(), model(x).numpy())


@pytest.mark.parametrize(
    ("arguments", "error", "reason"),
    [
        ([[]], TypeError, r"models are \[\]; wanted a Module, or several"),
        ([["resnet18"]], TypeError, r"models are \['str'\]; wanted a Module"),
        ([network(), "12-crop"], ValueError, "views is '12-crop'; wanted functions or none, flip, five-crop, "),
        ([network(), ["flip", "12-crop"]], ValueError, "views is '12-crop'; wanted functions or none, flip, five-crop"),
        ([network(), [["flip", tta.vflip]]], ValueError, r"views is \['flip', .*; wanted .* a list without lists"),
        ([network(), [tta.hflip, None]], ValueError, "views is None; wanted functions or none, flip"),
        ([network(), 3], ValueError, "views is 3; wanted functions or none, flip"),
        ([network(), "flip", "votes"], ValueError, "average is 'votes'; wanted one of logits, probabilities"),
    ],
)
def test_what_it_cannot_be_made_of_is_refused(arguments, error, reason):
    with pytest.raises(error, match=f"TestTimeAugmentation: {reason}"):
        tta.TestTimeAugmentation(*arguments)


class Outputs(nn.Module):
    """Returns its scores and more, as networks with auxiliary classifiers do in training."""

    def forward(self, x):
        return x[:, 0, 0], x[:, 0, 0]


FIXED = nn.Sequential(nn.Flatten(), nn.Linear(3 * 6 * 6, 4))


@pytest.mark.parametrize(
    ("models", "views", "reason"),
    [
        (network(), [], "scores have the shapes none, for there are no views; wanted one"),
        (network(), lambda x: x[:1], r"a view made \(1, 3, 6, 6\) of 2 images; wanted as many"),
        ([network(), network(classes=3)], "none", r"scores have the shapes \(2, 3\), \(2, 4\); wanted one, \(N, class"),
        (Outputs(), "none", r"Outputs returned tuple; wanted \(2, classes\)"),
        (nn.Identity(), "none", r"Identity returned \(2, 3, 6, 6\); wanted \(2, classes\)"),
        (FIXED, "ten-crop", r"Sequential cannot take a view of shape \(2, 3, 5, 5\) \(.*75.*\); choose views"),
        (network(), tta.FiveCrop(7), "images are 6×6; wanted at least 7×7: enlarge or crop less"),
    ],
)
def test_what_cannot_be_averaged_is_refused(models, views, reason):
    with pytest.raises(ValueError, match=reason):
        tta.TestTimeAugmentation(models, views)(images(2, 3, 6, 6))


def test_a_single_image_and_an_empty_crop_are_refused():
    with pytest.raises(ValueError, match=r"images have the shape \(3, 6, 6\); wanted a batch"):
        tta.TestTimeAugmentation(network())(images(3, 6, 6))
    with pytest.raises(ValueError, match="FiveCrop: size is 0; wanted at least 1"):
        tta.FiveCrop(0)
