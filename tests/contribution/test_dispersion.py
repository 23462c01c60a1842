"""Dispersion of contributions: golden numbers, and NaN where a number has no meaning."""

from __future__ import annotations

import math

import numpy as np
import pytest

from prune_lab.experiments.contribution.dispersion import dispersion, reliability
from prune_lab.experiments.errors import ConfigError


def test_golden() -> None:
    found = dispersion(np.array([1.0, 2.0, 3.0, -2.0]))
    assert found["mean"] == 1
    assert found["cv"] == pytest.approx(math.sqrt(18 / 4 - 1))
    assert found["sim"] == pytest.approx(1 / math.sqrt(14 / 3))
    assert found["signal"] == pytest.approx(1 / 4.5)
    assert found["negative_share"] == 0.25
    assert found["ess"] == pytest.approx(36 / (4 * 14))
    assert found["gini"] == pytest.approx(2 * (2 * 1 + 3 * 2 + 4 * 3) / (4 * 6) - 5 / 4)
    assert found["top_decile"] == pytest.approx(3 / 6)
    assert found["kkt_gap"] == 2
    assert found["active"] == 1


def test_equal_contributions_are_equal_by_every_measure() -> None:
    found = dispersion(np.full(10, 0.3))
    assert found["cv"] == pytest.approx(0, abs=1e-7)
    assert found["signal"] == pytest.approx(1)
    assert found["ess"] == pytest.approx(1)
    assert found["gini"] == pytest.approx(0, abs=1e-12)
    assert found["top_decile"] == pytest.approx(0.1)
    assert found["kkt_gap"] == pytest.approx(0)


def test_weights_decide_the_mean_and_who_is_counted() -> None:
    values, weights = np.array([1.0, 3.0, 100.0]), np.array([3.0, 1.0, 0.0])
    found = dispersion(values, weights)
    assert found["mean"] == 1.5
    assert found["cv"] == pytest.approx(math.sqrt(0.75) / 1.5)
    assert found["sim"] == pytest.approx(1.5 / math.sqrt((1 - 1.5) ** 2 + (3 - 1.5) ** 2))  # about the weighted mean
    assert found["active"] == pytest.approx(2 / 3)
    assert found["kkt_gap"] == pytest.approx((100 - 1.5) / 1.5)  # the inactive one would have contributed more
    assert found == dispersion(values, 7 * weights)


@pytest.mark.parametrize(
    ("values", "weights", "undefined"),
    [
        ([1.0, -1.0, 1.0, -1.0], None, {"cv", "sim", "kkt_gap"}),
        ([2.0, 1.0], [1.0, 0.0], {"cv", "sim", "signal", "ess", "gini", "top_decile"}),
        ([-1.0, -2.0], None, {"cv", "ess", "gini", "top_decile", "kkt_gap"}),
        ([0.0, 0.0], None, {"cv", "sim", "signal", "ess", "gini", "top_decile", "kkt_gap"}),
    ],
    ids=["mean of zero", "one active", "all negative", "nothing"],
)
def test_what_has_no_meaning_is_nan(values: list[float], weights: list[float] | None, undefined: set[str]) -> None:
    found = dispersion(np.array(values), None if weights is None else np.array(weights))
    assert {name for name, value in found.items() if math.isnan(value)} == undefined


def test_no_weight_at_all_is_refused() -> None:
    with pytest.raises(ConfigError, match="no example has weight"):
        dispersion(np.ones(3), np.zeros(3))


def test_reliability() -> None:
    assert reliability(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 6.0])) == pytest.approx(1)
    assert math.isnan(reliability(np.array([1.0, 1.0]), np.array([2.0, 4.0])))
