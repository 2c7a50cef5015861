"""Every category is drawn equally often, however many shapes it has."""

import numpy as np
import pytest
import torch

from geoflow.data.source import CategorySource

LABELS = np.array([2, 0, 0, 1, 0, 2, 0, 0])
SCALES = np.array([7.0, 1, 2, 5, 3, 9, 4, 100])


def source(labels=LABELS, names=("a", "b", "c")) -> CategorySource:
    return CategorySource(np.arange(len(labels)), labels, names, SCALES, torch.device("cpu"))


def test_the_set_is_sorted_by_category_and_keeps_the_order_within():
    made = source()
    assert made.order.tolist() == made.values.tolist() == [1, 2, 4, 6, 7, 3, 0, 5]
    assert made.labels.tolist() == [0] * 5 + [1] + [2] * 2 and len(made) == 8


def test_categories_come_equally_often_and_so_do_their_shapes():
    drawn = source().draw(30_000, torch.Generator().manual_seed(0))
    share = torch.bincount(drawn, minlength=8) / len(drawn)
    expected = torch.tensor([1 / 15] * 5 + [1 / 3] + [1 / 6] * 2)
    torch.testing.assert_close(share, expected, atol=0.01, rtol=0)


def test_metres_are_the_medians_of_the_categories():
    assert source().metres == [3, 5, 8]
    assert source().describe() == {"categories": ["a", "b", "c"], "metres": [3, 5, 8]}


def test_a_category_without_shapes_is_named():
    with pytest.raises(ValueError, match=r"none in b, d$"):
        source(np.array([0, 2]), ["a", "b", "c", "d"])
