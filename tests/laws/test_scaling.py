"""Known laws in, known laws out; and the ways in which such fits go wrong do not occur here."""

from __future__ import annotations

import numpy as np
import pytest

from prune_lab.experiments.contracts import Floats
from prune_lab.experiments.laws import scaling

SIZES = np.geomspace(100, 20_000, 8)


def power(x: Floats, *, floor: float = 0.0) -> Floats:
    return np.asarray(floor + 3.0 * x**-0.4)


def exponential(x: Floats, *, floor: float = 0.0) -> Floats:
    return np.asarray(floor + 0.4 * np.exp(-x / 4000.0))


def noisy(y: Floats, seed: int, spread: float = 0.02) -> Floats:
    return np.asarray(y * np.exp(spread * np.random.default_rng(seed).standard_normal(len(y))))


def seeds(y: Floats, seed: int, *, n: int = 3, spread: float = 0.05) -> list[Floats]:
    draw = np.random.default_rng(seed)
    return [value * np.exp(spread * draw.standard_normal(n)) for value in y]


def test_exact_power_law_with_a_floor_is_recovered() -> None:
    found = scaling.fit(SIZES, power(SIZES, floor=0.02), "power", floored=True)
    assert found.converged
    assert not found.floor_hit
    assert (found.rate, found.amplitude, found.floor) == pytest.approx((0.4, 3.0, 0.02), rel=1e-4)
    assert scaling.predict(found, SIZES) == pytest.approx(power(SIZES, floor=0.02), rel=1e-6)


def test_exact_exponential_with_a_floor_is_recovered() -> None:
    found = scaling.fit(SIZES, exponential(SIZES, floor=0.02), "exponential", floored=True)
    assert (1 / found.rate, found.amplitude, found.floor) == pytest.approx((4000.0, 0.4, 0.02), rel=1e-4)


def test_a_floor_that_is_not_there_is_reported_as_hit() -> None:
    steeper_at_the_end = power(SIZES) * np.where(SIZES > 5000, 0.8, 1.0)
    found = scaling.fit(SIZES, steeper_at_the_end, "power", floored=True)
    assert found.floor_hit
    assert found.floor == 0


@pytest.mark.parametrize(
    ("y", "verdict"),
    [
        (power(SIZES), "power law"),
        (power(SIZES, floor=0.02), "power law"),
        (exponential(SIZES), "exponential"),
        (exponential(SIZES, floor=0.01), "exponential"),
    ],
)
def test_the_law_that_made_the_data_is_preferred(y: Floats, verdict: str) -> None:
    for seed in range(2):
        found = scaling.compare(SIZES, noisy(y, seed))
        assert found.verdict == verdict, found.reason
        assert found.difference is not None
        assert (found.difference > 0) == (verdict == "power law")
        assert str(round(abs(found.difference), 1)) in found.reason


def test_a_short_range_decides_nothing() -> None:
    x = np.geomspace(1000, 2500, 8)
    found = scaling.compare(x, noisy(power(x), 0, 0.001))
    assert found.verdict == "undecided"
    assert "0.40 decades" in found.reason


def test_noise_decides_nothing() -> None:
    x = np.geomspace(1000, 4000, 6)
    found = scaling.compare(x, noisy(power(x), 3, 0.1))
    assert found.verdict == "undecided"


def test_few_points_decide_nothing_but_are_fitted() -> None:
    x = np.array([100.0, 1000.0, 10_000.0, 30_000.0])
    found = scaling.compare(x, power(x))
    assert (found.verdict, found.difference) == ("undecided", None)
    assert "AICc" in found.reason
    assert found.power is not None
    assert found.power.aicc is None
    assert found.power.rate == pytest.approx(0.4, rel=1e-4)


def test_two_sizes_are_not_fitted() -> None:
    found = scaling.compare(np.array([100.0, 1000.0]), np.array([0.4, 0.2]))
    assert found.power is None
    assert "2 sizes" in found.reason


def test_rising_error_follows_no_law() -> None:
    found = scaling.compare(SIZES, 1 / power(SIZES))
    assert (found.verdict, found.reason) == ("undecided", "the error does not fall with the number of examples")


def test_envelope_keeps_what_nothing_beats() -> None:
    x = np.array([4.0, 1.0, 2.0, 2.0, 3.0])
    y = np.array([0.1, 0.5, 0.4, 0.3, 0.3])
    assert scaling.pareto_envelope(x, y).tolist() == [1, 3, 0]


def test_intervals_cover_and_are_as_wide_as_repeated_experiments() -> None:
    """arXiv:2404.10102: with an averaged loss and default tolerances the standard error came out 40x too small."""
    simulated = [
        scaling.fit(SIZES, np.array([v.mean() for v in seeds(power(SIZES), seed)]), "power").rate for seed in range(100)
    ]
    log_size = np.log(SIZES)
    analytic = 0.05 / np.sqrt(3) / np.sqrt(np.sum((log_size - log_size.mean()) ** 2))
    assert np.std(simulated) == pytest.approx(analytic, rel=0.25)
    covered, errors = 0, []
    for seed in range(20):
        found = scaling.bootstrap(
            SIZES, seeds(power(SIZES), seed), "power", floored=False, generator=np.random.default_rng(1), replicates=40
        )
        assert found.rate is not None
        assert found.dropped == 0
        errors.append(found.rate.error)
        covered += found.rate.low <= 0.4 <= found.rate.high
    assert 0.5 * analytic < np.mean(errors) < 2 * analytic
    assert covered >= 15


def test_a_floored_fit_has_an_interval_as_wide_as_repeated_experiments() -> None:
    law = power(SIZES, floor=0.03)
    simulated = [
        scaling.fit(SIZES, np.array([v.mean() for v in seeds(law, seed)]), "power", floored=True).rate
        for seed in range(12)
    ]
    found = scaling.bootstrap(
        SIZES, seeds(law, 0), "power", floored=True, generator=np.random.default_rng(2), replicates=60
    )
    assert found.rate is not None
    assert 0.5 * np.std(simulated) < found.rate.error < 2 * np.std(simulated)


def test_replicates_that_do_not_converge_are_dropped_and_counted() -> None:
    found = scaling.bootstrap(
        SIZES, seeds(power(SIZES, floor=0.03), 0), "power", floored=True,
        generator=np.random.default_rng(3), replicates=20, evaluations=1,
    )  # fmt: skip
    assert found.dropped == 20
    assert found.rate is None
    assert "converged" in found.note


def test_single_runs_have_no_interval() -> None:
    found = scaling.bootstrap(
        SIZES, [np.array([y]) for y in power(SIZES)], "power", floored=False, generator=np.random.default_rng(0)
    )
    assert (found.rate, found.replicates) == (None, 0)
    assert "one run" in found.note


def test_the_envelope_is_chosen_again_in_every_replicate() -> None:
    x = np.concatenate([SIZES, SIZES])
    both = seeds(np.concatenate([power(SIZES), power(SIZES)]), 5)
    found = scaling.bootstrap(
        x, both, "power", floored=False, generator=np.random.default_rng(0), replicates=40,
        select=scaling.pareto_envelope,
    )  # fmt: skip
    assert found.rate is not None
    assert found.rate.low < 0.4 < found.rate.high
    means = np.array([values.mean() for values in both])
    chosen = scaling.pareto_envelope(x, means)
    fixed = scaling.bootstrap(
        x[chosen], [both[row] for row in chosen], "power", floored=False, generator=np.random.default_rng(0),
        replicates=40,
    )  # fmt: skip
    assert found.rate != fixed.rate
