"""GoogLeNet beyond what holds for every model: Table 1 by row, the published costs of the module, three losses."""

import numpy as np
import pytest

import minidl
from minidl import models
from minidl.models.googlenet import GoogLeNetOutputs, InceptionAux
from minidl.models.inception import Inception, NaiveInception
from minidl.nn import functional as F
from tests.models.agreement import count, distances, shake, shapes, side_by_side
from tests.models.cost import multiply_adds

# Table 1: output size, weights in units of 1,024, multiply-adds in millions; None where the paper does not add up
TABLE = {
    "conv1": ((112, 112, 64), None, None),  # printed 2.7 K and 34 M: fewer than 7×7×3×64 weights
    "maxpool1": ((56, 56, 64), 0, 0),
    "conv2, conv3": ((56, 56, 192), 112, 360),
    "maxpool2": ((28, 28, 192), 0, 0),
    "inception3a": ((28, 28, 256), 159, 128),
    "inception3b": ((28, 28, 480), 380, 304),
    "maxpool3": ((14, 14, 480), 0, 0),
    "inception4a": ((14, 14, 512), 364, 73),
    "inception4b": ((14, 14, 512), 437, 88),
    "inception4c": ((14, 14, 512), None, 100),  # printed 463 K, which would cost 93 M
    "inception4d": ((14, 14, 528), 580, 119),
    "inception4e": ((14, 14, 832), 840, 170),
    "maxpool4": ((7, 7, 832), 0, 0),
    "inception5a": (
        (7, 7, 832),
        None,
        None,
    ),  # printed 1,072 K and 54 M, where 4e, with the same widths, has 304 inputs less
    "inception5b": ((7, 7, 1024), 1388, 71),
    "fc": ((1000,), 1000, 1),
}


@pytest.fixture(scope="module")
def published():
    """The network of 2014, in evaluation; it is built only once."""
    minidl.manual_seed(0)
    return models.googlenet_2014().eval()


def test_output_sizes_are_those_of_table_1(published):
    sizes, handles = {}, []
    for name, part in published.named_children():
        note = lambda _, args, y, name=name: sizes.update({name: (*y.shape[2:], y.shape[1])})  # noqa: E731
        handles.append(part.register_forward_hook(note))
    published(minidl.ones(1, 3, 224, 224))
    for handle in handles:
        handle.remove()
    assert {row: sizes[row.split(", ")[-1]] for row in TABLE} == {row: size for row, (size, _, _) in TABLE.items()}


def test_weights_and_multiply_adds_are_those_of_table_1(published):
    costs = multiply_adds(published, 224)
    assert costs["conv1.conv"] == 112 * 112 * 64 * 7 * 7 * 3
    for row, (_, thousands, millions) in TABLE.items():
        names = row.split(", ")
        weights = sum(
            p.numel()
            for name, p in published.named_parameters()
            if name.split(".")[0] in names and name.endswith("weight")
        )
        ops = sum(cost for name, cost in costs.items() if name.split(".")[0] in names)
        assert thousands is None or abs(weights / 1024 - thousands) <= max(1, 0.02 * thousands), row
        assert millions is None or abs(ops / 1e6 - millions) < 1, row


def test_the_module_costs_what_is_published_naive_and_reduced():
    naive = NaiveInception(256, 128, 192, 96)
    reduced = Inception(256, (128, 64, 192, 64, 96, 64))
    assert sum(multiply_adds(naive, 28, channels=256).values()) == 854_196_224
    assert sum(multiply_adds(reduced, 28, channels=256).values()) == 271_351_808
    x = minidl.randn(1, 256, 6, 5)
    assert naive(x).shape == (1, 128 + 192 + 96 + 256, 6, 5)
    assert reduced(x).shape == (1, 128 + 192 + 96 + 64, 6, 5)
    np.testing.assert_array_equal(naive(x).numpy()[:, -256:], F.max_pool2d(x, 3, 1, 1).numpy())


def test_reducing_first_makes_5x5_convolutions_ten_times_cheaper():
    direct = minidl.nn.Conv2d(192, 32, 5, padding=2)
    reduced = minidl.nn.Sequential(minidl.nn.Conv2d(192, 16, 1), minidl.nn.Conv2d(16, 32, 5, padding=2))
    assert sum(multiply_adds(direct, 28, channels=192).values()) == 120_422_400
    assert sum(multiply_adds(reduced, 28, channels=192).values()) == 12_443_648


def test_at_14x14_auxiliary_classifiers_average_5x5_with_stride_3_as_the_paper_does(backend):
    twins = pytest.importorskip("tests.models.googlenet_twin")
    twin, ours = shake(twins.Auxiliary(False, 6, 7)), InceptionAux(6, 7, dropout=0.7, batch_norm=False)
    draw = np.random.default_rng(0).standard_normal
    got, wanted = side_by_side(ours, twin, True, "float64", draw((2, 6, 14, 14)), [draw((2, 7))], backend)
    for group in map(distances, got, wanted):
        assert max(group.values(), default=0) < 1e-12


def test_in_training_there_are_three_outputs_in_evaluation_one():
    model = models.googlenet(num_classes=5)
    x = minidl.randn(2, 3, 32, 32)
    outputs = model(x)
    assert isinstance(outputs, GoogLeNetOutputs)
    assert outputs._fields == ("logits", "aux_logits2", "aux_logits1")  # torchvision's
    assert {y.shape for y in outputs} == {(2, 5)}
    assert model.eval()(x).shape == (2, 5)
    assert models.googlenet(num_classes=5, aux_logits=False)(x).shape == (2, 5)


def test_an_auxiliary_classifier_teaches_only_what_is_before_it():
    model = models.googlenet_2014(num_classes=3)
    outputs, x = {}, minidl.randn(2, 3, 32, 32)
    for name in GoogLeNetOutputs._fields:
        getattr(model(x), name).sum().backward()
        outputs[name] = {part for part, child in model.named_children() if touched(child)}
        model.zero_grad()
    every = {name for name, part in model.named_children() if count(part)}
    before_4b = {"conv1", "conv2", "conv3", "inception3a", "inception3b", "inception4a"}
    assert outputs["aux_logits1"] == before_4b | {"aux1"}
    assert outputs["aux_logits2"] == before_4b | {"inception4b", "inception4c", "inception4d", "aux2"}
    assert outputs["logits"] == every - {"aux1", "aux2"}


def touched(part):
    return any(p.grad is not None for p in part.parameters())


def test_transform_input_undoes_imagenets_normalisation(backend):
    model, seen = models.googlenet(num_classes=2, transform_input=True).eval().to(backend), []
    model.conv1.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    pixels = np.random.default_rng(0).random((2, 3, 32, 32), np.float32)
    mean, deviation = (np.array(c, np.float32)[:, None, None] for c in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    model(minidl.tensor((pixels - mean) / deviation, backend=backend))
    np.testing.assert_allclose(seen[0].numpy(), 2 * pixels - 1, atol=1e-6)
    assert seen[0].dtype == np.float32
    with pytest.raises(ValueError, match="transform_input needs images of 3 channels, got 1"):
        models.googlenet(in_channels=1, transform_input=True)


def test_it_starts_as_torchvision_or_caffe_do(published):
    minidl.manual_seed(0)
    model = models.googlenet()
    for ours, wanted in ((model, lambda fan_in: 0.01), (published, lambda fan_in: fan_in**-0.5)):
        for module in ours.modules():
            if isinstance(module, (minidl.nn.Conv2d, minidl.nn.Linear)):
                spread = module.weight.numpy().std() / wanted(module.weight[0].numel())
                assert abs(spread - 1) < 5 / np.sqrt(2 * module.weight.numel())


def test_without_batch_norm_biases_start_as_caffes(published):
    biases = {name: tensor.numpy() for name, tensor in published.named_parameters() if name.endswith("bias")}
    assert len(biases) == 57 + 2 * 3 + 1
    for name, bias in biases.items():
        wanted = 0.0 if name in ("fc.bias", "aux1.fc2.bias", "aux2.fc2.bias") else 0.2
        np.testing.assert_array_equal(bias, np.float32(wanted), err_msg=name)


def test_the_keys_are_those_of_torchvisions_weights():
    state = shapes(models.googlenet())
    published = {
        "conv1.conv.weight": (64, 3, 7, 7),
        "conv1.bn.weight": (64,),
        "conv1.bn.num_batches_tracked": (),
        "conv3.conv.weight": (192, 64, 3, 3),
        "inception3a.branch1.conv.weight": (64, 192, 1, 1),
        "inception3a.branch2.0.conv.weight": (96, 192, 1, 1),
        "inception3a.branch2.1.bn.running_mean": (128,),
        "inception3a.branch3.1.conv.weight": (32, 16, 3, 3),
        "inception3a.branch4.1.conv.weight": (32, 192, 1, 1),
        "inception5b.branch4.1.bn.bias": (128,),
        "aux1.conv.conv.weight": (128, 512, 1, 1),
        "aux1.fc1.weight": (1024, 2048),
        "aux1.fc2.bias": (1000,),
        "aux2.conv.conv.weight": (128, 528, 1, 1),
        "fc.weight": (1000, 1024),
        "fc.bias": (1000,),
    }
    assert {key: state.get(key) for key in published} == published
    assert [key for key in state if key in published] == list(published)
