"""Losses against PyTorch's: targets of every kind, weights, what is ignored, reductions, extremes."""

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

import minidl
from minidl.nn import functional as F
from tests.nn.functional.compare import accuracies, agree, normal, seeds, torch

TF = torch.nn.functional

reductions = st.sampled_from(["mean", "sum", "none"])
smoothings = st.sampled_from([0.0, 0.1, 1.0])
shapes = st.lists(st.integers(1, 4), max_size=3)


@st.composite
def classifications(draw):
    """The shape of scores, (N, C, ...) or (C,), and that of their classes, (N, ...) or ()."""
    classes, n = draw(st.integers(1, 5)), draw(st.integers(1, 4) | st.none())
    image = draw(st.lists(st.integers(1, 3), max_size=2))
    return ((classes,), ()) if n is None else ((n, classes, *image), (n, *image))


ONE_EXAMPLE = ((5,), ())
PIXELS = ((3, 4, 2, 3), (3, 2, 3))


def count(scores):
    """How many classes there are."""
    return scores[0 if len(scores) == 1 else 1]


def indices(seed, shape, classes, ignored, share):
    """Classes at random, a share of them to be ignored."""
    generator = np.random.default_rng(seed)
    return np.where(generator.random(shape) < share, ignored, generator.integers(0, classes, shape))


def probabilities(seed, scores):
    """Numbers that add up to 1 over the classes."""
    drawn = np.random.default_rng(seed).exponential(size=scores)
    return drawn / drawn.sum(0 if len(scores) == 1 else 1, keepdims=True)


def weights(backend, dtype, seed, shape):
    """A tensor of ours and one of theirs; PyTorch gives weights no gradient."""
    drawn = np.random.default_rng(seed).uniform(0.5, 2, shape).astype(dtype)
    return minidl.tensor(drawn, backend=backend), torch.from_numpy(drawn).double()


@pytest.mark.parametrize("weighted", [False, True])
@given(
    classifications(),
    smoothings,
    st.sampled_from([-100, 0, 2]),
    st.sampled_from([0, 0.5]),
    reductions,
    accuracies,
    seeds,
)
@example(ONE_EXAMPLE, 0.1, -100, 0, "mean", ("float32", 1), 0)
@example(PIXELS, 0.1, 2, 0.5, "mean", ("float64", 2), 0)
@example(PIXELS, 0.0, -100, 1, "sum", ("float64", 2), 0)
def test_cross_entropy_of_classes_is_pytorchs(
    backend, weighted, shapes, smoothing, ignored, share, reduction, accuracy, seed
):
    scores, classes = shapes
    target = indices(seed, classes, count(scores), ignored, share)
    assume(reduction != "mean" or (target != ignored).any())
    ours, theirs = weights(backend, accuracy[0], seed, count(scores)) if weighted else (None, None)
    settings = {"ignore_index": ignored, "reduction": reduction, "label_smoothing": smoothing}
    agree(
        backend,
        lambda x, t: F.cross_entropy(x, t, ours, **settings),
        lambda x, t: TF.cross_entropy(x, t, theirs, **settings),
        2 * normal(seed, *scores),
        target,
        accuracy=accuracy,
        seed=seed,
    )


@pytest.mark.parametrize("weighted", [False, True])
@given(classifications(), smoothings, reductions, accuracies, seeds)
@example(ONE_EXAMPLE, 0.1, "mean", ("float32", 1), 0)
@example(PIXELS, 0.1, "mean", ("float64", 2), 0)
def test_cross_entropy_of_probabilities_is_pytorchs(backend, weighted, shapes, smoothing, reduction, accuracy, seed):
    scores, _ = shapes
    ours, theirs = weights(backend, accuracy[0], seed, count(scores)) if weighted else (None, None)
    settings = {"reduction": reduction, "label_smoothing": smoothing}
    agree(
        backend,
        lambda x, t: F.cross_entropy(x, t, ours, **settings),
        lambda x, t: TF.cross_entropy(x, t, theirs, **settings),
        2 * normal(seed, *scores),
        probabilities(seed, scores),
        accuracy=accuracy,
        seed=seed,
    )


@pytest.mark.parametrize("weighted", [False, True])
@given(classifications(), st.sampled_from([-100, 1]), st.sampled_from([0, 0.5]), reductions, accuracies, seeds)
@example(ONE_EXAMPLE, 0, 0, "mean", ("float64", 2), 0)
@example(PIXELS, -100, 1, "none", ("float64", 2), 0)
def test_nll_loss_is_pytorchs(backend, weighted, shapes, ignored, share, reduction, accuracy, seed):
    scores, classes = shapes
    target = indices(seed, classes, count(scores), ignored, share)
    assume(reduction != "mean" or (target != ignored).any())
    ours, theirs = weights(backend, accuracy[0], seed, count(scores)) if weighted else (None, None)
    agree(
        backend,
        lambda x, t: F.nll_loss(x, t, ours, ignored, reduction),
        lambda x, t: TF.nll_loss(x, t, theirs, ignore_index=ignored, reduction=reduction),
        normal(seed, *scores),
        target,
        accuracy=accuracy,
        seed=seed,
    )


@pytest.mark.parametrize("loss", ["cross_entropy", "nll_loss"])
def test_the_mean_over_nothing_is_nan(backend, loss):
    target = np.full(3, -100)
    with np.errstate(invalid="ignore"):
        got = getattr(F, loss)(minidl.tensor(normal(0, 3, 4), backend=backend), minidl.tensor(target, backend=backend))
    assert np.isnan(got.item())
    assert np.isnan(getattr(TF, loss)(torch.from_numpy(normal(0, 3, 4)), torch.from_numpy(target)).item())


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
def test_what_is_ignored_may_have_impossible_classes(backend, smoothing, weighted):
    x = np.array([[-np.inf, 0.0, 1.0], [0.5, 1.0, -2.0]])
    ours, theirs = weights(backend, "float64", 0, 3) if weighted else (None, None)
    agree(
        backend,
        lambda x, t: F.cross_entropy(x, t, ours, label_smoothing=smoothing),
        lambda x, t: TF.cross_entropy(x, t, theirs, label_smoothing=smoothing),
        x,
        np.array([-100, 2]),
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cross_entropy_bears_any_scores(backend, dtype):
    x = np.array([[1e4, 1e4, 9.9e3], [1e30, 0.0, -1e30], [-np.inf, 1.0, 2.0], [-1e4, -1e4, -1e4]])
    agree(backend, F.cross_entropy, TF.cross_entropy, x, np.array([0, 0, 2, 1]), accuracy=(dtype, 1))


@pytest.mark.parametrize("kind", ["uint8", "int32", "int64"])
def test_classes_may_be_integers_of_any_size(backend, kind):
    x, target = minidl.tensor(normal(0, 3, 4), backend=backend), np.array([3, 0, 1])
    wanted = TF.cross_entropy(torch.from_numpy(normal(0, 3, 4)), torch.from_numpy(target)).item()
    assert F.cross_entropy(x, minidl.tensor(target.astype(kind), backend=backend)).item() == pytest.approx(wanted)


@pytest.mark.parametrize("loss", ["mse_loss", "l1_loss"])
@given(shapes, reductions, accuracies, seeds)
def test_mse_loss_and_l1_loss_are_pytorchs(backend, loss, shape, reduction, accuracy, seed):
    ours, theirs = (getattr(library, loss) for library in (F, TF))
    agree(
        backend,
        lambda x, y: ours(x, y, reduction),
        lambda x, y: theirs(x, y, reduction=reduction),
        normal(seed, *shape),
        normal(seed + 1, *shape),
        accuracy=accuracy,
        seed=seed,
    )


def test_l1_loss_is_flat_where_it_is_zero(backend):
    agree(backend, F.l1_loss, TF.l1_loss, np.array([1.0, 2.0, 0.0]), np.array([1.0, 3.0, -0.0]))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("positive", [False, True])
@given(shapes, reductions, accuracies, seeds)
def test_binary_cross_entropy_with_logits_is_pytorchs(backend, weighted, positive, shape, reduction, accuracy, seed):
    w, their_w = weights(backend, accuracy[0], seed, shape) if weighted else (None, None)
    p, their_p = weights(backend, accuracy[0], seed + 1, shape[-1:]) if positive else (None, None)
    agree(
        backend,
        lambda x, t: F.binary_cross_entropy_with_logits(x, t, w, reduction, p),
        lambda x, t: TF.binary_cross_entropy_with_logits(x, t, their_w, reduction=reduction, pos_weight=their_p),
        2 * normal(seed, *shape),
        np.random.default_rng(seed).uniform(0, 1, shape),
        accuracy=accuracy,
        seed=seed,
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_binary_cross_entropy_bears_any_logits(backend, dtype):
    x = np.array([1e30, -1e30, 1e4, -1e4, 50, -50, 0, 0])
    t = np.array([1.0, 0, 0, 1, 1, 0, 0.5, 1])
    names = (F.binary_cross_entropy_with_logits, TF.binary_cross_entropy_with_logits)
    agree(backend, *names, x, t, accuracy=(dtype, 1))
