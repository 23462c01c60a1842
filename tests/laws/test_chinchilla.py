"""Known laws of N and D in, known laws out; what a design cannot tell is refused, and a fit that is none says so."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

from prune_lab.experiments.contracts import Floats
from prune_lab.experiments.errors import ConfigError
from prune_lab.experiments.laws import chinchilla, compute_optimal, descent
from prune_lab.experiments.laws.chinchilla import DELTA, fit, profiled

TRUTH = {"E": 1.8, "A": 480.0, "B": 2100.0, "alpha": 0.35, "beta": 0.37}


def law(N: Floats, D: Floats, **changes: float) -> Floats:
    of = TRUTH | changes
    return np.asarray(of["E"] + of["A"] / N ** of["alpha"] + of["B"] / D ** of["beta"])


def design(sizes: int = 7) -> tuple[Floats, Floats]:
    """Each of some N at each of some ratios D / N."""
    N, ratio = np.meshgrid(np.geomspace(5e7, 5e9, sizes), (5.0, 12, 30, 80, 200))
    return N.ravel(), (N * ratio).ravel()


def noisy(losses: Floats, seed: int, spread: float = 0.01) -> Floats:
    return np.asarray(losses * np.exp(spread * np.random.default_rng(seed).standard_t(3, len(losses))))


@pytest.fixture
def one_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulations of a law that is easily found need no search."""
    for name in ("FLOORS", "TERMS", "EXPONENTS"):
        monkeypatch.setattr(chinchilla, name, (0.4,))


def test_an_exact_law_is_recovered_and_its_best_size_is_the_lowest_loss() -> None:
    N, D = design()
    found = fit(N, D, law(N, D))
    assert found.converged
    assert found.reason == ""
    assert {name: getattr(found, name) for name in TRUTH} == pytest.approx(TRUTH, rel=1e-4)
    assert found.exponent == pytest.approx(0.37 / 0.72, rel=1e-4)
    best, tokens = found.optimal(1e21)
    assert best * tokens * 6 == pytest.approx(1e21)
    others = best * np.geomspace(0.5, 2, 101)
    assert others[np.argmin(found.predict(others, 1e21 / 6 / others))] == pytest.approx(best)


def test_the_minimum_is_the_one_of_a_careful_optimiser_and_of_variable_projection() -> None:
    N, D = design()
    L = noisy(law(N, D), 1)
    found = fit(N, D, L)

    def objective(of: Floats) -> tuple[float, Floats]:  # times 1e6, so that its tolerances mean something
        u = np.stack([of[0] + 0 * N, of[1] - of[3] * np.log(N / 1e9), of[2] - of[4] * np.log(D / 1e10)])
        residual = np.log(np.exp(u).sum(0)) - np.log(L)
        share = np.exp(u) / np.exp(u).sum(0)
        slopes = np.stack([*share, -np.log(N / 1e9) * share[1], -np.log(D / 1e10) * share[2]])
        size = np.abs(residual)
        cost = np.where(size <= DELTA, residual**2 / 2, DELTA * (size - DELTA / 2)).sum()
        return 1e6 * cost, 1e6 * slopes @ np.clip(residual, -DELTA, DELTA)

    start = np.array([0.5, -1.2, -0.9, 0.35, 0.37])
    careful = minimize(objective, start, jac=True, method="L-BFGS-B", options={"ftol": 1e-15, "gtol": 1e-9,
                                                                             "maxiter": 5000})  # fmt: skip
    assert found.objective <= careful.fun / 1e6 * (1 + 1e-7)
    assert found.objective == pytest.approx(careful.fun / 1e6, rel=1e-3)
    other = profiled(N, D, L)
    assert other.objective == pytest.approx(found.objective, rel=1e-4)
    assert (other.alpha, other.beta, other.E) == pytest.approx((found.alpha, found.beta, found.E), rel=0.02)


def test_hubers_loss_shrugs_off_what_squares_follow_and_the_highest_may_be_left_out() -> None:
    N, D = design()
    L = law(N, D)
    L[3] *= 1.3
    assert fit(N, D, L).beta == pytest.approx(TRUTH["beta"], rel=0.01)
    L[[0, 1]] *= 3  # the highest
    L[5] = np.nan
    found = fit(N, D, L, exclude_highest=2)
    assert found.points.left_out == 3
    assert len(found.points.L) == len(L) - 3
    assert found.beta == pytest.approx(TRUTH["beta"], rel=0.01)


@pytest.mark.usefixtures("one_start")
def test_the_bootstrap_is_as_wide_as_the_spread_of_fits() -> None:
    N, D = design()
    exponents = [fit(N, D, noisy(law(N, D), seed)).exponent for seed in range(30)]
    errors = [fit(N, D, noisy(law(N, D), seed)).resampled(40)[:, 5].std() for seed in range(3)]
    assert np.mean(errors) == pytest.approx(np.std(exponents), rel=0.4)
    found = fit(N, D, noisy(law(N, D), 0))
    wide, narrow = found.interval(0.95, resamples=40), found.interval(0.5, resamples=40)
    assert wide["E"][0] < narrow["E"][0] < narrow["E"][1] < wide["E"][1]
    twice = fit(*(np.tile(one, 2) for one in (N, D, found.points.L)))
    both = twice.interval(0.95, resamples=40, clusters=np.tile(np.arange(len(N)), 2))
    assert both["alpha"] == pytest.approx(wide["alpha"], rel=1e-5)  # a copy of every run adds nothing
    assert np.ptp(twice.interval(0.95, resamples=40)["alpha"]) < 0.9 * np.ptp(wide["alpha"])


def test_a_fit_that_stopped_early_says_so_and_gives_no_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    N, D = design()
    L = noisy(law(N, D), 1)
    good = fit(N, D, L)
    monkeypatch.setattr(chinchilla, "minimise", partial(descent.minimise, steps=3))
    early = fit(N, D, L)
    assert not early.converged
    with pytest.raises(ConfigError, match="the fit did not converge"):
        early.interval(0.95)
    monkeypatch.setattr(chinchilla, "minimise", partial(descent.minimise, steps=1))
    with pytest.raises(ConfigError, match="of 20 resamples have no converged fit"):
        good.interval(0.95, resamples=20)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [({"E": 0.0}, "the term E is at its bound"), ({"A": 0.0}, "A / N"), ({"beta": -0.1, "B": 0.1}, "beta is|bound")],
)
def test_a_law_at_its_bound_says_so_and_gives_no_interval(changes: dict[str, float], sentence: str) -> None:
    N, D = design()
    found = fit(N, D, law(N, D, **changes))
    assert found.reason
    with pytest.raises(ConfigError, match=f"there is no interval: .*({sentence})"):
        found.interval(0.95)


N, D = design()
REFUSED: list[tuple[tuple[Any, Any, Any], str]] = [
    ((N, 20 * N, law(N, 20 * N)), r"D is 20 N in every run: .* cannot tell"),
    ((N, N**1.2, law(N, N**1.2)), r"D grows as N\^1.2 in every run"),
    ((N[:5], D[:5], law(N[:5], D[:5])), r"5 different \(N, D\), and the law has 5 parameters"),
    ((np.where(N > 1e9, 2e9, 1e8), D, law(N, D)), "2 different N"),
    ((N, D, law(N, D)[:-1]), "every run has one of each"),
    ((N, -D, law(N, D)), "above 0"),
    ((N, D, 0 * N), "above 0"),
    ((N, D, np.nan * N), r"0 different \(N, D\)"),
]  # fmt: skip


@pytest.mark.parametrize(("runs", "sentence"), REFUSED)
def test_runs_that_do_not_determine_the_law_are_refused_with_the_reason(runs: Sequence[Floats], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        fit(*runs)


def isoflop(offset: float = 0.0) -> tuple[Floats, Floats, Floats]:
    """Nine sizes around the best one, or beside it, at each of four levels of compute."""
    levels = np.array([1e19, 1e20, 1e21, 1e22])
    best = 0.1 * levels**0.5 * np.exp(offset)
    N, C = (best[:, None] * np.geomspace(1 / 3, 3, 9)).ravel(), np.repeat(levels, 9)
    L = 2 + 0.1 * (np.log(N) - np.log(0.1 * C**0.5)) ** 2 - 0.05 * np.log10(C / 1e19)
    return N, C, L


def test_growth_with_compute_is_found_from_lowest_losses_and_from_parabolas() -> None:
    N, C, L = isoflop()
    for of in (compute_optimal.lowest_losses, compute_optimal.parabolas):
        found = of(N, C, L, [1e19, 1e20, 1e21, 1e22, 1e23])
        assert (found.exponent, found.scale) == pytest.approx((0.5, 0.1), rel=1e-6)
        assert found.left_out == (1e23,)
        low, high = of(N, C, noisy(L, 2), [1e19, 1e20, 1e21, 1e22]).interval(0.9, resamples=50)
        assert low < 0.5 < high
        assert high - low < 0.4
    with pytest.raises(ConfigError, match="0 of 4 levels of compute have a best size"):
        compute_optimal.parabolas(*isoflop(2.0), [1e19, 1e20, 1e21, 1e22])
