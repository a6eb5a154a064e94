"""The picture: a PNG, drawn without a screen, however many epochs there are."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minidl.train.curves import plot_curves
from minidl.train.record import Record

CHECKOUT = Path(__file__).parents[2]
Image = pytest.importorskip("PIL.Image")


def records(n):
    generator = np.random.default_rng(0)
    return [Record(epoch, 0.1, *generator.random(4).tolist(), 1.0, 1.0) for epoch in range(1, n + 1)]


@pytest.mark.parametrize("epochs", [1, 60])
def test_the_picture_shows_train_and_test_in_their_colours(epochs, tmp_path):
    plot_curves(records(epochs), tmp_path / "curves.png")
    pixels = np.asarray(Image.open(tmp_path / "curves.png").convert("RGB"))
    loss, accuracy, rate = (
        {tuple(c) for c in part.reshape(-1, 3).tolist()} for part in np.array_split(pixels, 3, axis=1)
    )
    train, test, lr = (0x7F, 0x9D, 0xB9), (0xC4, 0x4E, 0x1F), (0x77, 0x77, 0x77)
    assert {train, test} <= loss
    assert {train, test} <= accuracy
    assert lr in rate


def test_drawing_looks_for_no_screen(tmp_path):
    program = f"""if True:
        import sys
        from pathlib import Path
        from minidl.train.curves import plot_curves
        from minidl.train.record import Record
        plot_curves([Record(1, 0.1, 1.0, 0.5, 1.0, 0.5, 1.0, 1.0)], Path({str(tmp_path / "curves.png")!r}))
        print("matplotlib.pyplot" in sys.modules)"""
    assert subprocess.check_output([sys.executable, "-c", program], text=True, cwd=CHECKOUT) == "False\n"
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
