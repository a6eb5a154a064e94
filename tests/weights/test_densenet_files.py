"""DenseNets trained elsewhere: with torchvision's old names, and with [new, old] for the order of features."""

import re

import numpy as np
import pytest

import minidl
from minidl import load_weights, models, nn
from minidl.weights import WeightsError

torch = pytest.importorskip("torch")
twins = pytest.importorskip("tests.models.densenet_twin")
from tests.models.agreement import shake  # noqa: E402 (needs what is imported above)


def evaluated(model, twin):
    """The logits of both for the same images, in float64."""
    x = np.random.default_rng(0).standard_normal((2, 3, 16, 16))
    place = next(model.parameters()).backend
    with minidl.no_grad(), torch.no_grad():
        got = model.to("float64").eval()(minidl.Tensor(x).to(place))
        return got.numpy(), twin.double().eval()(torch.from_numpy(x)).numpy()


def old(name):
    """As torchvision called it until 2018."""
    return re.sub(r"(denselayer\d+\.(?:norm|conv))([12])", r"\1.\2", name)


@pytest.mark.parametrize("new_zipfile", [True, False])
def test_torchvisions_old_files_of_densenets_are_read(new_zipfile, tmp_path):
    twin = shake(twins.densenet_cifar(22, 4))
    state = {old(name): value for name, value in twin.state_dict().items() if not name.endswith("tracked")}
    assert "features.denseblock1.denselayer1.norm.2.running_var" in state
    torch.save(state, tmp_path / "file.pth", _use_new_zipfile_serialization=new_zipfile)
    model = models.densenet_cifar(22, 4)
    assert not any(load_weights(model, tmp_path / "file.pth"))
    got, wanted = evaluated(model, twin)
    np.testing.assert_allclose(got, wanted, rtol=1e-10)


class Layer(torch.nn.Module):
    """One layer of a dense block, which puts what it makes in front."""

    def __init__(self, channels, k, bottleneck):
        super().__init__()
        widths = [(channels, 4 * k, 1), (4 * k, k, 3)] if bottleneck else [(channels, k, 3)]
        for i, (inputs, outputs, size) in enumerate(widths, start=1):
            self.add_module(f"bn{i}", torch.nn.BatchNorm2d(inputs))
            self.add_module(f"conv{i}", torch.nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=False))

    def forward(self, x):
        y = self.conv1(self.bn1(x).relu())
        if hasattr(self, "conv2"):
            y = self.conv2(self.bn2(y).relu())
        return torch.cat([y, x], 1)


class Shrink(torch.nn.Module):
    """Half of the channels, a quarter of the pixels."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.bn, self.conv = torch.nn.BatchNorm2d(inputs), torch.nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x):
        return torch.nn.functional.avg_pool2d(self.conv(self.bn(x).relu()), 2)


class NewFirst(torch.nn.Module):
    """A CIFAR DenseNet with other names than ours, and with [new, old]."""

    def __init__(self, k, depths, width, bottleneck, compression, classes=10):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.stages = []
        for i, depth in enumerate(depths, start=1):
            layers = [Layer(width + j * k, k, bottleneck) for j in range(depth)]
            self.stages.append(f"dense{i}")
            self.add_module(f"dense{i}", torch.nn.Sequential(*layers))
            width += depth * k
            if i < len(depths):
                self.stages.append(f"trans{i}")
                self.add_module(f"trans{i}", Shrink(width, int(width * compression)))
                width = int(width * compression)
        self.bn, self.linear = torch.nn.BatchNorm2d(width), torch.nn.Linear(width, classes)

    def forward(self, x):
        x = self.conv1(x)
        for stage in self.stages:
            x = getattr(self, stage)(x)
        return self.linear(self.bn(x).relu().mean((2, 3)))


def ours(name):
    """What our DenseNet calls it."""
    for pattern, replacement in [
        (r"^conv1", "features.conv0"),
        (r"^bn", "features.norm5"),
        (r"^linear", "classifier"),
        (r"^dense(\d)\.(\d+)\.", lambda m: f"features.denseblock{m[1]}.denselayer{int(m[2]) + 1}."),
        (r"^trans(\d)\.", r"features.transition\1."),
        (r"\.bn", ".norm"),
    ]:
        name = re.sub(pattern, replacement, name)
    return name


NETWORKS = [
    ({"depth": 13, "growth_rate": 5, "bottleneck": False, "compression": 1.0}, (5, (3, 3, 3), 16, False, 1.0)),
    ({"depth": 22, "growth_rate": 4}, (4, (3, 3, 3), 8, True, 0.5)),
]
networks = pytest.mark.parametrize(("settings", "twin"), NETWORKS, ids=["plain", "BC"])


@networks
def test_new_first_gives_the_same_logits(settings, twin, backend, tmp_path):
    twin = shake(NewFirst(*twin))
    torch.save({"net": twin.state_dict(), "acc": 93.0}, tmp_path / "ckpt.pth")
    model = models.densenet_cifar(**settings).to(backend)
    assert not any(load_weights(model, tmp_path / "ckpt.pth", rename=ours, new_first=True))
    got, wanted = evaluated(model, twin)
    np.testing.assert_allclose(got, wanted, rtol=1e-10)


@networks
def test_without_it_the_logits_are_others(settings, twin, tmp_path):
    """The shapes are the same, so that nothing else would tell."""
    twin = shake(NewFirst(*twin))
    torch.save(twin.state_dict(), tmp_path / "file")
    model = models.densenet_cifar(**settings)
    load_weights(model, tmp_path / "file", rename=ours)
    got, wanted = evaluated(model, twin)
    assert np.abs(got - wanted).max() > 0.01


def test_it_goes_with_another_number_of_classes(tmp_path):
    twin = shake(NewFirst(*NETWORKS[1][1]))
    torch.save(twin.state_dict(), tmp_path / "file")
    model, seven = models.densenet_cifar(22, 4), models.densenet_cifar(22, 4, num_classes=7)
    load_weights(model, tmp_path / "file", rename=ours, new_first=True)
    with pytest.warns(UserWarning, match="is for 10 classes and the model for 7"):
        load_weights(seven, tmp_path / "file", rename=ours, new_first=True)
    for (name, a), b in zip(model.features.state_dict().items(), seven.features.state_dict().values(), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=name)


def test_it_goes_for_the_networks_of_imagenet(tmp_path):
    """Each channel is told by its number: afterwards those of the first layer's input come first."""
    model = models.DenseNet(3, (2, 1), 4, num_classes=2)
    state = {name: torch.from_numpy(t.numpy().copy()) for name, t in model.state_dict().items()}
    wide = state["features.transition1.norm.weight"]
    wide.copy_(torch.tensor([7, 8, 9, 4, 5, 6, 0, 1, 2, 3]))
    torch.save(state, tmp_path / "file")
    load_weights(model, tmp_path / "file", new_first=True)
    assert model.features.transition1.norm.weight.numpy().tolist() == list(range(10))


@pytest.mark.parametrize("model", [nn.Linear(2, 3), nn.Sequential({"conv0": nn.Conv2d(3, 4, 3, bias=False)})])
def test_other_networks_have_no_such_order(model, tmp_path):
    minidl.save_weights(model, tmp_path / "file")
    with pytest.raises(WeightsError, match="new_first is for DenseNets"):
        load_weights(model, tmp_path / "file", new_first=True)
