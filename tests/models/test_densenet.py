"""DenseNet: published sizes and names, and PyTorch's outputs, running statistics and gradients for the same weights."""

import functools

import numpy as np
import pytest

import minidl
from minidl import models
from minidl.backend import to_backend
from minidl.models import DenseNet, densenet_cifar

# Table 2 of the paper, in the authors' exact numbers, and torchvision's for ImageNet (264: section 4.2's depths).
CIFAR = [
    ((40, 12, False, 1.0), 1_019_722),
    ((100, 12, False, 1.0), 6_979_642),
    ((100, 24, False, 1.0), 27_249_082),
    ((100, 12, True, 0.5), 769_162),
    ((250, 24, True, 0.5), 15_324_406),
    ((190, 40, True, 0.5), 25_624_430),
]
IMAGENET = {
    "densenet121": ((32, (6, 12, 24, 16), 64), 7_978_856, 727),
    "densenet161": ((48, (6, 12, 36, 24), 96), 28_681_000, 967),
    "densenet169": ((32, (6, 12, 32, 32), 64), 14_149_480, 1_015),
    "densenet201": ((32, (6, 12, 48, 32), 64), 20_013_928, 1_207),
    "densenet264": ((32, (6, 12, 64, 48), 64), 33_337_704, 1_591),
}


def count(model):
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(("settings", "parameters"), CIFAR)
def test_cifar_networks_have_the_papers_parameter_counts(settings, parameters):
    assert count(densenet_cifar(*settings)) == parameters


@functools.cache
def facts(name):
    """How many parameters a network has, the shapes in its state, and its answer to an image; it is built only once."""
    minidl.manual_seed(0)
    model = getattr(models, name)().eval()
    with minidl.no_grad():
        return count(model), shapes(model), model(minidl.randn(1, 3, 32, 32)).numpy()


def shapes(model):
    return {name: tuple(value.shape) for name, value in model.state_dict().items()}


@pytest.mark.parametrize("name", IMAGENET)
def test_imagenet_networks_have_torchvisions_size_and_run(name):
    (_, depths, _), parameters, entries = IMAGENET[name]
    found, state, logits = facts(name)
    assert found == parameters
    assert len(state) == entries
    weights = sum(len(shape) in (2, 4) for shape in state.values())
    assert weights == 2 * sum(depths) + len(depths) + 1 == int(name.removeprefix("densenet")) + (name == "densenet264")
    assert logits.shape == (1, 1000)
    assert np.isfinite(logits).all()


def test_the_keys_are_those_of_torchvisions_weights():
    _, state, _ = facts("densenet121")
    published = {
        "features.conv0.weight": (64, 3, 7, 7),
        "features.norm0.weight": (64,),
        "features.norm0.bias": (64,),
        "features.norm0.running_mean": (64,),
        "features.norm0.running_var": (64,),
        "features.norm0.num_batches_tracked": (),
        "features.denseblock1.denselayer1.norm1.weight": (64,),
        "features.denseblock1.denselayer1.conv1.weight": (128, 64, 1, 1),
        "features.denseblock1.denselayer1.norm2.running_var": (128,),
        "features.denseblock1.denselayer1.conv2.weight": (32, 128, 3, 3),
        "features.denseblock1.denselayer6.norm1.bias": (224,),
        "features.transition1.norm.weight": (256,),
        "features.transition1.conv.weight": (128, 256, 1, 1),
        "features.denseblock2.denselayer12.conv1.weight": (128, 480, 1, 1),
        "features.transition2.conv.weight": (256, 512, 1, 1),
        "features.denseblock3.denselayer24.norm1.running_mean": (992,),
        "features.transition3.norm.num_batches_tracked": (),
        "features.denseblock4.denselayer16.conv2.weight": (32, 128, 3, 3),
        "features.norm5.weight": (1024,),
        "classifier.weight": (1000, 1024),
        "classifier.bias": (1000,),
    }
    assert {key: state.get(key) for key in published} == published
    assert [key for key in state if key in published] == list(published)


@pytest.mark.parametrize("name", IMAGENET)
def test_keys_shapes_and_their_order_are_those_of_the_twin(name):
    twins = pytest.importorskip("tests.models.densenet_twin")
    settings, *_ = IMAGENET[name]
    with twins.torch.device("meta"):
        wanted = shapes(twins.Twin(*settings, True, 0.5, 1000))
    assert list(facts(name)[1].items()) == list(wanted.items())


def step(model, wrap, x, g):
    """Logits, and by name the gradients and the buffers after one step forward and backward."""
    x = wrap(x)
    x.requires_grad_()
    y = model(x)
    y.backward(wrap(g))
    gradients = {name: p.grad for name, p in model.named_parameters()} | {"x": x.grad}
    to_numpy = minidl.Tensor.numpy if isinstance(x, minidl.Tensor) else lambda tensor: tensor.detach().numpy()
    return tuple(
        {name: to_numpy(tensor) for name, tensor in group.items()}
        for group in ({"y": y}, gradients, dict(model.named_buffers()))
    )


def side_by_side(backend, ours, twin, training, dtype, x, g):
    """The same step by our model, with the twin's weights, and by the twin."""
    ours.load_state_dict(twin.state_dict())
    ours.to(dtype).to(backend).train(training)
    import torch

    got = step(ours, lambda a: minidl.Tensor(to_backend(a.astype(dtype), backend)), x, g)
    twin = twin.to(getattr(torch, dtype)).train(training)
    return got, step(twin, lambda a: torch.from_numpy(a.astype(dtype)), x, g)


def distance(got, wanted):
    """The relative distance of each array from the one that was wanted."""
    assert got.keys() == wanted.keys()
    for name in wanted:
        assert got[name].shape == wanted[name].shape, name
    return {
        name: np.linalg.norm(np.ravel(got[name] - wanted[name])) / max(np.linalg.norm(np.ravel(wanted[name])), 1e-12)
        for name in wanted
    }


def data(n, colours, size, classes, seed=0):
    draw = np.random.default_rng(seed).standard_normal
    return draw((n, colours, *size)).astype(np.float32), draw((n, classes)).astype(np.float32)


VARIANTS = {
    "BC": ((4, (2, 2, 2), 8, True, 0.5), (16, 16)),
    "B": ((4, (2, 2, 2), 16, True, 1.0), (16, 12)),
    "C": ((3, (3, 3, 3), 16, False, 0.5), (13, 18)),
    "plain": ((5, (2, 2, 2), 16, False, 1.0), (9, 11)),
    "uneven": ((3, (1, 3), 7, True, 0.7), (8, 8)),
    "one block": ((3, (4,), 6, True, 0.5), (3, 5)),
}


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_small_networks_step_as_pytorchs_do(backend, variant, training):
    twins = pytest.importorskip("tests.models.densenet_twin")
    settings, size = VARIANTS[variant]
    twin = twins.shake(twins.Twin(*settings, classes=7, colours=2, large=False), seed=1)
    ours = DenseNet(*settings, num_classes=7, in_channels=2, large_images=False)
    got, wanted = side_by_side(backend, ours, twin, training, "float64", *data(3, 2, size, 7))
    for group in map(distance, got, wanted):
        assert max(group.values()) < 1e-9, max(group, key=group.get)


def test_cifar_networks_are_the_papers():
    assert shapes(densenet_cifar(22, 12)) == shapes(DenseNet(12, (3, 3, 3), 24, num_classes=10, large_images=False))
    plain = DenseNet(12, (6, 6, 6), 16, bottleneck=False, compression=1.0, num_classes=10, large_images=False)
    assert shapes(densenet_cifar(22, 12, bottleneck=False, compression=1.0)) == shapes(plain)
    assert shapes(densenet_cifar(22, 12, compression=1.0))["features.conv0.weight"][0] == 16


@pytest.mark.parametrize(("training", "size"), [(True, (64, 64)), (False, (75, 61))], ids=["train", "eval"])
def test_densenet121_steps_as_pytorchs_does_in_float64(backend, training, size):
    twins = pytest.importorskip("tests.models.densenet_twin")
    settings, *_ = IMAGENET["densenet121"]
    twin = twins.shake(twins.Twin(*settings, True, 0.5, 10), seed=1)
    ours = models.densenet121(num_classes=10)
    got, wanted = side_by_side(backend, ours, twin, training, "float64", *data(2, 3, size, 10))
    for group in map(distance, got, wanted):
        assert max(group.values()) < 1e-6, max(group, key=group.get)


def test_densenet121_answers_in_float32_as_pytorchs_does(backend):
    ours, twin, exact = trio()
    ours.load_state_dict(twin.state_dict())
    x, _ = data(2, 3, (75, 61), 10)
    with minidl.no_grad():
        got = ours.to(backend).eval()(minidl.Tensor(to_backend(x, backend))).numpy()
    wanted = exact.eval()(exact.classifier.weight.new_tensor(x)).detach().numpy()
    assert np.abs(got - wanted).max() < 1e-4 * np.abs(wanted).max()


def test_densenet121_in_float32_trains_as_near_to_float64_as_pytorchs_does(backend):
    """A ReLU that rounds across 0 makes the gradients jump, for anybody: their noise is the largest of three steps."""
    ours, twin, exact = trio()
    noise, our_noise = [], []
    for seed in range(3):
        got, theirs, wanted = three_steps(backend, ours, twin, exact, True, seed)
        for group in got:
            assert {array.dtype for array in group.values()} <= {np.dtype("float32"), np.dtype("int64")}
        assert max(distance(got[0], wanted[0]).values()) < 1e-4, "logits"
        assert max(distance(got[2], wanted[2]).values()) < 1e-4, "running statistics"
        noise.append(_whole(theirs[1], wanted[1]))
        our_noise.append(_whole(got[1], wanted[1]))
    assert max(our_noise) < 20 * max(noise)


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_without_corners_each_gradient_of_densenet121_in_float32_is_as_near_as_pytorchs(backend, training):
    ours, twin, exact = trio()
    for model, smooth in ((ours, minidl.nn.SiLU), (twin, twin_nn().SiLU), (exact, twin_nn().SiLU)):
        for module in list(model.modules()):
            for name, _ in list(module.named_children()):
                if name.startswith("relu"):
                    setattr(module, name, smooth())
    got, theirs, wanted = three_steps(backend, ours, twin, exact, training, seed=0)
    distances, noise = distance(got[1], wanted[1]), distance(theirs[1], wanted[1])
    usual = np.median(list(noise.values()))  # that of one parameter may be small by chance
    ratios = {name: distances[name] / max(noise[name], usual) for name in noise}
    assert max(ratios.values()) < 20, max(ratios, key=ratios.get)


def twin_nn():
    return pytest.importorskip("tests.models.densenet_twin").nn


def trio():
    """Our densenet121, its twin, and the twin in float64, all with the same weights."""
    twins = pytest.importorskip("tests.models.densenet_twin")
    settings, *_ = IMAGENET["densenet121"]
    twin, exact = (twins.shake(twins.Twin(*settings, True, 0.5, 10), seed=1) for _ in range(2))
    exact.load_state_dict(twin.state_dict())
    return models.densenet121(num_classes=10), twin, exact.double()


def three_steps(backend, ours, twin, exact, training, seed):
    """The same step by each, from the same weights and running statistics, which stay as they were."""
    import torch

    state = {key: value.clone() for key, value in twin.state_dict().items()}
    for model in (ours, twin, exact.train(training)):
        model.zero_grad()
    x, g = data(2, 3, (64, 64), 10, seed)
    got, theirs = side_by_side(backend, ours, twin, training, "float32", x, g)
    wanted = step(exact, lambda a: torch.from_numpy(a).double(), x, g)
    results = [[{name: np.copy(a) for name, a in group.items()} for group in each] for each in (got, theirs, wanted)]
    twin.load_state_dict(state)
    exact.load_state_dict(state)
    return results


def _whole(got, wanted):
    """The relative distance of all gradients, as one vector, from those that were wanted."""
    square = sum(np.sum((got[name] - wanted[name]) ** 2) for name in wanted)
    return np.sqrt(square / sum(np.sum(wanted[name] ** 2) for name in wanted))


def test_the_start_is_he_s_for_convolutions_and_zero_for_the_classifiers_bias():
    minidl.manual_seed(0)
    model = densenet_cifar(40, 12)
    for name, p in model.named_parameters():
        if p.ndim == 4:
            wanted = np.sqrt(2 / np.prod(p.shape[1:]))
            spread = p.numpy().std() / wanted
            assert abs(spread - 1) < 5 / np.sqrt(2 * p.numel()), name
    assert not model.classifier.bias.numpy().any()
    a = minidl.manual_seed(3) or densenet_cifar(10, 4).state_dict()
    b = minidl.manual_seed(3) or densenet_cifar(10, 4).state_dict()
    assert all((a[key].numpy() == b[key].numpy()).all() for key in a)


def test_dropout_follows_every_convolution_but_the_first_and_only_in_training(backend):
    model = densenet_cifar(16, 4, drop_rate=0.2, num_classes=3).to(backend)
    plain = densenet_cifar(16, 4, num_classes=3).to(backend)
    convolutions = sum(isinstance(module, minidl.nn.Conv2d) for module in model.modules())
    assert sum(isinstance(module, minidl.nn.Dropout) for module in model.modules()) == convolutions - 1
    assert list(plain.state_dict()) == list(model.state_dict())
    plain.load_state_dict(model.state_dict())
    x = minidl.randn(2, 3, 8, 8, backend=backend)
    np.testing.assert_array_equal(model.eval()(x).numpy(), plain.eval()(x).numpy())
    first, second = model.train()(x), model(x)
    assert (first.numpy() != second.numpy()).any()


@pytest.mark.parametrize("colours", [1, 4])
def test_images_of_other_sizes_and_channels_do(backend, colours):
    model = densenet_cifar(16, 4, num_classes=5, in_channels=colours).to(backend)
    for size in [(4, 4), (7, 5), (28, 28)]:
        assert model(minidl.randn(2, colours, *size, backend=backend)).shape == (2, 5)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"depth must be 6n \+ 4 with n ≥ 1, so that three blocks are alike; got 38"):
        densenet_cifar(38)
    with pytest.raises(ValueError, match=r"depth must be 3n \+ 4 .* got 4"):
        densenet_cifar(4, bottleneck=False)
    with pytest.raises(ValueError, match=r"compression must be in \(0, 1\], got 0"):
        densenet_cifar(22, compression=0)
    with pytest.raises(ValueError, match="x has 1 channels but weight expects 3"):
        densenet_cifar(10, 4)(minidl.ones(1, 1, 8, 8))
    with pytest.raises(ValueError, match="a kernel that spans"):
        models.densenet121().eval()(minidl.ones(1, 3, 16, 16))
