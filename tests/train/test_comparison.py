"""Several runs as one: each in its folder, a table and a picture of all."""

import numpy as np
import pytest

from minidl.train import Comparison
from minidl.train.curves import plot_comparison
from minidl.train.record import Record
from tests.train.small import EPOCHS, trainer


def test_each_run_is_what_it_is_alone_and_the_table_has_a_line_for_each(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("minidl.train.trainer.plot_curves", lambda records, path: None)
    pictures = []
    monkeypatch.setattr("minidl.train.comparison.plot_comparison", lambda runs, path: pictures.append((runs, path)))
    alone = {name: trainer(tmp_path / "alone" / name, kind=name).fit(EPOCHS) for name in ("sgd", "adam")}
    runs = Comparison({name: trainer(tmp_path / "both" / name, kind=name) for name in alone}, tmp_path / "both")
    assert runs.saved == 0
    capsys.readouterr()
    best = runs.fit(EPOCHS)
    assert runs.saved == 2 * EPOCHS
    assert pictures == [(alone, tmp_path / "both/comparison.png")]
    head, *lines, _ = capsys.readouterr().out.splitlines()[-4:]
    assert head.split()[:2] == ["model", "parameters"]
    for line, record, (name, records) in zip(lines, best, alone.items(), strict=True):
        assert record.test_accuracy == max(r.test_accuracy for r in records)
        share, highest = f"{records[-1].test_accuracy:.2%}", f"{record.test_accuracy:.2%}"
        assert line.split() == [name, "63", f"{records[-1].test_loss:.4f}", share, highest, str(record.epoch)]


@pytest.mark.parametrize("epochs", [1, 60])
def test_the_picture_shows_each_run_in_a_colour_of_its_own(epochs, tmp_path):
    image = pytest.importorskip("PIL.Image")
    runs = {
        name: [Record(epoch, 0.1, loss, 0.6, loss / 2, 1 - loss / 3, 1.0, 1.0) for epoch in range(1, epochs + 1)]
        for name, loss in (("one", 0.5), ("two", 1.5))
    }
    plot_comparison(runs, tmp_path / "comparison.png")
    pixels = np.asarray(image.open(tmp_path / "comparison.png").convert("RGB"))
    for panel in np.array_split(pixels, 2, axis=1):
        assert {(0xC4, 0x4E, 0x1F), (0x2A, 0x6F, 0x97)} <= {tuple(c) for c in panel.reshape(-1, 3).tolist()}
