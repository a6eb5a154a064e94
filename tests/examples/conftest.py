"""A folder of images to start examples in, and how to start them."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def folder(tmp_path):
    """A folder to work in, with images/train and images/test: ten colour images of two classes in each."""
    image = pytest.importorskip("PIL.Image")
    generator = np.random.default_rng(0)
    for part in ("train", "test"):
        for label in ("dark", "light"):
            (tmp_path / "images" / part / label).mkdir(parents=True)
            for i in range(5):
                pixels = generator.integers(120, size=(8, 8, 3)) + (120 if label == "light" else 0)
                image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "images" / part / label / f"{i}.png")
    return tmp_path


@pytest.fixture
def start(folder, monkeypatch, capsys):
    """start("train", "--epochs 1"): an example's exit code, stdout and stderr, started in the folder. It draws none."""
    monkeypatch.setattr("minidl.train.trainer.plot_curves", lambda records, path: None)

    def start(name, line):
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", [str(EXAMPLES / f"{name}.py"), *line.split()])
        with pytest.raises(SystemExit) as leaving:
            runpy.run_path(sys.argv[0], run_name="__main__")
        return leaving.value.code, *capsys.readouterr()

    return start
