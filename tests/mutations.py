"""Does some law notice when a pullback is wrong? Run `python -m tests.mutations`, or with the names of some primitives.

Every pullback of every primitive and kernel is spoilt in every way below, one at a time. A mutant counts if it changes
a first or second derivative of a sample; some law has to break on a sample then, or the mutant survives and the exit
status is 1.
"""

import ast
import contextlib
import functools
import sys
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import minidl
from minidl import autograd, grad, ops, tensor
from minidl.backend import import_cupy
from minidl.testing.laws import LAWS, LawError
from tests.cupy_stand_in import library
from tests.table import SAMPLES


def transposed(g):
    """The gradient with its axes in reverse order, in the old shape."""
    return ops.reshape(ops.permute(g, *reversed(range(g.ndim))), g.shape)


def shifted(g):
    """Each element in the place of the next."""
    flat = ops.reshape(g, -1)
    return ops.reshape(ops.concatenate([flat[-1:], flat[:-1]]), g.shape)


MUTATIONS = {
    "scaled": lambda g: g * 1.001,
    "negated": lambda g: -g,
    "zeroed": lambda g: g * 0,
    "transposed": transposed,
    "shifted": shifted,
    "dropped": lambda g: None,
    "detached": lambda g: g.detach(),
}


class Mutant(NamedTuple):
    """What is done to which pullback of which primitive."""

    primitive: str
    pullback: int
    mutation: str


class Verdict(NamedTuple):
    """The sample that a mutant was noticed on, and the laws that did; no sample if it changes no derivative."""

    mutant: Mutant
    sample: object
    laws: list


def primitives():
    """The names of all primitives and kernels that minidl's sources define."""
    return {name for path in Path(minidl.__file__).parent.rglob("*.py") for name in _defined(path)}


def _defined(path):
    for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        for decorator in getattr(function, "decorator_list", []):
            called = decorator.func if isinstance(decorator, ast.Call) else decorator
            if getattr(called, "id", None) == "primitive":
                yield function.name.lstrip("_")
            elif getattr(called, "id", None) == "accelerated":
                yield decorator.keywords[0].value.value


@contextlib.contextmanager
def recording_as(change):
    """Within this context change(name, pull) takes the place of the pullbacks of every op that is recorded."""
    record = autograd.record

    def changed(name, value, inputs, pull, *rest, **named):
        return record(name, value, inputs, change(name, pull), *rest, **named)

    autograd.record = changed
    try:
        yield
    finally:
        autograd.record = record


def planted(mutant):
    """A context within which one pullback is spoilt. (Not those of the ops that spoil it.)"""
    spoiling = False

    def change(name, pull):
        if spoiling or name != mutant.primitive:
            return pull

        def spoilt(g, wanted):
            nonlocal spoiling
            parts = list(pull(g, wanted))
            if mutant.pullback < len(parts) and parts[mutant.pullback] is not None:
                spoiling = True
                try:
                    parts[mutant.pullback] = MUTATIONS[mutant.mutation](parts[mutant.pullback])
                finally:
                    spoiling = False
            return parts

        return spoilt

    return recording_as(change)


def gradients(sample, backend):
    """The first and second derivatives from random gradients of every result, with zeros where there is none.

    In float64, and if the sample turns one type into another, in float32.
    """
    found = []
    for dtype in (np.float64,) if sample.keeps_dtype else (np.float64, np.float32):
        xs = [tensor(x, backend=backend, requires_grad=x.dtype.kind == "f") for x in sample.arrays(dtype)]
        variables, ys = [x for x in xs if x.requires_grad], [y for y in sample.apply(*xs) if y.requires_grad]
        upstream = [random_like(y).requires_grad_() for y in ys]
        first = grad(ys, variables, upstream, create_graph=True, allow_unused=True) if ys else []
        recorded = [g for g in first if g is not None and g.requires_grad]
        sources = [*variables, *upstream]
        second = grad(recorded, sources, [random_like(g) for g in recorded], allow_unused=True) if recorded else []
        given = [*variables[: len(first)], *sources]
        derivatives = [*first, *(second or [None] * len(sources))]
        found += [np.zeros(x.shape) if g is None else g.numpy() for x, g in zip(given, derivatives, strict=True)]
    return found


def random_like(y):
    """A tensor of random numbers, the same each time."""
    return tensor(np.random.default_rng(0).standard_normal(y.shape).astype(y.dtype), backend=y.backend)


def uses():
    """For each primitive and pullback the samples whose derivatives go through it, small ones first, with a backend.

    Those of the op itself come before those of functions that are made of it.
    """
    found = defaultdict(list)
    pairs = [(sample, "numpy") for sample in SAMPLES]
    pairs += [(sample, "cupy") for sample in SAMPLES if not sample.keeps_backend]
    for sample, backend in sorted(pairs, key=lambda pair: sum(x.size for x in pair[0].arrays())):
        if sample.order:
            seen = set()

            def spy(name, pull, seen=seen):
                def seeing(g, wanted):
                    seen.update((name, k) for k, w in enumerate(wanted) if w)
                    return pull(g, wanted)

                return seeing

            with recording_as(spy):
                gradients(sample, backend)
            for name, k in seen:
                found[name, k].append((sample, backend))
    return {key: sorted(found[key], key=lambda pair: pair[0].name != key[0]) for key in sorted(found)}


def judge(mutant, samples):
    """The verdict on a mutant: by the first sample on which a law notices, else by the last whose derivatives change.

    A sample is passed over if they do not change: by transposing a vector, say.
    """
    verdict = Verdict(mutant, None, [])
    for sample, backend in samples:
        right = gradients(sample, backend)
        with planted(mutant):
            wrong = gradients(sample, backend)
            if all(np.allclose(a, b, rtol=1e-9, atol=1e-12) for a, b in zip(right, wrong, strict=True)):
                continue
            broken = [law for law in LAWS if breaks(law, sample, backend)]
        verdict = Verdict(mutant, sample, [law for law in broken if not breaks_unspoilt(law, sample, backend)])
        if verdict.laws:
            break
    return verdict


def breaks(law, sample, backend):
    """Whether the sample breaks the law."""
    try:
        law(sample, backend)
    except LawError:
        return True
    return False


@functools.cache
def breaks_unspoilt(law, sample, backend):
    """Whether it does so by itself."""
    return breaks(law, sample, backend)


@contextlib.contextmanager
def cupy_stand_in():
    """Within this context the stand-in for CuPy is there, so that moving to another array library can be tried."""
    with pytest.MonkeyPatch.context() as patch:
        library.install(patch, lambda *kernel: None)
        yield
    import_cupy.cache_clear()


def main(names):
    """Judge all mutants of the primitives of these names, or of all; print the table; return the exit status."""
    with cupy_stand_in():
        table = {key: samples for key, samples in uses().items() if not names or key[0] in names}
        verdicts = []
        for (name, k), samples in table.items():
            for mutation in MUTATIONS:
                verdicts.append(judge(Mutant(name, k, mutation), samples))
                say(verdicts[-1])
    unused = sorted((set(names) or primitives()) - {name for name, _ in table})
    counted = [verdict for verdict in verdicts if verdict.sample]
    caught = [verdict for verdict in counted if verdict.laws]
    survivors = len(counted) - len(caught) + len(unused)
    for name in unused:
        sys.stdout.write(f"{name}: no sample uses it\n")
    sys.stdout.write(f"{len(caught)} of {len(counted) + len(unused)} caught\n")
    return 1 if survivors else 0


def say(verdict):
    """One line of the table."""
    name, k, mutation = verdict.mutant
    if verdict.sample is None:
        outcome = "no such mutant: no derivative changes"
    elif verdict.laws:
        outcome = f"{', '.join(map(str, verdict.laws)):60} {str(verdict.sample)[:60]}"
    else:
        outcome = f"SURVIVES, though it changes a derivative of {verdict.sample}"
    sys.stdout.write(f"{name:18} {k}  {mutation:11} {outcome}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
