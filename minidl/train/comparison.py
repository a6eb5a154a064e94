"""Several models trained on the same data: one run each, and a table and a picture of all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from minidl.train.curves import plot_comparison
from minidl.train.record import Record, best_of
from minidl.train.trainer import Trainer

HEAD = "model                 parameters  test loss  accuracy       best  in epoch"
LINE = "{:20}  {:>10,}  {r.test_loss:9.4f}  {r.test_accuracy:8.2%}  {best.test_accuracy:9.2%}  {best.epoch:8d}"


class Comparison:
    """Runs that come one after the other; comparison.png in the folder `out` shows the curves of all."""

    def __init__(self, trainers: Mapping[str, Trainer], out: str | Path):
        self.trainers, self.out = trainers, Path(out)

    @property
    def saved(self) -> int:
        """The epochs that are done, of all runs together."""
        return sum(trainer.saved for trainer in self.trainers.values())

    def fit(self, epochs: int) -> list[Record]:
        """Train each until this many epochs are done; returns the best record of each."""
        runs = {name: trainer.fit(epochs) for name, trainer in self.trainers.items()}
        plot_comparison(runs, self.out / "comparison.png")
        show = next(iter(self.trainers.values())).display
        show.note(HEAD)
        for name, records in runs.items():
            parameters = sum(p.numel() for p in self.trainers[name].model.parameters())
            show.note(LINE.format(name, parameters, r=records[-1], best=best_of(records)))
        show.note(f"the curves of all are in {self.out / 'comparison.png'}")
        return [best_of(records) for records in runs.values()]
