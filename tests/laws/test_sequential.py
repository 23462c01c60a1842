"""Confidence sequences: the error rate under optional stopping, the ends by hand, and what they do for a claim."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from prune_lab.experiments.laws import claims, sequential
from prune_lab.experiments.laws.expectations import Expectation


def test_under_optional_stopping_the_error_rate_holds_and_that_of_t_does_not() -> None:
    """5,000 comparisons without a difference; seeds are added, from 3 to 40, until the interval excludes zero."""
    values = np.random.default_rng(0).normal(size=(5_000, 40))
    low, high = sequential.sequence(values)
    assert ((low > 0) | (high < 0)).any(-1).mean() <= 0.05
    number = np.arange(1, 41)
    mean = values.cumsum(-1) / number
    variance = (np.square(values).cumsum(-1) - number * mean**2) / np.maximum(number - 1, 1)
    excludes = np.abs(mean) > stats.t.ppf(0.975, np.maximum(number - 1, 1)) * np.sqrt(variance / number)
    assert excludes[:, 2:].any(-1).mean() > 0.2


def test_differences_are_found_with_few_seeds() -> None:
    values = np.random.default_rng(1).normal(size=(500, 40))
    for effect, seeds in ((4, 4), (2, 6), (1, 14)):  # in standard deviations
        low, _ = sequential.sequence(values + effect)
        assert np.median(np.where((low > 0).any(-1), (low > 0).argmax(-1) + 1, 99)) <= seeds


@pytest.mark.parametrize("seeds", [3, 5, 20])
def test_at_its_ends_the_mixture_of_t_likelihood_ratios_is_twenty(seeds: int) -> None:
    values = 7e4 + np.random.default_rng(seeds).normal(size=seeds)

    def ratio(mean: float) -> float:
        t, freedom = stats.ttest_1samp(values, mean).statistic, seeds - 1
        effect = np.linspace(-12, 12, 1001) * sequential.SPREAD
        given = stats.nct.pdf(t, freedom, effect * math.sqrt(seeds)) / stats.t.pdf(t, freedom)
        return float(np.trapezoid(given * stats.norm.pdf(effect, 0, sequential.SPREAD), effect))

    one = sequential.anytime(values)
    assert one.value == pytest.approx(values.mean())
    assert ratio(one.low) == pytest.approx(20, rel=0.02)
    assert ratio(one.high) == pytest.approx(20, rel=0.02)


def test_fewer_than_three_values_have_no_ends() -> None:
    for values in ([], [1.0], [1.0, 2.0], [1.0, 2.0, math.nan]):
        assert math.isnan(sequential.anytime(values).low)
    low, high = sequential.sequence([1.0, 2.0])
    assert np.isinf([low, high]).all()
    assert (sequential.anytime([2.0] * 4).low, sequential.anytime([2.0] * 4).high) == (2.0, 2.0)


def test_a_claim_at_any_number_of_seeds_is_harder_to_decide_and_says_so() -> None:
    rows = [{"rule": rule, "seed": seed, "accuracy": (rule == "hard") * (0.02 + 0.01 * (seed % 3)) + seed / 50}
            for rule in ("hard", "random") for seed in range(5)]  # fmt: skip
    told = {"claim": "c", "source": "s", "at_least": 0, "point": {"where": {"rule": "hard"}}}
    told["versus"] = {"where": {"rule": "random"}}
    fixed, anytime = (
        claims.check(Expectation.model_validate(told | {"anytime": one}), pd.DataFrame(rows)) for one in (False, True)
    )
    assert (fixed.verdict, anytime.verdict) == ("holds", "holds")
    assert anytime.effect == pytest.approx(fixed.effect)
    assert anytime.low is not None
    assert fixed.low is not None
    assert 0 < anytime.low < fixed.low
    assert sequential.SAID in anytime.sentence
    assert sequential.SAID not in fixed.sentence
    few = claims.check(
        Expectation.model_validate(told | {"anytime": True}), pd.DataFrame([r for r in rows if r["seed"] < 2])
    )
    assert few.verdict == "undecided"
