"""The example as a user starts it: in a process of its own, on a folder of images, stopped and killed."""

import contextlib
import os
import pty
import re
import runpy
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from minidl import checkpoint

CHECKOUT = Path(__file__).parents[2]
EXAMPLE = CHECKOUT / "examples/train_densenet.py"
SMALL = "--data images --image-size 8 --depth 10 --growth-rate 2 --batch-size 4 --epochs 2"


def finish(program, folder, **settings):
    """What Python, started in the folder with these arguments, says: exit code, stdout, stderr."""
    command = [sys.executable, *map(str, program)]
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT), "PYTHONWARNINGS": "error"}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **settings}
    result = subprocess.run(command, cwd=folder, env=environment, text=True, timeout=120, **streams)
    return result.returncode, result.stdout, result.stderr


def signalled(at, number):
    """The example as a program that sends itself a signal at the n-th step of the optimiser."""
    return f"""if True:
        import os, runpy, signal, sys
        from minidl.optim import SGD
        step, steps = SGD.step, 0
        def counted(self):
            global steps
            steps += 1
            if steps == {at}:
                os.kill(os.getpid(), {int(number)})
            step(self)
        SGD.step = counted
        sys.argv[0] = {str(EXAMPLE)!r}
        runpy.run_path(sys.argv[0], run_name="__main__")"""


def results(out):
    return [(out / name).read_bytes() for name in ("metrics.csv", "metrics.jsonl", "best.safetensors")]


def test_a_run_that_was_killed_or_interrupted_and_resumed_equals_one_that_never_stopped(folder):
    code, printed, said = finish([EXAMPLE, *SMALL.split(), "--out", "whole"], folder)
    assert (code, said) == (0, "")
    assert len(printed.splitlines()) == 5  # and no control characters between them
    assert printed.replace("\n", "").isprintable()
    assert (folder / "whole/curves.png").read_bytes().startswith(b"\x89PNG")

    code, _, _ = finish(
        ["-c", signalled(5, signal.SIGKILL), *SMALL.split(), "--out", "killed"], folder
    )  # in the second epoch
    assert code == -signal.SIGKILL
    assert len(checkpoint.load(folder / "killed/checkpoint.safetensors")["records"]) == 1
    assert finish([EXAMPLE, "--resume", "--out", "killed"], folder)[0] == 0
    assert results(folder / "killed") == results(folder / "whole")

    code, _, said = finish(["-c", signalled(6, signal.SIGINT), *SMALL.split(), "--out", "a run"], folder)
    assert code == 130
    assert "Traceback" not in said
    command = re.search("^Go on after epoch 1 with: (.*)$", said, re.MULTILINE)[1]
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT)}
    assert subprocess.run(command, shell=True, cwd=folder, env=environment, stdout=subprocess.DEVNULL).returncode == 0
    assert results(folder / "a run") == results(folder / "whole")


def test_a_second_ctrl_c_does_not_wait(folder):
    program = f"""if True:
        import os, signal, threading, time
        def impatient():
            while signal.getsignal(signal.SIGINT) is not signal.SIG_DFL:  # the first has been dealt with
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(300)
        threading.Thread(target=impatient).start()  # which Python would wait for
        exec({signalled(2, signal.SIGINT)!r})"""
    code, _, said = finish(["-c", program, *SMALL.split()], folder)
    assert code == -signal.SIGINT
    assert "Go on after epoch 0 with: " in said


def test_on_a_terminal_a_bar_shows_speed_and_loss_and_leaves_the_table_behind(folder):
    ours, its = pty.openpty()
    slow = f"""if True:
        import runpy, sys, time
        from minidl.optim import SGD
        step = SGD.step
        SGD.step = lambda self: (time.sleep(0.15), step(self))
        sys.argv[0] = {str(EXAMPLE)!r}
        runpy.run_path(sys.argv[0], run_name="__main__")"""
    with ThreadPoolExecutor() as pool:
        shown = pool.submit(_read_all, ours)  # meanwhile, or the terminal would be full
        try:
            code, _, _ = finish(["-c", slow, *SMALL.split(), "--epochs", "1"], folder, stdout=its, stderr=its)
        finally:
            os.close(its)
    assert code == 0
    shown = shown.result()
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())
    assert re.search(r"epoch 1/1 \S* +8/10 \d+ images/s  loss \d\.\d{4}", text)
    assert re.search(r"\r +1 .*%.*%.* \*\r$", text, re.MULTILINE)
    assert shown.endswith(b"results are in runs/densenet-1\r\n")
    assert shown.count(b"\x1b[?25l") == shown.count(b"\x1b[?25h")  # the cursor is back


def _read_all(terminal):
    """What a terminal shows until nobody writes to it any more."""
    shown = b""
    with contextlib.suppress(OSError):  # how Linux says so
        while chunk := os.read(terminal, 1 << 16):
            shown += chunk
    return shown


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("--depth 11", "depth must be 6n + 4"),
        ("--no-bottleneck --depth 12", "depth must be 3n + 4"),
        ("--compression 1.5", "compression must be in (0, 1]"),
        ("--growth-rate 0", "--growth-rate: 0 is not above 0"),
        ("--data nothing", "nothing: neither a file or folder nor one of the sets"),
    ],
)
def test_a_network_that_cannot_be_is_refused_in_one_line(line, reason, folder, start):
    code, printed, said = start("train_densenet", f"{SMALL} {line}")
    assert (code, printed, said.count("\n")) == (2, "", 1)
    assert reason in said
    assert [path.name for path in folder.iterdir()] == ["images"]


@pytest.mark.parametrize(
    ("line", "parameters", "features"),
    [("--depth 100", 769_162, 342), ("--depth 40 --no-bottleneck --compression 1", 1_019_722, 448)],
)
def test_the_network_is_the_papers_but_for_the_number_of_classes(line, parameters, features, folder, monkeypatch):
    monkeypatch.chdir(folder)
    example = runpy.run_path(str(EXAMPLE))
    args = example["parser"]().arguments(f"--data images {line}".split())
    assert sum(p.numel() for p in example["build"](args).model.parameters()) == parameters - 8 * (features + 1)


def test_the_defaults_are_those_of_the_embedded_images(monkeypatch, folder):
    args = runpy.run_path(str(EXAMPLE))["parser"]().arguments([])
    assert (args.data, args.depth, args.growth_rate, args.bottleneck, args.compression) == (
        "fashion-mini",
        22,
        12,
        True,
        0.5,
    )
    assert (args.seed, args.backend, args.out, args.resume) == (0, "numpy", "runs/densenet-1", False)
