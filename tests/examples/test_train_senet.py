"""MobileNet and SE-MobileNet on the same images: two runs, a table and a picture."""

import runpy

from minidl import checkpoint
from tests.examples.conftest import EXAMPLES

NAMES = ["mobilenet_v1", "se_mobilenet_v1"]
SMALL = "--data images --image-size 16 --width 0.05 --reduction 2 --batch-size 5 --schedule constant"


def test_both_are_trained_on_the_same_images_and_shown_together(folder, start):
    code, printed, said = start("train_senet", f"{SMALL} --epochs 1 --out both")
    assert (code, said) == (0, "")
    head, *lines, last = printed.splitlines()[-4:]
    assert head.split()[:2] == ["model", "parameters"]
    assert [line.split()[0] for line in lines] == NAMES
    plain, gated = (int(line.split()[1].replace(",", "")) for line in lines)
    assert plain < gated
    assert last == "the curves of all are in both/comparison.png"
    assert (folder / "both/comparison.png").read_bytes().startswith(b"\x89PNG")
    states = [checkpoint.load(folder / "both" / name / "checkpoint.safetensors") for name in NAMES]
    assert [state["settings"]["model"] for state in states] == NAMES
    assert [state["settings"]["set"] for state in states] == [{"width": 0.05}, {"width": 0.05, "reduction": 2}]

    assert start("train_senet", "--resume --out both --epochs 2")[0] == 0
    assert start("train_senet", f"{SMALL} --epochs 2 --out whole")[0] == 0
    for name in NAMES:
        assert (folder / "both" / name / "metrics.csv").read_bytes() == (
            folder / "whole" / name / "metrics.csv"
        ).read_bytes()


def test_the_defaults_take_a_few_minutes():
    args = runpy.run_path(str(EXAMPLES / "train_senet.py"))["parser"]().arguments(["--out", "x"])
    assert (args.data, args.width, args.reduction) == ("fashion-mini", 0.25, 16)
    assert args.epochs * args.image_size**2 <= 12 * 56**2
