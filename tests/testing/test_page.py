"""The page of minidl.testing keeps what it promises: its code runs, and prints what stands below it."""

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from minidl.testing import check_engine, pullback
from tests.printed import gist

CHECKOUT = Path(__file__).parents[2]
TEXT = (CHECKOUT / "minidl/testing/README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"```(python|sh)\n(.*?)```\n(?:\n```text\n(.*?)```\n)?", re.DOTALL)
BLOCKS = BLOCK.findall(TEXT)


def libraries(code):
    """What the code imports that may be missing."""
    return [
        name
        for name in ("autograd", "hypothesis", "jax", "micrograd", "torch")
        if re.search(rf"import.* {name}|{name} import", code)
    ]


@pytest.fixture
def jax_as_it_was():
    yield
    if "jax" in sys.modules:
        sys.modules["jax"].config.update("jax_enable_x64", False)


@pytest.mark.parametrize(("language", "code", "shown"), BLOCKS, ids=[str(k) for k in range(len(BLOCKS))])
@pytest.mark.usefixtures("jax_as_it_was")
def test_the_code_runs_and_prints_what_stands_below_it(language, code, shown, capsys):
    for name in libraries(code):
        pytest.importorskip(name)
    if language == "sh":
        program = re.fullmatch(r"python -c '\n(.*)'\n", code, re.DOTALL)[1]
        assert program.count("\n") == 4  # as long as promised: five lines
        environment = os.environ | {"PYTHONPATH": str(CHECKOUT), "PYTHONWARNINGS": "error", "PYTHONIOENCODING": "utf-8"}
        command = [sys.executable, "-c", "\n" + program]
        printed = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=True).stdout
    else:
        names = {"__name__": "page"}
        exec(compile(code, "example.py", "exec"), names)
        for name, test in names.items():
            if name.startswith("test_"):
                test()
        printed = capsys.readouterr().out
    assert gist(printed) == gist(shown)


def test_every_law_is_explained():
    of_pullbacks = re.search(r"for law in \(([^)]*)\)", inspect.getsource(pullback.broken_laws))[1].split(", ")
    of_engines = re.findall(r'^ +- "(\w+)":', check_engine.__doc__, re.MULTILINE)
    tables = re.findall(r"\| law .*?\n\n", TEXT, re.DOTALL)
    explained = [set(re.findall(r"`(\w+)`", table)) for table in tables]
    assert explained == [{"slope", "kink", "precision", *of_pullbacks}, set(of_engines)]


def test_every_link_leads_somewhere():
    links = re.findall(r"\]\(((?!https:)[^)]+)\)", TEXT)
    assert links
    for link in links:
        assert (CHECKOUT / "minidl/testing" / link).exists(), link
