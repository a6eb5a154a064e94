"""The README keeps what it promises: its Python runs, and prints what stands below it."""

import re
from pathlib import Path

TEXT = Path(__file__).parents[1].joinpath("README.md").read_text(encoding="utf-8")


def test_the_ten_lines_print_what_stands_below_them(capsys):
    code, shown = re.search(r"```python\n(.*?)```\n\n```text\n(.*?)```", TEXT, re.DOTALL).groups()
    exec(compile(code, "gated.py", "exec"), {})
    printed = capsys.readouterr().out.splitlines()
    # What is checked is the same everywhere; where the two sides differ most depends on the machine's rounding.
    found, wanted = ([re.split("  +", line)[:4] for line in lines] for lines in (printed, shown.splitlines()))
    assert found == wanted


def test_the_table_of_costs_is_the_one_that_is_printed(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, shown = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", TEXT, re.DOTALL)[1]
    assert "summary" in code
    exec(compile(code, "costs.py", "exec"), {})
    assert capsys.readouterr().out == shown


def test_every_folder_and_file_it_names_is_there():
    named = set(re.findall(r"\]\(([\w/.]+)\)|`((?:minidl|models|examples|benchmarks|tests)/[\w/.]*)`", TEXT))
    assert named
    for path in (link or code for link, code in named):
        assert Path(__file__).parents[1].joinpath(path).exists(), path
