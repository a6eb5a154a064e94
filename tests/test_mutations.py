"""The table of mutants covers every primitive, and the laws notice those of them that are tried here, of every sort."""

import pytest

from minidl import autograd
from minidl.testing.laws import LawError
from tests import mutations
from tests.mutations import MUTATIONS, Mutant


@pytest.fixture(scope="module")
def samples():
    """The samples for each pullback, on NumPy or the stand-in for CuPy."""
    with mutations.cupy_stand_in():
        yield mutations.uses()


def test_samples_go_through_every_primitive(samples):
    assert {name for name, _ in samples} == mutations.primitives()


@pytest.mark.parametrize("mutation", MUTATIONS)
@pytest.mark.parametrize(("primitive", "pullback"), [("matmul", 1), ("put", 0)])
def test_a_spoilt_pullback_is_noticed(samples, primitive, pullback, mutation):
    verdict = mutations.judge(Mutant(primitive, pullback, mutation), samples[primitive, pullback])
    assert verdict.sample
    assert verdict.laws


@pytest.mark.parametrize(
    "mutant",
    [
        Mutant("conv2d", 1, "transposed"),
        Mutant("batch_norm", 0, "scaled"),
        Mutant("norm_relu", 1, "shifted"),
        Mutant("norm_relu_conv2d", 0, "scaled"),
        Mutant("max_pool2d", 0, "shifted"),
        Mutant("concatenate", 2, "zeroed"),
        Mutant("einsum", 0, "detached"),
        Mutant("astype", 0, "scaled"),
        Mutant("move", 0, "negated"),
    ],
    ids=str,
)
def test_so_is_that_of_a_kernel_a_cast_or_one_of_many(samples, mutant):
    assert mutations.judge(mutant, samples[mutant.primitive, mutant.pullback]).laws


def test_what_changes_no_derivative_is_no_mutant(samples):
    bias = mutations.judge(Mutant("conv2d", 2, "transposed"), samples["conv2d", 2])
    assert bias.sample is None


def broken_by_all(sample, backend):
    raise LawError


@pytest.mark.parametrize("laws", [[], [broken_by_all]], ids=["no law", "a law that is broken anyway"])
def test_a_mutant_that_no_law_notices_fails_the_run(laws, monkeypatch, capsys):
    monkeypatch.setattr(mutations, "LAWS", laws)
    monkeypatch.setattr(mutations, "SAMPLES", [s for s in mutations.SAMPLES if s.name == "negative"])
    assert mutations.main(["negative"]) == 1
    assert "SURVIVES" in capsys.readouterr().out


def test_a_primitive_without_a_sample_fails_the_run(monkeypatch, capsys):
    monkeypatch.setattr(mutations, "primitives", lambda: {"flip", "unheard_of"})
    monkeypatch.setattr(mutations, "SAMPLES", [s for s in mutations.SAMPLES if s.name == "flip"])
    assert mutations.main([]) == 1
    assert "unheard_of: no sample uses it" in capsys.readouterr().out


def test_planting_ends_with_its_context():
    record = autograd.record
    with mutations.planted(Mutant("add", 0, "scaled")):
        assert autograd.record is not record
    assert autograd.record is record
