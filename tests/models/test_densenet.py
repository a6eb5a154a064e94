"""DenseNet beyond what holds for every model: published names, variants of the block, dropout, the start."""

import numpy as np
import pytest

import minidl
from minidl import models
from minidl.models import DenseNet, densenet_cifar
from tests.models.agreement import data, distances, noise_in_float32, shake, shapes, side_by_side, whole
from tests.models.table import ENTRIES


def test_the_keys_are_those_of_torchvisions_weights():
    state = shapes(models.densenet121())
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
    twin = shake(twins.Twin(*settings, classes=7, colours=2, large=False)).double()
    ours = DenseNet(*settings, num_classes=7, in_channels=2, large_images=False)
    got, wanted = side_by_side(ours, twin, training, "float64", *data(2, size, 1, n=3), backend)
    for group in map(distances, got, wanted):
        assert max(group.values()) < 1e-9, max(group, key=group.get)


def test_cifar_networks_are_the_papers():
    assert shapes(densenet_cifar(22, 12)) == shapes(DenseNet(12, (3, 3, 3), 24, num_classes=10, large_images=False))
    plain = DenseNet(12, (6, 6, 6), 16, bottleneck=False, compression=1.0, num_classes=10, large_images=False)
    assert shapes(densenet_cifar(22, 12, bottleneck=False, compression=1.0)) == shapes(plain)
    assert shapes(densenet_cifar(22, 12, compression=1.0))["features.conv0.weight"][0] == 16


def test_densenet121_in_float32_trains_as_near_to_float64_as_pytorchs_does():
    """A ReLU that rounds across 0 makes the gradients jump, for anybody: their noise is the largest of three steps."""
    (entry,) = (entry for entry in ENTRIES if entry.name == "densenet121")
    ours, theirs = np.swapaxes(list(noise_in_float32(entry, True, steps=3)), 0, 1).max(1)
    assert max(ours[:2]) < 1e-4
    assert ours[2] < 20 * theirs[2]


def test_without_corners_each_gradient_of_densenet121_in_float32_is_as_near_as_pytorchs():
    twins = pytest.importorskip("tests.models.densenet_twin")
    twin, exact = (shake(twins.densenet121(num_classes=7)) for _ in range(2))
    ours, reference = (models.densenet121(num_classes=7) for _ in range(2))
    for model, smooth in (
        (ours, minidl.nn.SiLU),
        (reference, minidl.nn.SiLU),
        *((t, twins.nn.SiLU) for t in (twin, exact)),
    ):
        for module in list(model.modules()):
            for name, _ in list(module.named_children()):
                if name.startswith("relu"):
                    setattr(module, name, smooth())
    x, gs = data(3, (64, 64), 1)
    got, theirs = side_by_side(ours, twin, True, "float32", x, gs)
    _, wanted = side_by_side(reference, exact, True, "float64", x, gs)
    assert whole(got[1], wanted[1]) < 20 * whole(theirs[1], wanted[1])
    ours_by_name, noise = distances(got[1], wanted[1]), distances(theirs[1], wanted[1])
    usual = np.median(list(noise.values()))  # that of one parameter may be small by chance
    ratios = {name: ours_by_name[name] / max(noise[name], usual) for name in noise}
    assert max(ratios.values()) < 20, max(ratios, key=ratios.get)


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
