"""Memorization and influence from who was in which subset and who got what right: golden numbers by hand."""

from __future__ import annotations

import numpy as np
import pytest

from prune_lab.experiments.errors import ConfigError
from prune_lab.experiments.scoring import subsets as scoring
from prune_lab.experiments.seeds import numpy_stream

MEMBERS = np.array([[1, 0, 1], [1, 1, 0], [0, 1, 1], [1, 0, 0]], dtype=bool)  # (4 models, 3 examples)
TRAIN = np.array([[1, 0, 1], [1, 1, 1], [0, 1, 1], [0, 0, 0]], dtype=bool)
DEV = np.array([[1, 1], [1, 0], [0, 1], [1, 1]], dtype=bool)


def test_memorization_golden() -> None:
    """Inside: 2 of 3, 2 of 2, 2 of 2; outside: 0 of 1, 0 of 2, 1 of 2."""
    assert scoring.memorization(MEMBERS, TRAIN).tolist() == pytest.approx([2 / 3, 1.0, 0.5])


def test_influence_golden() -> None:
    """Of 0: 3/3 - 0/1 and 2/3 - 1/1; of 1: 1/2 - 2/2 and 1/2 - 2/2; of 2: 1/2 - 2/2 and 2/2 - 1/2."""
    expected = [[1.0, -1 / 3], [-0.5, -0.5], [-0.5, 0.5]]
    for block in (1, 2, 3, 100):
        found = np.concatenate(list(scoring.influences(MEMBERS, DEV, block=block)))
        np.testing.assert_allclose(found, expected, atol=1e-12)
        assert scoring.influence_max(MEMBERS, DEV, block=block).tolist() == pytest.approx([1.0, -0.5, 0.5])
        assert scoring.influence_sum_abs(MEMBERS, DEV, block=block).tolist() == pytest.approx([4 / 3, 1.0, 1.0])


def test_influence_on_oneself_is_memorization_and_both_find_a_known_probability() -> None:
    """10,000 models right with probability 0.9 inside and 0.2 outside; chance moves the difference by 0.005."""
    draw = numpy_stream(0, "test")
    members = draw.random((10_000, 4)) < 0.7
    right = draw.random((10_000, 4)) < np.where(members, 0.9, 0.2)
    memorized = scoring.memorization(members, right)
    assert memorized.tolist() == pytest.approx([0.7] * 4, abs=0.03)
    found = np.concatenate(list(scoring.influences(members, right, block=3)))
    np.testing.assert_allclose(np.diag(found), memorized)
    assert np.abs(found - np.diag(np.diag(found))).max() < 0.06


@pytest.mark.parametrize("value", [True, False], ids=["always in", "never in"])
def test_an_example_always_or_never_in_is_refused(value: bool) -> None:
    members = MEMBERS.copy()
    members[:, 1] = value
    said = "1 are in every subset and 0 in none" if value else "0 are in every subset and 1 in none"
    for score in (scoring.memorization, scoring.influence_max, scoring.influence_sum_abs):
        with pytest.raises(ConfigError, match=f"{said}(.|\n)*scorer.models"):
            score(members, TRAIN)
