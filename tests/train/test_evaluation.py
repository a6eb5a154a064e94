"""Evaluation: the share of images whose class is among the k best."""

import numpy as np
import pytest

from minidl import nn
from minidl.data import DataLoader, Dataset
from minidl.train import DivergedError, evaluate


class Table(nn.Module):
    """Scores for the number that an image shows: a row of a table."""

    def __init__(self, scores):
        self.scores = nn.Parameter(scores)

    def forward(self, x):
        return self.scores[(x[:, 0, 0, 0] * 255 + 0.5).to("int64")]


def loader(labels, classes, batch_size):
    images = np.arange(len(labels), dtype=np.uint8).reshape(-1, 1, 1, 1)
    return DataLoader(Dataset(images, labels, [str(i) for i in range(classes)]), batch_size)


@pytest.mark.parametrize("batch_size", [1, 7, 30])
def test_an_image_counts_for_k_if_fewer_than_k_classes_score_higher(batch_size, backend):
    generator = np.random.default_rng(0)
    scores, labels = generator.normal(size=(30, 8)).astype(np.float32), generator.integers(8, size=30)
    model = Table(scores).to(backend)
    loss, *accuracies = evaluate(model, loader(labels, 8, batch_size), topk=(1, 3, 8, 20))
    higher = (scores > scores[np.arange(30), labels][:, None]).sum(axis=1)
    assert accuracies == [(higher < k).mean() for k in (1, 3, 8, 20)]
    assert 0 < accuracies[0] < accuracies[1] < accuracies[2] == accuracies[3] == 1
    assert loss > 0


def test_of_equal_scores_the_first_class_is_the_best():
    model = Table(np.zeros((3, 3), np.float32))
    assert evaluate(model, loader(np.arange(3), 3, 2), topk=(1, 2))[1:] == (1 / 3, 2 / 3)


def test_a_loss_that_is_no_number_is_an_error():
    with pytest.raises(DivergedError, match="the loss has become nan"):
        evaluate(Table(np.full((3, 3), np.nan, np.float32)), loader(np.arange(3), 3, 2))
