"""The public API is typed: mypy finds in a user's program what is wrong with it, and nothing else."""

import re
import runpy
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]
PROGRAMS = sorted((CHECKOUT / "tests/typing").glob("*.py"))


def test_mypy_reports_the_lines_that_are_marked_as_errors_and_no_others(monkeypatch):
    api = pytest.importorskip("mypy.api")
    monkeypatch.chdir(CHECKOUT)  # where mypy finds minidl
    options = ["--strict", "--config-file=", "--follow-imports=silent", "--cache-dir=.mypy_cache/users"]
    limit = sys.getrecursionlimit()
    printed, failure, _ = api.run([*options, *map(str, PROGRAMS)])
    sys.setrecursionlimit(limit)  # mypy raises it, and other tests want to see recursion end
    assert not failure
    reported = {
        (Path(path).name, int(line), code)
        for path, line, code in re.findall(r"^(.*?):(\d+): error: .*\[([\w-]+)\]$", printed, re.MULTILINE)
    }
    marked = {
        (program.name, number, code)
        for program in PROGRAMS
        for number, line in enumerate(program.read_text().splitlines(), 1)
        for code in re.findall(r"# error: ([\w-]+)", line)
    }
    assert reported == marked, printed


def test_the_program_without_errors_runs():
    runpy.run_path(str(CHECKOUT / "tests/typing/training.py"))
