"""The loop: it can stop anywhere and go on as if it had not, and its files say what happened."""

import csv
import json
import os
import sys
from typing import NamedTuple

import numpy as np
import pytest

from minidl import Tensor, checkpoint, is_grad_enabled, nn
from minidl.checkpoint import CheckpointError
from minidl.nn import functional as F
from minidl.optim import SGD
from minidl.optim.lr_scheduler import StepLR
from minidl.train import DivergedError, Trainer, evaluate
from minidl.train.record import METRICS, TIMES, best_of
from tests.train.small import BATCHES, EPOCHS, loaders, network, trainer


def bits(state):
    """All that a nest holds, as one comparable value."""
    if isinstance(state, dict):
        return {key: bits(value) for key, value in state.items() if key not in ("seconds", "images_per_second")}
    if isinstance(state, list):
        return [bits(value) for value in state]
    return (state.dtype, state.shape, state.tobytes()) if isinstance(state, np.ndarray) else state


def stop_after(batches):
    """What to do on each batch: remember it, and stop in the next one after so many, as Ctrl-C does."""
    seen = []

    def on_batch(images):
        if len(seen) == batches:
            raise KeyboardInterrupt
        seen.append(images.numpy().copy())

    return seen, on_batch


@pytest.fixture(scope="module", autouse=True)
def quick_pictures():
    """Pictures take their time; test_curves.py is about them."""

    def draw(records, path):
        with checkpoint.atomic_write(path) as temporary:
            temporary.touch()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("minidl.train.trainer.plot_curves", draw)
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that was never stopped: its folder, and the batches it saw, by kind of optimiser."""
    runs = {}
    for kind in ("sgd", "adam"):
        seen, on_batch = stop_after(None)
        out = tmp_path_factory.mktemp(kind)
        trainer(out, kind=kind, on_batch=on_batch).fit(EPOCHS)
        runs[kind] = out, seen
    return runs


@pytest.mark.parametrize("kind", ["sgd", "adam"])
@pytest.mark.parametrize("stop", [0, 2, BATCHES, 2 * BATCHES + 5], ids="after {} batches".format)
def test_a_run_that_stopped_and_went_on_equals_one_that_never_stopped_bit_for_bit(kind, stop, whole, tmp_path):
    out, seen = whole[kind]
    first, on_batch = stop_after(stop)
    with pytest.raises(KeyboardInterrupt):
        trainer(tmp_path / "run", kind=kind, on_batch=on_batch).fit(EPOCHS)
    second, on_batch = stop_after(None)
    trainer(tmp_path / "run", kind=kind, on_batch=on_batch, resume=True).fit(EPOCHS)

    done = stop // BATCHES * BATCHES
    assert bits(first[:done] + second) == bits(seen)
    for name in ("checkpoint.safetensors", "best.safetensors"):
        assert bits(checkpoint.load(tmp_path / "run" / name)) == bits(checkpoint.load(out / name))
    for name in ("metrics.csv", "metrics.jsonl", "best.safetensors"):
        assert (tmp_path / "run" / name).read_bytes() == (out / name).read_bytes()


def test_resuming_continues_on_either_backend(backend, tmp_path):
    _, on_batch = stop_after(BATCHES + 2)
    with pytest.raises(KeyboardInterrupt):
        trainer(tmp_path / "run", on_batch=on_batch, backend=backend).fit(EPOCHS)
    resumed = trainer(tmp_path / "run", backend=backend, resume=True)
    assert resumed.saved == 1
    assert {p.backend for p in resumed.model.parameters()} == {backend}
    resumed.fit(EPOCHS)
    whole = trainer(tmp_path / "whole", backend=backend)
    whole.fit(EPOCHS)
    assert resumed.records == whole.records


def test_runs_of_other_seeds_differ_in_weights_order_and_results(whole, tmp_path):
    seen, on_batch = stop_after(None)
    record = trainer(tmp_path / "run", seed=1, on_batch=on_batch).fit(1)[0]
    other = json.loads((whole["sgd"][0] / "metrics.jsonl").read_text().splitlines()[0])
    assert record.train_loss != other["train_loss"]
    assert bits(seen) != bits(whole["sgd"][1][:BATCHES])


def test_whatever_was_written_when_the_process_died_the_run_goes_on_and_the_files_agree(whole, tmp_path, monkeypatch):
    """A process dies at the n-th of its writes, for every n in the second epoch."""
    out, _ = whole["sgd"]
    replace, names = os.replace, []

    def die(self, target):
        if len(names) == die.at:
            raise KeyboardInterrupt
        names.append(target.name)
        replace(self, target)

    monkeypatch.setattr("pathlib.Path.replace", die)
    for die.at in range(7, 13):
        names.clear()
        run = tmp_path / str(die.at)
        with pytest.raises(KeyboardInterrupt):
            trainer(run).fit(EPOCHS)
        die.at = 1000
        trainer(run, resume=True).fit(EPOCHS)
        for name in ("metrics.csv", "metrics.jsonl", "best.safetensors"):
            assert (run / name).read_bytes() == (out / name).read_bytes()


def test_each_epoch_has_an_order_of_its_own(whole):
    seen = whole["sgd"][1]
    assert bits(seen[:BATCHES]) != bits(seen[BATCHES : 2 * BATCHES])


def test_the_metrics_files_hold_the_records(whole, tmp_path):
    run = trainer(tmp_path / "run")
    records = run.fit(EPOCHS)
    expected = [{name: getattr(record, name) for name in METRICS} for record in records]
    with (tmp_path / "run/metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [{name: type(expected[0][name])(row[name]) for name in METRICS} for row in rows] == expected
    lines = (tmp_path / "run/metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == expected
    with (tmp_path / "run/timing.csv").open() as file:
        times = list(csv.DictReader(file))
    assert [list(row) for row in times] == [TIMES] * EPOCHS
    assert all(float(row["seconds"]) > 0 and float(row["images_per_second"]) > 0 for row in times)


def test_losses_and_accuracies_are_means_over_images_however_they_are_batched(tmp_path):
    taught, tested = [], []

    def loss(scores, labels):
        value = F.cross_entropy(scores, labels)
        right = (scores.numpy().argmax(axis=1) == labels.numpy()).sum()
        (taught if is_grad_enabled() else tested).append((len(labels), value.item(), right, model.training))
        return value

    run = trainer(tmp_path / "run", loss=loss)
    model = run.model
    record = run.fit(1)[0]
    for batches, training, means in (
        (taught, True, (record.train_loss, record.train_accuracy)),
        (tested, False, (record.test_loss, record.test_accuracy)),
    ):
        sizes, losses, right, modes = map(np.array, zip(*batches, strict=True))
        assert len(set(sizes)) == 2  # else weights would not matter
        assert (modes == training).all()
        assert means == pytest.approx((sizes @ losses / sizes.sum(), right.sum() / sizes.sum()), rel=1e-12)


@pytest.mark.parametrize("batch_size", [1, 3, 10])
def test_evaluate_does_not_depend_on_the_batches(batch_size, backend):
    model, (_, loader) = network().to(backend), loaders()
    expected = evaluate(model, loader)
    loader.batch_size = batch_size
    assert evaluate(model, loader) == pytest.approx(expected, rel=1e-6)


def test_the_recorded_learning_rate_is_that_of_the_last_step(tmp_path):
    run, rates = trainer(tmp_path / "run"), []
    step = run.optimizer.step
    run.optimizer.step = lambda: (rates.append(run.optimizer.param_groups[0]["lr"]), step())
    assert [record.lr for record in run.fit(EPOCHS)] == rates[BATCHES - 1 :: BATCHES]


@pytest.mark.parametrize("accuracies", [(0.5, 0.6, 0.7), (0.5, 0.7, 0.6), (0.7, 0.5, 0.7)])
def test_the_best_weights_are_those_of_the_best_test_accuracy(accuracies, tmp_path, monkeypatch):
    after, results = [], iter(accuracies)

    def measured(model, *arguments):
        after.append({key: value.numpy().copy() for key, value in model.state_dict().items()})
        return 1.0, next(results)

    monkeypatch.setattr("minidl.train.trainer.evaluate", measured)
    trainer(tmp_path / "run").fit(EPOCHS)
    best = after[accuracies.index(0.7)]
    assert bits(checkpoint.load(tmp_path / "run/best.safetensors")) == bits(best)


def test_a_run_learns(whole):
    records = checkpoint.load(whole["sgd"][0] / "checkpoint.safetensors")["records"]
    assert records[-1]["test_accuracy"] >= records[0]["test_accuracy"] + 0.2


def test_of_equally_good_epochs_the_first_is_the_best(whole):
    records = trainer(whole["sgd"][0], resume=True).records
    equal = [type(r)(r.epoch, r.lr, r.train_loss, r.train_accuracy, r.test_loss, 0.5, 1, 1) for r in records]
    assert best_of(equal).epoch == 1


def test_a_finished_run_says_so_and_stays_as_it_is(whole, capsys):
    out, _ = whole["sgd"]
    before = {path: path.read_bytes() for path in out.iterdir() if path.suffix != ".png"}
    records = trainer(out, resume=True).fit(EPOCHS)
    assert "3 of 3 epochs are done: nothing is left to do" in capsys.readouterr().out
    assert len(records) == EPOCHS
    assert {path: path.read_bytes() for path in before} == before


def test_a_run_refuses_a_folder_in_which_something_is(tmp_path):
    (tmp_path / "results").write_text("of years")
    with pytest.raises(FileExistsError, match=r"is not empty: go on .* \(--resume\), or choose another .* \(--out\)"):
        trainer(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["results"]
    assert (tmp_path / "results").read_text() == "of years"


def test_a_run_can_only_be_resumed_where_one_is(tmp_path):
    with pytest.raises(CheckpointError, match=r"no checkpoint\.safetensors in it to resume from"):
        trainer(tmp_path / "nowhere", resume=True)
    assert not (tmp_path / "nowhere").exists()
    checkpoint.save(tmp_path / "checkpoint.safetensors", {"format": 0})
    with pytest.raises(CheckpointError, match="no checkpoint of a run that this version"):
        trainer(tmp_path, resume=True)


def test_a_run_is_not_resumed_with_another_seed_or_other_data(whole):
    with pytest.raises(CheckpointError, match=r"seed 0 and 22 images .* seed 1 and 22"):
        trainer(whole["sgd"][0], seed=1, resume=True)
    with pytest.raises(CheckpointError, match=r"22 images .* 23 images"):
        trainer(whole["sgd"][0], n=23, resume=True)


def test_a_damaged_checkpoint_is_not_resumed_from(whole, tmp_path):
    content = bytearray((whole["sgd"][0] / "checkpoint.safetensors").read_bytes())
    content[-5] ^= 1
    (tmp_path / "checkpoint.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"checkpoint\.safetensors: is damaged"):
        trainer(tmp_path, resume=True)


def test_a_trainer_that_was_stopped_can_train_on_itself(whole, tmp_path):
    batches = []

    def once(images):
        batches.append(images)
        if len(batches) == BATCHES + 3:
            raise KeyboardInterrupt

    run = trainer(tmp_path / "run", on_batch=once)
    with pytest.raises(KeyboardInterrupt):
        run.fit(EPOCHS)
    assert len(run.records) == run.saved == 1
    run.fit(2)
    run.fit(EPOCHS)
    name = "checkpoint.safetensors"
    assert bits(checkpoint.load(tmp_path / "run" / name)) == bits(checkpoint.load(whole["sgd"][0] / name))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_last_good_epoch(value, tmp_path):
    def loss(scores, labels):
        return F.cross_entropy(scores, labels) * (value if len(run.records) == 1 else 1.0)

    run = trainer(tmp_path / "run", loss=loss)
    with pytest.raises(
        DivergedError, match=r"has become (nan|inf) in epoch 2: .*checkpoint\.safetensors is that of epoch 1"
    ):
        run.fit(EPOCHS)
    kept = checkpoint.load(tmp_path / "run/checkpoint.safetensors")
    assert [record["epoch"] for record in kept["records"]] == [1]
    assert all(np.isfinite(x).all() for x in kept["model"].values())
    assert bits({key: x.numpy() for key, x in run.model.state_dict().items()}) == bits(kept["model"])
    assert len((tmp_path / "run/metrics.csv").read_text().splitlines()) == 2


def test_divergence_is_noticed_without_warnings_of_numpy_about_it(tmp_path, recwarn):
    with pytest.raises(DivergedError):
        trainer(tmp_path / "run", lr=1e30).fit(EPOCHS)
    assert not recwarn.list


def test_what_is_printed_where_no_terminal_is_has_a_line_for_each_epoch_and_no_control_characters(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("FORCE_COLOR", "")
    monkeypatch.setenv("COLUMNS", "40")
    run = trainer(tmp_path / "a folder with a name that is much longer than the forty columns there are")
    records = run.fit(EPOCHS)
    printed = capsys.readouterr().out
    assert printed.isascii()
    assert all(character.isprintable() or character == "\n" for character in printed)
    first, head, *lines, last = printed.splitlines()
    count = 1 * 4 * 9 + 4 + 2 * 4 + 4 * 3 + 3
    assert first == f"Sequential with {count} parameters on numpy, 22 images to train on, 10 to test on"
    assert head.split()[0] == "epoch"
    assert [line.split()[0] for line in lines] == ["1", "2", "3"]
    assert [line.split()[5] for line in lines] == [f"{record.test_accuracy:.2%}" for record in records]
    best = best_of(records)
    assert last == f"best test accuracy {best.test_accuracy:.2%} in epoch {best.epoch}; results are in {run.out}"


class Outputs(NamedTuple):
    logits: Tensor
    aux_logits2: Tensor
    aux_logits1: Tensor


class WithAuxiliaries(nn.Module):
    """Three classifiers of an image's mean, two of which are for training only."""

    def __init__(self):
        self.main, self.aux2, self.aux1 = (nn.Linear(1, 3) for _ in range(3))

    def forward(self, x):
        x = x.mean((2, 3))
        return Outputs(self.main(x), self.aux2(x), self.aux1(x)) if self.training else self.main(x)


def test_auxiliary_losses_count_in_the_gradient_by_their_weight_and_not_in_the_record(tmp_path):
    train, test = loaders()
    model, seen, slopes, losses = WithAuxiliaries(), [], [], []
    model.register_forward_hook(lambda module, args, output: seen.append((args[0].numpy(), output)))
    optimizer = SGD(model.parameters(), 0.1)
    step = optimizer.step
    optimizer.step = lambda: (slopes.append({name: p.grad.numpy() for name, p in model.named_parameters()}), step())

    def loss(scores, labels):
        losses.append((labels.numpy(), F.cross_entropy(scores, labels)))
        return losses[-1][1]

    schedule = StepLR(optimizer, 100)
    run = Trainer(model, optimizer, schedule, train, test, out=tmp_path / "run", loss=loss, aux_weight=0.25)
    record = run.fit(1)[0]
    (images, outputs), (labels, _) = seen[0], losses[0]
    for name, scores, weight in zip(("main", "aux2", "aux1"), outputs, (1, 0.25, 0.25), strict=True):
        p = np.exp(scores.numpy()) / np.exp(scores.numpy()).sum(axis=1, keepdims=True)
        slope = weight * (p - np.eye(3)[labels]).T @ images.mean(axis=(2, 3)) / len(labels)
        np.testing.assert_allclose(slopes[0][f"{name}.weight"], slope, rtol=1e-4, atol=1e-6)
    main = losses[: 3 * BATCHES : 3]
    mean = sum(value.item() * len(labels) for labels, value in main) / 22
    assert record.train_loss == pytest.approx(mean, rel=1e-6)


def test_settings_are_kept_in_the_checkpoint(tmp_path):
    trainer(tmp_path / "run", settings={"depth": 22, "augment": True, "limit": None})
    state = checkpoint.load(tmp_path / "run/checkpoint.safetensors")
    assert state["settings"] == {"depth": 22, "augment": True, "limit": None}


@pytest.mark.parametrize("module", ["matplotlib", "rich", "safetensors"])
def test_a_missing_package_is_named_before_anything_is_written(module, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ModuleNotFoundError, match=rf"{module} is not installed: pip install 'minidl\[train\]'"):
        trainer(tmp_path / "run")
    assert not (tmp_path / "run").exists()
