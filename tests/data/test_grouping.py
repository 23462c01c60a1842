"""Groups of examples, and how much of a spread lies between them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from prune_lab.experiments.contracts import Examples
from prune_lab.experiments.data.groups import between, groups_of, means_of


def examples(*ids: str) -> Examples:
    rows = np.arange(len(ids))
    return Examples(rows[:, None], rows % 3, np.array(ids))


def test_groups_are_classes_or_the_folders_of_text() -> None:
    names, groups = groups_of(examples("a", "b", "c"), "images", ("x", "y", "z"))
    assert (names, list(groups if groups is not None else [])) == (["x", "y", "z"], [0, 1, 2])
    names, groups = groups_of(examples("code/1#0", "prose/1#0", "code/2#1"), "text", ())
    assert (names, list(groups if groups is not None else [])) == (["code", "prose"], [0, 1, 0])
    names, _ = groups_of(examples("c#/1#0", "f#/1#0"), "text", ())
    assert names == ["c#", "f#"]
    assert groups_of(examples("train/1#0", "train/2#0"), "text", ()) == ([], None)
    assert groups_of(examples(*(f"{number}/a#0" for number in range(101))), "text", ()) == ([], None)


def test_the_share_between_groups_golden() -> None:
    groups = np.array([0, 0, 1, 1])
    ones = np.ones(4)
    assert between(np.array([1.0, 1, 5, 5]), ones, groups) == 1
    assert between(np.array([1.0, 5, 1, 5]), ones, groups) == 0
    assert between(np.array([0.0, 2, 2, 4]), ones, groups) == pytest.approx(0.5)  # variances 1 between, 1 within
    weights = np.array([3.0, 1, 1, 3])  # means .5 and 3.5 of 4 in all; variance 3, of which 2.25 between
    assert between(np.array([0.0, 2, 2, 4]), weights, groups) == pytest.approx(0.75)
    assert between(np.array([0.0, 2, 9, 9]), np.array([1.0, 1, 0, 0]), groups) == 0  # one group weighs nothing
    assert math.isnan(between(ones, ones, groups))


def test_means_of_groups() -> None:
    means, mass = means_of(np.array([1.0, 3, 7]), np.array([1.0, 3, 0]), np.array([0, 0, 1]), 3)
    assert means[0] == 2.5
    assert np.isnan(means[1:]).all()  # one without weight, one without examples
    assert list(mass) == [4, 0, 0]
