"""The loop: epochs, each followed by a test, a line in a table, and files from which the next one can start."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from minidl import checkpoint
from minidl.checkpoint import CheckpointError
from minidl.data import DataLoader
from minidl.extra import import_extra
from minidl.nn import Module
from minidl.nn import functional as F
from minidl.optim import Optimizer
from minidl.optim.lr_scheduler import LRScheduler
from minidl.random import manual_seed
from minidl.train.curves import plot_curves
from minidl.train.display import Bar, Display
from minidl.train.evaluation import DivergedError, Loss, Mean, backend_of, evaluate
from minidl.train.record import Record, best_of, write_records

CHECKPOINT, BEST = "checkpoint.safetensors", "best.safetensors"
FORMAT = 1


class Trainer:
    """Trains a model, and keeps in the folder `out` all that is needed to go on after any epoch.

    checkpoint.safetensors: the run after its last whole epoch; best.safetensors: the weights of the best test accuracy.
    metrics.csv, metrics.jsonl, curves.png: what the epochs came to; timing.csv: how long they took.

    The scheduler takes a step after every batch. Batches go to the model's backend.
    In training a model may return a tuple: its scores, and those of auxiliary classifiers. The gradient is that of the
        main loss plus `aux_weight` times the loss of each of these; what is recorded is the main loss.
    seed: with the epoch's number it determines all randomness of an epoch, but for the loader's, which has its own.
    settings: what else determines the run, as JSON has it; it is kept in the checkpoint.
    resume: go on from the checkpoint in `out`, bit for bit as if the run had never stopped. Otherwise `out` must be
        empty, or not yet there.
    """

    def __init__(
        self,
        model: Module,
        optimizer: Optimizer,
        scheduler: LRScheduler,
        train_loader: DataLoader,
        test_loader: DataLoader,
        *,
        out: str | Path,
        loss: Loss = F.cross_entropy,
        aux_weight: float = 0.3,
        seed: int = 0,
        settings: Mapping[str, Any] | None = None,
        resume: bool = False,
    ):
        self.model, self.optimizer, self.scheduler = model, optimizer, scheduler
        self.loss, self.aux_weight = loss, aux_weight
        self.train_loader, self.test_loader = train_loader, test_loader
        self.out, self.seed, self.settings = Path(out), seed, dict(settings or {})
        for module in ("matplotlib", "rich", "safetensors"):  # if one is missing, now is the time to say so
            import_extra(module, "train")
        self.records: list[Record] = []
        self.saved = 0  # the epoch that the checkpoint in `out` stands after
        self.display = Display()
        if resume:
            self._load()
        elif self.out.is_dir() and any(self.out.iterdir()):
            raise FileExistsError(
                f"{self.out} is not empty: go on with the run in it (--resume), or choose another folder (--out)"
            )
        self.out.mkdir(parents=True, exist_ok=True)
        self._save()

    def fit(self, epochs: int) -> list[Record]:
        """Train until this many epochs are done, counting those before a resumption; returns the record of each.

        Whatever stops it in the middle of an epoch, model, optimiser and schedule go back to the end of the last one.
        """
        show = self.display
        parameters = sum(p.numel() for p in self.model.parameters())
        show.note(
            f"{type(self.model).__name__} with {parameters:,} parameters on {backend_of(self.model)}, "
            f"{len(self.train_loader.dataset):,} images to train on, {len(self.test_loader.dataset):,} to test on"
        )
        if self.saved:
            left = "going on" if self.saved < epochs else "nothing is left to do"
            show.note(f"{self.saved} of {epochs} epochs are done: {left}")
        if self.saved < epochs:
            show.head()
        try:
            for epoch in range(self.saved + 1, epochs + 1):
                self.records.append(self._run(epoch, epochs))
                show.line(self.records[-1], is_best=best_of(self.records).epoch == epoch)
                self._save()
        except BaseException as error:
            self._load()
            if isinstance(error, DivergedError):
                kept = f"{self.out / CHECKPOINT} is that of epoch {self.saved}"
                raise DivergedError(f"{error} in epoch {epoch}: try a lower learning rate; {kept}") from error
            raise
        if self.records:
            best = best_of(self.records)
            show.note(f"best test accuracy {best.test_accuracy:.2%} in epoch {best.epoch}; results are in {self.out}")
        return self.records

    def _run(self, epoch: int, epochs: int) -> Record:
        """One epoch: a pass over the training images, then one over the test images."""
        start, title = time.perf_counter(), f"epoch {epoch}/{epochs}"
        manual_seed((self.seed, epoch))
        self.train_loader.set_epoch(epoch)
        with np.errstate(all="ignore"):  # what overflows is noticed in the loss
            with self.display.bar(title, len(self.train_loader.dataset)) as bar:
                train, lr = self._train(bar)
                train_loss, train_seconds = train.loss, time.perf_counter() - start
            with self.display.bar(f"{title}, test", len(self.test_loader.dataset)) as bar:
                test_loss, test_accuracy = evaluate(self.model, self.test_loader, self.loss, bar)
        seconds, speed = time.perf_counter() - start, train.images / train_seconds
        return Record(epoch, lr, train_loss, train.accuracies[0], test_loss, test_accuracy, seconds, speed)

    def _train(self, bar: Bar) -> tuple[Mean, float]:
        """A step for every batch; the mean over them, and the learning rate of the last."""
        mean, lr, backend = Mean(), 0.0, backend_of(self.model)
        self.model.train()
        for images, labels in self.train_loader:
            images, labels = images.to(backend), labels.to(backend)
            outputs = self.model(images)
            scores, *auxiliary = outputs if isinstance(outputs, tuple) else [outputs]
            loss = self.loss(scores, labels)
            self.optimizer.zero_grad()
            sum((self.aux_weight * self.loss(others, labels) for others in auxiliary), start=loss).backward()
            lr = self.scheduler.get_last_lr()[0]
            self.optimizer.step()
            self.scheduler.step()
            mean.add(loss, scores, labels)
            bar.update(mean)
        return mean, lr

    def _save(self) -> None:
        """Write the files after an epoch. The checkpoint says what is true; the others can be made again from it."""
        if self.records and best_of(self.records) is self.records[-1]:
            checkpoint.save(self.out / BEST, self.model.state_dict())  # first: if all ends here, the epoch is run again
        state = {
            "format": FORMAT,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "records": [asdict(record) for record in self.records],
            "seed": self.seed,
            "images": len(self.train_loader.dataset),
            "settings": self.settings,
        }
        checkpoint.save(self.out / CHECKPOINT, state)
        self.saved = len(self.records)
        if self.records:
            write_records(self.records, self.out)
            plot_curves(self.records, self.out / "curves.png")

    def _load(self) -> None:
        """Take up the run in `out`."""
        state = load_run(self.out)
        images = len(self.train_loader.dataset)
        if (state["seed"], state["images"]) != (self.seed, images):
            raise CheckpointError(
                f"{self.out}: the run has seed {state['seed']} and {state['images']} images to train on; "
                f"it cannot go on with seed {self.seed} and {images} images"
            )
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        self.records = [Record(**record) for record in state["records"]]
        self.saved = len(self.records)


def load_run(out: str | Path) -> dict[str, Any]:
    """The state of the run in a folder, after its last whole epoch."""
    path = Path(out) / CHECKPOINT
    if not path.is_file():
        raise CheckpointError(f"{out}: there is no {CHECKPOINT} in it to resume from")
    state = checkpoint.load(path)
    if state.get("format") != FORMAT:
        raise CheckpointError(f"{path}: is no checkpoint of a run that this version of minidl can take up")
    return state
