"""The command line: what is wrong is said in one line and the exit code; a resumed run is the run it was."""

import sys
from pathlib import Path

import numpy as np
import pytest

from minidl import checkpoint, manual_seed, nn
from minidl.backend import import_cupy
from minidl.data import load_dataset
from minidl.data.resize import resize
from minidl.data.transforms import Normalize
from minidl.optim import SGD
from minidl.train import Trainer, command
from minidl.train.network import Settings
from tests.train.small import dataset


@pytest.fixture(autouse=True)
def small(tmp_path, monkeypatch):
    """Small data, no pictures, and a folder of its own for each test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "load_dataset", lambda *arguments: (dataset(12, 0), dataset(6, 1)))
    monkeypatch.setattr("minidl.train.trainer.plot_curves", lambda records, path: None)


def parser():
    parser = command.Parser("Train something.", name="small", epochs=2, batch_size=5, lr=0.1)
    parser.add_argument("--width", type=command.positive(int), default=4)
    parser.add_argument("--flag", action=command.argparse.BooleanOptionalAction, default=True)
    return parser


def build(args):
    train, test = command.datasets(args)
    train_loader, test_loader = command.loaders(args, train, test, Normalize(*train.mean_std()))
    manual_seed(args.seed)
    layers = nn.Conv2d(1, args.width, 3), nn.BatchNorm2d(args.width), nn.GlobalAvgPool2d(), nn.Flatten()
    model = nn.Sequential(*layers, nn.Linear(args.width, len(train.classes))).to(args.backend)
    optimizer = SGD(model.parameters(), lr=args.lr, momentum=0.9)
    scheduler = command.schedule(args, optimizer, steps=args.epochs * len(train_loader))
    files = {"out": args.out, "seed": args.seed, "settings": vars(args), "resume": args.resume}
    return Trainer(model, optimizer, scheduler, train_loader, test_loader, **files)


def run(line, build=build):
    return command.run(parser(), build, line.split())


def refused(line, capsys, build=build):
    """What a line that is refused prints: one line on stderr, and nothing else; the exit code is 2."""
    try:
        code = run(line, build)
    except SystemExit as leaving:
        code = leaving.code
    printed, said = capsys.readouterr()
    assert (code, printed, said.count("\n")) == (2, "", 1)
    return said


def results(out):
    """The files that two runs have in common if they are the same run."""
    return [Path(out, name).read_bytes() for name in ("metrics.csv", "metrics.jsonl", "best.safetensors")]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("--epochs 0", "argument --epochs: 0 is not above 0"),
        ("--epochs two", "argument --epochs: 'two' is no integer"),
        ("--lr -1", "argument --lr: -1 is not above 0 and finite"),
        ("--lr nan", "argument --lr: nan is not above 0 and finite"),
        ("--lr 1e999", "argument --lr: 1e999 is not above 0 and finite"),
        ("--seed -1", "argument --seed: -1 is below 0"),
        ("--batch-size 2.5", "argument --batch-size: '2.5' is no integer"),
        ("--schedule zigzag", "argument --schedule: invalid choice: 'zigzag'"),
        ("--backend jax", "argument --backend: invalid choice: 'jax'"),
        ("--dept 3", "unrecognized arguments: --dept 3"),
        ("--resume", "--resume: there is no run in runs/small-1 or after: say where it is, with --out"),
        ("--resume --out nowhere", "nowhere: there is no checkpoint.safetensors in it to resume from"),
    ],
)
def test_wrong_arguments_are_said_in_one_line_with_exit_code_2(line, reason, capsys):
    assert reason in refused(line, capsys)


@pytest.mark.parametrize("error", [ValueError("depth must be 6n + 4"), OSError("read-only"), ImportError("no rich")])
def test_what_keeps_a_run_from_being_built_is_said_in_one_line_with_exit_code_2(error, capsys):
    def broken(args):
        raise error

    assert str(error) in refused("", capsys, build=broken)


def test_unknown_data_is_said_with_the_arguments_that_help(monkeypatch, capsys):
    monkeypatch.setattr(command, "load_dataset", load_dataset)
    assert "--data zebra: zebra: neither a file or folder nor one of the sets" in refused("--data zebra", capsys)
    said = refused("--data cifar10 --data-dir .", capsys)
    assert "data_batch_1" in said
    assert "(on this command line: --data-dir and --download)" in said


@pytest.mark.parametrize("module", ["matplotlib", "rich", "safetensors"])
def test_a_missing_package_is_said_in_one_line_with_what_installs_it(module, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, module, None)
    assert f"{module} is not installed: pip install 'minidl[train]'" in refused("", capsys)


def test_cupy_that_is_not_installed_is_said_in_one_line_with_what_installs_it(monkeypatch, capsys, tmp_path):
    import_cupy.cache_clear()
    monkeypatch.setitem(sys.modules, "cupy", None)
    reached = []
    assert "pip install 'minidl[cuda13]'" in refused("--backend cupy", capsys, build=reached.append)
    assert not reached
    assert not list(tmp_path.iterdir())


def test_a_limit_leaves_the_first_images_to_train_on(capsys):
    args = parser().arguments(["--limit", "7"])
    train, test = command.datasets(args)
    np.testing.assert_array_equal(train.images, dataset(12, 0).images[:7])
    assert len(test) == 6


@pytest.mark.parametrize(
    ("line", "flips", "crops"),
    [
        ("--data fashion-mini", True, False),
        ("--data fashion-mini --padding 2", True, True),
        ("--data cifar10", True, True),
        ("--data mnist", False, False),
        ("--data mnist --padding 1", False, True),
        ("--data cifar10 --no-augment", False, False),
    ],
)
def test_training_images_are_flipped_and_cropped_where_that_helps_and_test_images_never(line, flips, crops):
    args = parser().arguments(line.split())
    train, test = command.datasets(args)
    train_loader, test_loader = command.loaders(args, train, test, Normalize(*train.mean_std()))
    mean, std = train.mean_std()

    def seen(loader):
        return {image.tobytes() for images, _ in loader for image in images.numpy()}

    def normalized(images):
        return {((image / np.float32(255) - np.float32(mean[0])) / np.float32(std[0])).tobytes() for image in images}

    plain, mirrored = normalized(train.images), normalized(train.images[..., ::-1])
    assert bool(seen(train_loader) - plain - mirrored) == crops
    assert crops or bool(seen(train_loader) & mirrored) == flips
    assert seen(test_loader) == normalized(test.images)


def test_images_are_scaled_to_a_side_where_they_have_another(capsys):
    for line, side in (("", 6), ("--image-size 6", 6), ("--image-size 9", 9)):
        args = parser().arguments(line.split())
        train, test = command.datasets(args)
        normalize = Normalize(*train.mean_std())
        for loader in command.loaders(args, train, test, normalize):
            assert {images.shape[1:] for images, _ in loader} == {(1, side, side)}
    (images, _), *_ = loader
    wanted = resize(test.images[:5].astype(np.float32) / np.float32(255), (9, 9))
    np.testing.assert_array_equal(images.numpy(), normalize(wanted))


def test_a_single_image_to_train_on_is_refused(capsys):
    assert "there is a single image to train on; wanted two or more: see --data" in refused("--limit 1", capsys)


def test_an_epoch_goes_without_an_image_that_would_be_alone_in_its_batch():
    for line, counts in (
        ("--batch-size 5", [5, 5, 2]),
        ("--batch-size 5 --limit 11", [5, 5]),
        ("--batch-size 1", [1] * 12),
    ):
        args = parser().arguments(line.split())
        train, test = command.datasets(args)
        loader, _ = command.loaders(args, train, test, Normalize(*train.mean_std()))
        assert [len(images) for images, _ in loader] == counts
    _, tested = command.loaders(parser().arguments(["--batch-size", "5"]), train, test, Normalize(*train.mean_std()))
    assert sum(len(images) for images, _ in tested) == 6


def network(width, num_classes, in_channels):
    layers = nn.Conv2d(in_channels, width, 3), nn.BatchNorm2d(width), nn.GlobalAvgPool2d(), nn.Flatten()
    return nn.Sequential(*layers, nn.Linear(width, num_classes))


def test_the_checkpoint_says_how_to_build_the_network_again_and_use_it():
    assert run("--width 3 --out run", lambda args: command.trainer(args, network, width=args.width)) == 0
    settings = checkpoint.load("run/checkpoint.safetensors")["settings"]
    mean, std = dataset(12, 0).mean_std()
    assert (settings["model"], settings["set"]) == ("network", {"width": 3})
    assert (settings["mean"], settings["std"]) == ([*mean], [*std])
    network(**settings["set"], num_classes=3, in_channels=1).load_state_dict(checkpoint.load("run/best.safetensors"))


def test_settings_of_a_network_are_those_of_a_resumed_run(capsys):
    def train(line):
        with_settings = parser()
        with_settings.add_argument("--set", nargs="+", action=Settings, default={})
        return command.run(with_settings, lambda args: command.trainer(args, network, **args.set), line.split())

    assert train("--set width=3 --out run") == 0
    assert train("--resume --out run") == 0
    assert train("--resume --out run --set width=3") == 0
    capsys.readouterr()
    assert train("--resume --out run --set width=4") == 2
    assert "begun with --set width=3 and cannot go on with --set width=4" in capsys.readouterr().err


def test_a_run_trains_on_either_backend(backend):
    assert run(f"--backend {backend} --epochs 1 --out run") == 0
    assert len(checkpoint.load("run/checkpoint.safetensors")["records"]) == 1


def test_runs_without_a_folder_get_one_each_and_the_last_is_resumed(capsys, tmp_path):
    (tmp_path / "runs/small-old").mkdir(parents=True)
    (tmp_path / "runs/small-9").mkdir()
    assert run("--epochs 1") == run("--epochs 1 --seed 1") == 0
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {"small-old", "small-9", "small-10", "small-11"}
    capsys.readouterr()
    assert run("--resume") == 0
    printed = capsys.readouterr().out
    assert "1 of 1 epochs are done" in printed
    assert "results are in runs/small-11" in printed


def test_a_folder_in_which_something_is_is_refused(capsys):
    assert run("--out run") == 0
    capsys.readouterr()
    assert "run is not empty: go on with the run in it (--resume), or choose another" in refused("--out run", capsys)


def stopped_in(epoch):
    """A build whose run stops in this epoch, as Ctrl-C stops it."""

    def build_and_stop(args):
        trainer = build(args)
        step = trainer.scheduler.step

        def stop():
            if trainer.saved == epoch - 1:
                raise KeyboardInterrupt
            step()

        trainer.scheduler.step = stop
        return trainer

    return build_and_stop


def test_a_resumed_run_has_the_arguments_it_began_with(capsys):
    line = "--width 3 --no-flag --lr 0.2 --seed 4 --limit 11 --schedule cosine --no-augment --batch-size 4 --epochs 3"
    assert run(f"{line} --out whole") == 0
    assert run(f"{line} --out stopped", stopped_in(2)) == 130
    said = capsys.readouterr().err
    assert said.count("\n") == 2
    assert "Go on after epoch 1 with: " in said
    assert said.endswith("--out stopped --resume\n")
    assert run("--out stopped --resume --seed 4 --workers 2") == 0  # repeated; and one that changes nothing
    assert results("whole") == results("stopped")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ("--width 5", "was begun with --width 4 and cannot go on with --width 5"),
        ("--no-flag --seed 2", "was begun with --flag --seed 0 and cannot go on with --no-flag --seed 2"),
        ("--limit 3", "was begun with no --limit and cannot go on with --limit 3"),
        ("--epochs 3", "was begun with --epochs 2 (its one-cycle schedule was made for that length)"),
    ],
)
def test_a_run_cannot_go_on_with_other_arguments_and_they_are_named(changed, reason, capsys):
    assert run("--out run") == 0
    capsys.readouterr()
    assert reason in refused(f"--out run --resume {changed}", capsys)


def test_a_run_at_a_constant_rate_can_go_on_for_longer():
    assert run("--schedule constant --epochs 1 --out run") == 0
    assert run("--epochs 3 --resume --out run") == 0
    assert run("--schedule constant --epochs 3 --out whole") == 0
    assert results("run") == results("whole")


@pytest.mark.parametrize("name", sorted(command.SCHEDULES))
def test_each_schedule_spans_the_run_and_none_exceeds_the_rate_that_was_given(name):
    args = parser().arguments(["--schedule", name, "--lr", "0.3"])
    optimizer = SGD(nn.Linear(1, 1).parameters(), lr=args.lr, momentum=0.9)
    schedule, rates = command.schedule(args, optimizer, steps=40), []
    for _ in range(40):
        rates += schedule.get_last_lr()
        schedule.step()
    assert max(rates) == pytest.approx(0.3, rel=1e-9)
    assert rates[-1] <= (0.3 if name == "constant" else 0.2 * rates[20])
