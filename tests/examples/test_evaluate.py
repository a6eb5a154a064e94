"""Evaluation by command line: what training saw, from any file of weights, with views and ensembles."""

import math
import shutil

import numpy as np
import pytest

from minidl import Tensor, checkpoint, save_weights
from minidl.data import load_dataset
from minidl.models import densenet_cifar, squeezenet1_1
from minidl.train.record import Record, best_of

NETWORK = "--model densenet_cifar --set depth=10 growth_rate=2"


@pytest.fixture
def runs(folder, start):
    """Two runs, runs/a and runs/b, on other parts of the images; what each scored in its best epoch, as printed."""
    line = f"{NETWORK} --data images --batch-size 4 --epochs 2 --lr 0.05 --no-augment"
    for name, options in (("a", ""), ("b", "--limit 7 --seed 1")):
        assert start("train", f"{line} --out runs/{name} {options}")[0] == 0
    states = [checkpoint.load(folder / "runs" / name / "checkpoint.safetensors") for name in "ab"]
    best = [best_of([Record(**record) for record in state["records"]]) for state in states]
    return [[f"{record.test_loss:.4f}", f"{record.test_accuracy:.2%}"] for record in best]


def table(printed):
    """(weights, views) -> [loss, top-1]."""
    first, head, *lines = printed.splitlines()
    assert first == "10 images of images, 2 classes; averages of probabilities"
    assert head.split() == ["weights", "views", "loss", "top-1"]
    return {tuple(line.rsplit(maxsplit=3)[:2]): line.split()[-2:] for line in lines}


def loss_of_the_mean(folder):
    """The loss of the mean of both networks' probabilities, each for images normalised as in its training."""
    _, test = load_dataset(folder / "images")
    probabilities = []
    for name in "ab":
        settings = checkpoint.load(folder / "runs" / name / "checkpoint.safetensors")["settings"]
        mean, std = (np.array(settings[key], np.float32)[:, None, None] for key in ("mean", "std"))
        model = densenet_cifar(10, 2, num_classes=2).eval()
        model.load_state_dict(checkpoint.load(folder / "runs" / name / "best.safetensors"))
        scores = model(Tensor((test.images[:] / np.float32(255) - mean) / std)).numpy()
        probabilities.append(np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True))
    return -np.log(np.mean(probabilities, axis=0)[np.arange(10), test.labels]).mean()


def test_the_table_has_what_training_saw_for_each_run_and_all_together(runs, folder, start):
    tta = "none flip five-crop ten-crop multi-scale"
    code, printed, said = start("evaluate", f"--weights runs/a --ensemble runs/b --tta {tta}")
    assert (code, said) == (0, "")
    rows = table(printed)
    assert list(rows) == [(name, views) for views in tta.split() for name in ("runs/a", "runs/b", "all 2")]
    assert [rows["runs/a", "none"], rows["runs/b", "none"]] == runs
    assert all(math.isfinite(float(loss)) for loss, _ in rows.values())
    assert rows["all 2", "none"][0] == f"{loss_of_the_mean(folder):.4f}"
    assert len({rows["runs/a", views][0] for views in tta.split()}) == 5


def test_weights_may_be_any_file_for_which_the_line_says_what_it_is_for(runs, folder, start):
    best = folder / "runs/b/best.safetensors"
    settings = checkpoint.load(folder / "runs/b/checkpoint.safetensors")["settings"]
    mean, std = (" ".join(map(repr, settings[name])) for name in ("mean", "std"))
    np.savez(folder / "b.npz", **checkpoint.load(best))
    shutil.copy(best, folder / "moved.safetensors")
    for name in ("b.npz", "moved.safetensors"):
        line = f"--weights {name} {NETWORK} --data images"
        assert table(start("evaluate", f"{line} --mean {mean} --std {std}")[1])[name, "none"] == runs[1]
        assert table(start("evaluate", line)[1])[name, "none"][0] != runs[1][0]  # the moments of all images are others


def test_the_last_epoch_is_in_the_checkpoint_and_crops_may_have_a_size(runs, folder, start):
    last = checkpoint.load(folder / "runs/a/checkpoint.safetensors")["records"][-1]
    rows = table(start("evaluate", "--weights runs/a/checkpoint.safetensors --ensemble runs/b/best.safetensors")[1])
    assert rows["runs/a/checkpoint.safetensors", "none"][0] == f"{last['test_loss']:.4f}"
    assert rows["runs/b/best.safetensors", "none"] == runs[1]
    whole = table(start("evaluate", "--weights runs/a --tta none flip")[1])
    same = table(start("evaluate", "--weights runs/a --tta none five-crop flip ten-crop --crop-size 8")[1])
    assert same["runs/a", "none"] == same["runs/a", "five-crop"] == whole["runs/a", "none"]  # five times the same
    assert same["runs/a", "flip"] == same["runs/a", "ten-crop"] == whole["runs/a", "flip"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", "the following arguments are required: --weights"),
        ("--weights wide.npz --data images", "wide.npz: which network is it for? Name it with --model"),
        (f"--weights nowhere.pth --data images {NETWORK}", "nowhere.pth: there is no such file or folder"),
        ("--weights runs/a --ensemble runs/nosuch", "runs/nosuch: there is no such file or folder"),
        ("--weights images", "images: is not the folder of a run\n"),
        ("--weights runs", "runs: is not the folder of a run; these in it are: runs/a, runs/b\n"),
        (
            "--weights runs/a --model resnet18",
            "runs/a: is a run of densenet_cifar depth=10 growth_rate=2: leave out --m",
        ),
        (
            "--weights runs/a --ensemble runs/b --set depth=13",
            "runs/a: is a run of densenet_cifar depth=10 growth_rate",
        ),
        ("--weights runs/a --mean 1 2", "--mean has 2 numbers, and the images have 3 channels"),
        ("--weights runs/a --std 1 2 3 4", "--std has 4 numbers, and the images have 3 channels"),
        ("--weights runs/a --tta 12-crop", "argument --tta: invalid choice: '12-crop'"),
        (
            "--weights runs/a --crop-size 9 --tta ten-crop",
            "--tta ten-crop: FiveCrop: images are 8×8; wanted at least 9×9: enlarge or crop less "
            "(on this command line: --image-size, --crop-size)\n",
        ),
        ("--weights runs/a --data fashion-mini", "load_weights: runs/a/best.safetensors does not fit DenseNet"),
        ("--weights wide.npz --data images " + NETWORK, "wide.npz: is not for the 2 classes of images"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(line, reason, runs, folder, start):
    state = checkpoint.load(folder / "runs/a/best.safetensors")
    wide = {key: np.repeat(x, 2, axis=0) if key.startswith("classifier") else x for key, x in state.items()}
    np.savez(folder / "wide.npz", **wide)
    code, _, said = start("evaluate", line)
    assert code == 2
    assert reason in said
    assert "Traceback" not in said


@pytest.mark.parametrize("line", ["--image-size 18 --tta ten-crop", "--image-size 20 --crop-size 16"])
def test_crops_that_are_too_small_for_the_network_are_refused_with_the_arguments_that_help(line, folder, start):
    save_weights(squeezenet1_1(num_classes=2), folder / "net.safetensors")
    code, _, said = start("evaluate", f"--weights net.safetensors --model squeezenet1_1 --data images {line}")
    assert (code, said.count("\n")) == (2, 1)
    assert "cannot take a view of shape (10, 3, 16, 16) (max_pool2d: " in said
    assert said.endswith("(on this command line: --image-size, --crop-size)\n")


def test_what_a_run_says_may_be_repeated_and_the_line_may_be_about_other_weights_beside_it(runs, folder, start):
    repeated = start("evaluate", "--weights runs/a --model densenet_cifar --set growth_rate=2")
    assert table(repeated[1])["runs/a", "none"] == runs[0]
    wide = "--model densenet_cifar --set depth=10 growth_rate=3"
    assert start("train", f"{wide} --data images --batch-size 5 --epochs 1 --out wide")[0] == 0
    shutil.copy(folder / "wide/best.safetensors", folder / "wide.safetensors")
    code, _, said = start("evaluate", f"--weights runs/a --ensemble wide.safetensors {wide}")
    assert (code, said) == (0, "")


def test_runs_on_other_sizes_or_data_are_averaged_only_at_one_that_is_chosen(runs, folder, start):
    shutil.copytree(folder / "images", folder / "others")
    line = f"{NETWORK} --batch-size 5 --epochs 1"
    assert start("train", f"{line} --data images --image-size 12 --out runs/large")[0] == 0
    assert start("train", f"{line} --data others --out runs/others")[0] == 0
    code, _, said = start("evaluate", "--weights runs/a --ensemble runs/large")
    assert (code, said.count("\n")) == (2, 1)
    assert "--image-size was not given in runs/a and 12 in runs/large: choose one for all, with --image-size" in said
    code, _, said = start("evaluate", "--weights runs/a --ensemble runs/others")
    assert (code, said.count("\n")) == (2, 1)
    assert "--data was images in runs/a and others in runs/others: choose one for all, with --data" in said
    assert start("evaluate", "--weights runs/a --ensemble runs/large --image-size 8")[0] == 0
    assert start("evaluate", "--weights runs/a --ensemble runs/others --data images")[0] == 0
