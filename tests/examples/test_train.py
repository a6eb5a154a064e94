"""One example trains any network of the zoo, and says in one line why it cannot."""

import runpy

import pytest

from minidl import checkpoint
from tests.examples.conftest import EXAMPLES

SMALL = "--data images --batch-size 5 --epochs 1 --out run"


@pytest.mark.parametrize(
    ("line", "kind", "last"),
    [
        ("--model resnet_cifar --set depth=8 shortcut=A --padding 1", "ResNet with", "fc.weight"),
        ("--model mobilenet_v1 --set width=0.1 --image-size 40 --no-augment", "MobileNetV1 with", "classifier.weight"),
        ("--model densenet_cifar --set depth=10 growth_rate=2 bottleneck=true", "DenseNet with", "classifier.weight"),
    ],
)
def test_a_network_is_built_with_its_settings_and_trained(line, kind, last, folder, start):
    code, printed, said = start("train", f"{SMALL} {line}")
    assert (code, said) == (0, "")
    assert printed.startswith(kind)
    state = checkpoint.load(folder / "run/checkpoint.safetensors")
    assert (len(state["records"]), state["settings"]["model"]) == (1, line.split()[1])
    assert state["model"][last].shape[0] == 2  # classes


@pytest.mark.parametrize("batch_size", [5, 3])  # of ten images, three leave one alone
def test_a_run_goes_on_with_its_network(batch_size, folder, start):
    network = "--model mobilenet_v1 --set width=0.05 --image-size 16"
    line = f"--data images --batch-size {batch_size} --schedule constant {network}"
    assert start("train", f"{line} --epochs 1 --out run")[0] == 0
    assert start("train", "--resume --out run --epochs 2")[0] == 0
    assert start("train", f"{line} --epochs 2 --out whole")[0] == 0
    assert (folder / "run/metrics.csv").read_bytes() == (folder / "whole/metrics.csv").read_bytes()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", "which network? Name it with --model"),
        ("--model resnet19", "argument --model: invalid choice: 'resnet19'"),
        ("--model resnet_cifar --set depth=9", "depth must be 6n + 2"),
        ("--model resnet_cifar --set depth", "argument --set: 'depth' is not of the form NAME=VALUE"),
        ("--model resnet_cifar --set deep=8", "resnet_cifar cannot be built with deep=8: "),
        ("--model resnet_cifar --set depth=twenty", "with depth=twenty: depth has a value of the wrong kind\n"),
        ("--model mobilenet_v2 --set width_mult=wide", "width_mult=wide: width_mult has a value of the wrong kind\n"),
        ("--model resnet_cifar --set num_classes=8", "num_classes cannot be set: they follow from the data"),
        ("--model squeezenet1_1", "squeezenet1_1 cannot take images of 8×8 ("),
        (
            "--model mobilenet_v1 --set width=0.05 --batch-size 1",
            "mobilenet_v1 cannot take images of 8×8 one at a time (",
        ),
    ],
)
def test_a_network_that_cannot_be_trained_is_refused_in_one_line(line, reason, folder, start):
    code, printed, said = start("train", f"{SMALL} {line}")
    assert (code, printed, said.count("\n")) == (2, "", 1)
    assert reason in said
    assert [path.name for path in folder.iterdir()] == ["images"]


def test_auxiliary_losses_have_the_weight_that_is_asked_for(folder, monkeypatch):
    monkeypatch.chdir(folder)
    example = runpy.run_path(str(EXAMPLES / "train.py"))
    for line, weight in (("", 0.3), ("--aux-weight 0.5", 0.5)):
        args = example["parser"]().arguments(
            f"--data images --model mobilenet_v1 --set width=0.1 --out {weight} {line}".split()
        )
        assert example["build"](args).aux_weight == weight
