"""The table of tricks: what is made of made-up numbers, that both sides compute the same, what the page says."""

import re

import numpy as np
import pytest

from benchmarks import tricks
from benchmarks.cpu import process_tricks
from benchmarks.cpu.trick import TRICKS, WORTH, Gain, Sides, Trick, check, measure, peak

PAGE = tricks.PAGE.read_text(encoding="utf-8")
TABLE = PAGE.partition(tricks.BEGIN)[2].partition(tricks.END)[0]
IN_ONE_PROCESS = [trick for trick in TRICKS if trick.build.__module__ != process_tricks.__name__]


def made_up(build=lambda n: Sides(lambda: np.ones(n), lambda: np.ones(n)), **fields):
    return Trick(build, "More haste", "numpy/haste.py", "less speed", "a shape", 3, why="It is so.", **fields)


def test_a_row_has_medians_and_the_ratio_round_by_round():
    gain = Gain(made_up(), on=[0.001, 0.02, 0.03], off=[0.002, 0.02, 0.12])
    assert tricks.row(gain) == (
        "[More haste](numpy/haste.py)",
        "It is so.",
        "less speed",
        "a shape",
        "20.0 → 20.0 ms",
        "**2.00** (1.50 to 3.00)",
    )


def test_memory_is_told_where_it_was_measured():
    gain = Gain(made_up(), [0.1], [0.2], memory=(50_000_000, 200_000_000))
    assert gain.times == "200 → 100 ms, 200 → 50 MB"


def test_what_has_nothing_to_gain_here_has_no_row_but_a_line():
    rest = Gain(made_up(), [], [], reason="all is well here")
    text = tricks.table([Gain(made_up()._replace(name="Sense"), [1.0], [2.0]), rest])
    rows, line, where = text.split("\n\n")
    assert [row.partition("]")[0] for row in rows.splitlines()[2:]] == ["| [Sense"]
    assert line == "[More haste](numpy/haste.py) has no row: all is well here."
    assert "quartiles" in where


def test_a_table_takes_the_place_of_the_one_before_and_of_nothing_else():
    page = f"before\n{tricks.BEGIN}\nold | \\1\n{tricks.END}\nafter"
    once = tricks.replaced(page, "new | \\1")
    assert once == f"before\n{tricks.BEGIN}\nnew | \\1\n{tricks.END}\nafter"
    with pytest.raises(ValueError, match="no place for the table"):
        tricks.replaced("before and after", "new")


def test_a_trick_that_computes_something_else_is_found():
    with pytest.raises(ArithmeticError, match="More haste"):
        measure(made_up(lambda n: Sides(lambda: [np.ones(n), np.array([3.0])], lambda: [np.ones(n), np.array([3.1])])))


def test_a_name_that_no_trick_has_is_refused(capsys):
    with pytest.raises(SystemExit):
        tricks.main(["--only", "nothing-like-that"])
    assert "no trick's name contains nothing-like-that" in capsys.readouterr().err


def test_sides_are_closed_also_after_an_error():
    closed = []
    with pytest.raises(ArithmeticError):
        measure(made_up(lambda n: Sides(lambda: np.ones(n), lambda: np.zeros(n), lambda: closed.append(n))))
    assert closed == [3]


def test_where_a_trick_says_why_it_is_none_nothing_is_measured():
    gain = measure(made_up(lambda n: f"no {n} here"))
    assert (str(gain), gain.on, gain.off) == ("no 3 here", [], [])


def test_the_peak_counts_what_was_freed_again():
    assert 8e6 <= peak(lambda: np.empty(1_000_000).sum()) < 9e6


@pytest.mark.parametrize("trick", IN_ONE_PROCESS, ids=lambda trick: trick.name)
def test_with_a_trick_the_same_is_computed_as_without(trick):
    check(trick, trick.build(2))


def test_the_page_has_a_row_for_each_trick_and_for_no_other():
    rows = [line.strip("| ").split(" | ")[:4] for line in TABLE.splitlines() if line.startswith("| [")]
    without = re.findall(r"^(\[.*?\]\(.*?\)) has no row: ", TABLE, re.MULTILINE)
    told = {tricks.link(trick): [trick.why, trick.instead, trick.where] for trick in TRICKS}
    assert [row[0] for row in rows] == [name for name in told if name not in without]
    assert set(without) < set(told)
    for name, *words in rows:
        assert words == told[name]


@pytest.mark.parametrize(
    ("off", "memory", "pays"), [(1.0, None, False), (1.1, None, True), (1.0, (1, 3), True), (1.0, (2, 3), False)]
)
def test_a_trick_pays_in_time_or_in_memory(off, memory, pays):
    assert Gain(made_up(), on=[1.0], off=[off], memory=memory).pays is pays


def test_a_trick_that_does_not_pay_is_not_on_the_page():
    rows = [line for line in TABLE.splitlines() if line.startswith("| [")]
    assert rows
    for row in rows:
        ratio = float(re.search(r"\*\*([\d.]+)\*\* \(", row)[1])
        memory = re.search(r"(\d+) → (\d+) MB", row)
        off, on = map(int, memory.groups()) if memory else (1, 1)
        assert ratio >= WORTH[0] or off / on >= WORTH[1], row


def test_every_file_that_the_page_links_to_is_there():
    links = re.findall(r"\]\((?!http)([^)#]+)\)", PAGE)
    assert len(links) > len(TRICKS)
    for link in links:
        assert tricks.PAGE.parent.joinpath(link).exists(), link
