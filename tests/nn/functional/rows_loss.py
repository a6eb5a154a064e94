"""Samples of the losses, and of the noise that goes with training."""

import numpy as np

import minidl
from minidl.nn import functional as F
from tests.nn.functional.rows_activation import sigmoid, softmax
from tests.row import linear, row


def reduced(losses, reduction, count):
    """The losses of the examples as what is asked for."""
    return {"none": losses, "sum": np.sum(losses), "mean": np.sum(losses) / count}[reduction]


def nll_loss(x, target, weight=None, ignore_index=-100, reduction="mean", per_class=None):
    """One target after the other; `per_class` says what is lost for all the scores of one if it is not -x[target]."""
    x, shape = x[None] if x.ndim == 1 else x, target.shape
    target = np.reshape(target, (len(x), *x.shape[2:]))
    weight = np.ones(x.shape[1]) if weight is None else weight
    losses, weights = np.zeros(target.shape), 0
    for place in np.ndindex(target.shape):
        if (t := target[place]) != ignore_index:
            scores = x[place[0], :, *place[1:]]
            losses[place] = -weight[t] * scores[t] if per_class is None else per_class(scores, t, weight)
            weights += weight[t]
    return reduced(losses.reshape(shape), reduction, weights)


def cross_entropy(x, target, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
    """With classes, or with probabilities: -Σ w q log p."""
    log_p = np.log(softmax(x, 0 if x.ndim == 1 else 1))
    if target.dtype.kind == "f":
        wide = 1 if weight is None else weight.reshape(-1, *[1] * (x.ndim - 2))
        q = (1 - label_smoothing) * target + label_smoothing / x.shape[1]
        losses = -np.sum(q * log_p * wide, 1)
        return reduced(losses, reduction, losses.size)

    def smoothed(scores, t, weight):
        q = np.full(len(scores), label_smoothing / len(scores))
        q[t] += 1 - label_smoothing
        return -np.sum(q * weight * scores)

    return nll_loss(log_p, target, weight, ignore_index, reduction, smoothed)


def binary_cross_entropy_with_logits(x, target, weight=None, reduction="mean", pos_weight=None):
    """-w [p·t log σ(x) + (1 - t) log(1 - σ(x))]."""
    p = 1 if pos_weight is None else pos_weight
    losses = -(p * target * np.log(sigmoid(x)) + (1 - target) * np.log(1 - sigmoid(x)))
    losses = losses if weight is None else losses * weight
    return reduced(losses, reduction, losses.size)


def seeded(function):
    """The function with the same noise each time."""

    def repeated(x, *settings):
        minidl.manual_seed(0)
        return function(x, *settings)

    return repeated


def mask(axes):
    """An oracle that draws the same numbers, for so many of the axes, and drops what belongs to those below p."""

    def oracle(x, p, training=True):
        numbers = np.random.default_rng(0).random(x.shape[:axes], np.float32)
        kept = (numbers >= p).reshape(*numbers.shape, *[1] * (x.ndim - numbers.ndim))
        return x * kept / (1 - p) if training and p < 1 else x * (p < 1 or not training)

    return oracle


CLASSES = np.array([[0, 2], [1, -100]])
PROBABILITIES = np.random.default_rng(3).dirichlet(np.ones(3), 2)
POSITIVE = {"low": 0.3, "high": 3.0}
TARGETS = [
    [(2, 3, 2), CLASSES, (3,)],
    [(2, 3, 2), CLASSES, None],
    [(4, 3), np.array([2, 0, 1, 2], np.int32), (3,)],
    [(1, 2), np.array([1]), None],
    [(3,), np.array(1), (3,)],
    [(1, 2, 2, 2), np.array([[[0, 1], [1, 1]]]), (2,)],
]
REDUCTIONS = ("mean", "sum", "none")
NOISE = [(F.dropout, None), (F.dropout2d, 2), (F.drop_path, 1)]

ROWS = [
    *(
        row(function, inputs, oracle, reduction=reduction, **POSITIVE)
        for function, oracle in [(F.nll_loss, nll_loss), (F.cross_entropy, cross_entropy)]
        for reduction in REDUCTIONS
        for inputs in (TARGETS[:3] if reduction == "mean" else TARGETS[3:])
    ),
    row(F.nll_loss, TARGETS[2], nll_loss, ignore_index=2, **POSITIVE),
    row(F.cross_entropy, TARGETS[2], cross_entropy, ignore_index=2, **POSITIVE),
    row(F.cross_entropy, TARGETS[0], cross_entropy, label_smoothing=0.1, **POSITIVE),
    row(F.cross_entropy, TARGETS[1], cross_entropy, label_smoothing=0.1, reduction="none", **POSITIVE),
    *(
        row(F.cross_entropy, [(2, 3), PROBABILITIES, weight], cross_entropy, reduction=reduction, label_smoothing=0.2)
        for weight, reduction in zip([(3,), None, (3,)], REDUCTIONS, strict=True)
    ),
    row(F.cross_entropy, [(2, 3, 2), (2, 3, 2)], cross_entropy, **POSITIVE),
    *(
        row(function, [(2, 3), (2, 3)], lambda x, t, r, loss=loss: reduced(loss(x, t), r, 6), reduction)
        for function, loss in [(F.mse_loss, lambda x, t: (x - t) ** 2), (F.l1_loss, lambda x, t: np.abs(x - t))]
        for reduction in REDUCTIONS
    ),
    row(F.binary_cross_entropy_with_logits, [(2, 3), PROBABILITIES], binary_cross_entropy_with_logits),
    row(F.binary_cross_entropy_with_logits, [(2, 3), (2, 3)], binary_cross_entropy_with_logits, reduction="none"),
    row(
        F.binary_cross_entropy_with_logits,
        [(2, 3), PROBABILITIES, (2, 3), (3,)],
        lambda x, t, w, p: binary_cross_entropy_with_logits(x, t, w, "mean", p),
        call=lambda x, t, w, p: F.binary_cross_entropy_with_logits(x, t, w, "mean", p),
    ),
    *(linear(f, [(2, 3, 2, 2)], mask(axes), p, call=seeded(f)) for f, axes in NOISE for p in (0.4, 0.0, 1.0)),
    *(linear(f, [(3, 4)], mask(axes), 0.4, False, call=seeded(f)) for f, axes in NOISE),
]
