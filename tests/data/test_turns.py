"""Every category is drawn equally often, however many shapes it has."""

import numpy as np
import pytest
import torch

from geoflow.data.turns import CategoryTurns

LABELS = np.array([2, 0, 0, 1, 0, 2, 0, 0])


def test_order_sorts_by_category_and_keeps_the_order_within():
    assert CategoryTurns(LABELS, ["a", "b", "c"]).order.tolist() == [1, 2, 4, 6, 7, 3, 0, 5]


def test_categories_come_equally_often_and_so_do_their_shapes():
    drawn = CategoryTurns(LABELS, ["a", "b", "c"]).draw(30_000, torch.Generator().manual_seed(0))
    share = torch.bincount(drawn, minlength=8) / len(drawn)
    expected = torch.tensor([1 / 15] * 5 + [1 / 3] + [1 / 6] * 2)
    torch.testing.assert_close(share, expected, atol=0.01, rtol=0)


def test_medians_are_of_the_set_as_it_is_stored():
    values = np.array([7.0, 1, 2, 5, 3, 9, 4, 100])
    assert CategoryTurns(LABELS, ["a", "b", "c"]).medians(values) == [3, 5, 8]


def test_a_category_without_shapes_is_named():
    with pytest.raises(ValueError, match=r"none in b, d$"):
        CategoryTurns(np.array([0, 2]), ["a", "b", "c", "d"])
