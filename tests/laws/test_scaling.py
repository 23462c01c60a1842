"""Known laws in, known laws out; and the ways in which such fits go wrong do not occur here."""

from __future__ import annotations

import numpy as np
import pytest

from prune_lab.experiments.contracts import Floats
from prune_lab.experiments.laws import scaling
from prune_lab.experiments.laws.intervals import intervals_of

SIZES = np.geomspace(100, 20_000, 8)


def power(x: Floats, *, floor: float = 0.0) -> Floats:
    return np.asarray(floor + 3.0 * x**-0.4)


def exponential(x: Floats, *, floor: float = 0.0) -> Floats:
    return np.asarray(floor + 0.4 * np.exp(-x / 4000.0))


def noisy(y: Floats, seed: int, spread: float = 0.02) -> Floats:
    return np.asarray(y * np.exp(spread * np.random.default_rng(seed).standard_normal(len(y))))


def seeds(y: Floats, seed: int, *, n: int = 3, spread: float = 0.05) -> Floats:
    """(n, P) runs of each point."""
    return np.asarray(y * np.exp(spread * np.random.default_rng(seed).standard_normal((n, len(y)))))


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
    log_size = np.log(SIZES)
    analytic = 0.05 / np.sqrt(3) / np.sqrt(np.sum((log_size - log_size.mean()) ** 2))
    covered, errors = 0, []
    for seed in range(20):
        found = scaling.uncertainty(SIZES, seeds(power(SIZES), seed), "power", floored=False)
        assert found.rate is not None
        assert found.note == ""
        errors.append(found.rate.error)
        covered += found.rate.low <= 0.4 <= found.rate.high
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(analytic, rel=0.25)
    assert covered >= 18


def test_the_band_holds_the_curve_and_the_floor_its_value() -> None:
    law = power(SIZES, floor=0.03)
    found = scaling.uncertainty(SIZES, seeds(law, 0, n=5, spread=0.02), "power", floored=True)
    assert found.floor is not None
    assert found.floor.low < 0.03 < found.floor.high
    assert np.mean((found.low < power(found.grid, floor=0.03)) & (power(found.grid, floor=0.03) < found.high)) > 0.9


def test_a_fit_that_does_not_converge_leaves_no_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling, "EVALUATIONS", 1)
    found = scaling.uncertainty(SIZES, seeds(power(SIZES, floor=0.03), 0), "power", floored=True)
    assert (found.rate, found.floor) == (None, None)
    assert "without one of the seeds there is no fit" in found.note


def test_single_runs_have_no_interval() -> None:
    found = scaling.uncertainty(SIZES, power(SIZES)[None], "power", floored=False)
    assert (found.rate, found.note) == (None, "one run at a point: no interval")


def test_the_envelope_is_chosen_again_without_each_seed() -> None:
    x = np.concatenate([SIZES, SIZES])
    both = seeds(np.concatenate([power(SIZES), power(SIZES)]), 5)
    found = scaling.uncertainty(x, both, "power", floored=False, select=scaling.pareto_envelope)
    assert found.rate is not None
    assert found.rate.low < 0.4 < found.rate.high
    chosen = scaling.pareto_envelope(x, both.mean(0))
    fixed = scaling.uncertainty(x[chosen], both[:, chosen], "power", floored=False)
    assert found.rate != fixed.rate


@pytest.mark.parametrize("n", [3, 5, 10])
def test_the_interval_of_an_envelope_covers_its_exponent(n: int) -> None:
    """Every point is as good as any other, where the choice has most luck; the fit is by least squares."""
    pools, keeps = np.log(1000 * 2.0 ** np.arange(5)), np.log([1, 0.7, 0.5, 0.3])
    x = np.exp(pools[:, None] + keeps).ravel()
    grid = np.log([300, 2000, 16000])

    def fitted(means: Floats) -> Floats:
        rows = scaling.pareto_envelope(x, means)
        law = np.polyfit(np.log(x[rows]), np.log(means[rows]), 1)
        return np.array([-law[0], *np.polyval(law, grid)])

    truth, generator, trials = np.array([0.3, *(np.log(3) - 0.3 * grid)]), np.random.default_rng(n), 200
    covered = np.zeros(4)
    for _ in range(trials):
        noise = generator.normal(0, 0.05, (n, 1)) + generator.normal(0, 0.05, (n, len(x)))
        _, _, low, high = intervals_of(3 * x**-0.3 * np.exp(noise), fitted)
        covered += (low <= truth) & (truth <= high)
    rate, *band = covered / trials
    assert 0.92 <= rate <= 0.99
    assert np.min(band) > 0.88
