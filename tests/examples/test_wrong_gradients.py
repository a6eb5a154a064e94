"""The gallery: each exhibit is caught by the check it is meant for, what is right passes that, and the page is true."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.printed import gist

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def gallery():
    """The example as a module; it finds the engine because it is started from its folder."""
    sys.path.insert(0, str(EXAMPLES))
    try:
        yield importlib.import_module("wrong_gradients")
    finally:
        sys.path.remove(str(EXAMPLES))


@pytest.fixture(scope="module")
def printed():
    """What the script prints."""
    command = [sys.executable, f"{EXAMPLES.name}/wrong_gradients.py"]
    environment = os.environ | {"PYTHONPATH": ".", "PYTHONWARNINGS": "error", "PYTHONIOENCODING": "utf-8"}
    result = subprocess.run(command, cwd=EXAMPLES.parent, env=environment, capture_output=True, encoding="utf-8")
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


CAUGHT = {
    "unordered": ("check_engine", "paths", "counts 0 times"),
    "overwritten": ("gradcheck", "slope", "a skip connection's overwritten instead of added?"),
    "exponential": ("check_engine", "visits", "once per path"),
    "aliased": ("gradcheck", "aliasing", "the gradient of input 0 shares memory with the gradient of input 1"),
    "unsummed": ("gradcheck", "shape", "broadcasting not undone?"),
    "swapped": ("gradcheck", "slope", "it is the gradient of input 1"),
    "constant_mean": ("gradcheck", "slope", "is a mean over it treated as a constant?"),
    "counted_twice": ("gradcheck", "slope", "are ties counted more than once?"),
    "stale": ("check_engine", "again", "what one pass leaves behind must not enter the next"),
    "detached": ("gradcheck", "slope", "is a pullback dropped, or something detached?"),
}


def test_there_are_ten(gallery):
    assert list(gallery.GALLERY) == list(CAUGHT)


@pytest.mark.parametrize("name", CAUGHT)
def test_each_is_caught_by_the_check_that_is_meant_to_and_the_report_names_the_mistake(gallery, name):
    checker, law, guess = CAUGHT[name]
    exhibit = gallery.GALLERY[name]
    report = exhibit.check()
    assert exhibit.checker == checker
    assert law in report.broken
    assert guess in str(report)


@pytest.mark.parametrize("name", CAUGHT)
def test_what_is_right_passes_the_same_check(gallery, name):
    report = gallery.GALLERY[name].check(right=True)
    assert report.ok, report


def test_a_stale_gradient_is_found_by_gradcheck_too(gallery):
    inputs = gallery.GALLERY["overwritten"].at
    report = gallery.gradcheck(gallery.residual, inputs, engine=gallery.Tiny(gallery.Stale()), raise_exception=False)
    assert "deterministic" in report.broken


def test_aliased_gradients_become_wrong_once_an_input_is_used_again(gallery):
    x, y = (gallery.Var(np.ones(3)) for _ in range(2))
    gallery.Aliased().backward([x + y + x], [np.ones(3)])
    np.testing.assert_array_equal(y.grad, [2, 2, 2])
    report = gallery.gradcheck(
        lambda x, y: x + y + x,
        [np.ones(3), np.ones(3)],
        engine=gallery.Tiny(gallery.Aliased()),
        raise_exception=False,
    )
    assert report.broken == ("aliasing", "unmodified")


def test_the_loss_falls_with_every_one_of_them_and_with_six_as_far_as_it_should(gallery, printed):
    pairs = re.findall(r"\*\*Loss:\*\* (\S+); with right gradients (\S+)\.\n", printed)
    ends = dict(zip(CAUGHT, (float(end) for end, _ in pairs), strict=True))
    best = float(pairs[0][1])
    assert max(ends.values()) < gallery.train(gallery.Engine(), steps=1)[0] / 5
    further = {name for name, end in ends.items() if end < 0.98 * best}
    assert further == {"unsummed", "constant_mean"}
    assert {name for name, end in ends.items() if end > 1.3 * best} == {
        "unordered",
        "overwritten",
        "swapped",
        "detached",
    }
    assert ends["unsummed"] < best / 50


def test_an_unsummed_bias_takes_the_shape_of_the_batch_and_fits_no_other(gallery):
    x, w, b = (gallery.Var(np.ones(shape)) for shape in [(5, 3), (3, 2), (2,)])
    y = gallery.unsummed(x, w, b)
    gallery.Engine().backward([y], [np.ones((5, 2))])
    stepped = gallery.Var(b.data - b.grad)
    assert stepped.data.shape == (5, 2)
    with pytest.raises(ValueError, match="broadcast"):
        gallery.linear(gallery.Var(np.ones((4, 3))), w, stepped)


def test_the_page_is_what_the_script_prints(printed):
    intro, first, rest = (EXAMPLES / "wrong_gradients.md").read_text(encoding="utf-8").partition("## 1.")
    assert gist(first + rest) == gist(printed), (
        "put what the script prints below the introduction of wrong_gradients.md"
    )
    assert intro.startswith("# A gallery")


def test_one_can_be_asked_for_and_one_that_is_not_caught_is_a_failure(gallery, monkeypatch, capsys):
    class Fine(gallery.Engine):
        """Right."""

        receive = gallery.Engine.receive

    monkeypatch.setattr(gallery, "train", lambda *args, **ops: [0.0])
    monkeypatch.setattr(sys, "argv", ["wrong_gradients.py", "overwritten"])
    assert gallery.main()
    assert [line for line in capsys.readouterr().out.splitlines() if line.startswith("## ")] == ["## 2. Overwritten"]
    exhibit = gallery.GALLERY["overwritten"]
    monkeypatch.setitem(
        gallery.GALLERY, "overwritten", gallery.Exhibit(Fine, gallery.Engine.receive, exhibit.on, exhibit.at)
    )
    monkeypatch.setattr(sys, "argv", ["wrong_gradients.py"])
    monkeypatch.setattr(gallery, "GALLERY", {"overwritten": gallery.GALLERY["overwritten"]})
    assert not gallery.main()
    assert "**Caught by** `gradcheck`: nothing." in capsys.readouterr().out
