"""The law of shapes: known optima in, known optima out, and intervals that cover them as often as they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from prune_lab.experiments.contracts import Floats
from prune_lab.experiments.errors import ConfigError
from prune_lab.experiments.laws import conditional
from prune_lab.experiments.laws.conditional import Form, fit, held_out

SHAPES = [(0.07, 1.4), (0.1, 3.0), (0.1, 1.0), (0.15, 4.2), (0.15, 1.6), (0.15, 0.6), (0.2, 3.0), (0.2, 1.0),
          (0.2, 0.33), (0.3, 1.75), (0.3, 0.38), (0.4, 1.0)]  # fmt: skip
X, R = np.array(SHAPES).T
TRUTH = {"x_star": 0.17, "r_star": 0.9, "kappa_x": 0.12, "kappa_r": 0.03}


def phi(u: Floats) -> Floats:
    return np.asarray(np.log(u) + 1 / u - 1)


def runs(seeds: int = 1, sizes: int = 2, **changes: float) -> tuple[Floats, Floats, Floats, Floats]:
    """x, r, L and size of every run, without noise."""
    of = TRUTH | changes
    x, r = np.tile(X, seeds * sizes), np.tile(R, seeds * sizes)
    group = np.repeat(np.arange(sizes), seeds * len(X))
    relative = (1 + of["kappa_x"] * phi(x / of["x_star"])) * (1 + of["kappa_r"] * phi(r / of["r_star"]))
    return x, r, (2 - 0.3 * group) * relative, group


def noisy(seed: int, *, spread: float = 0.002, seeds: int = 2) -> tuple[Floats, Floats, Floats, Floats]:
    x, r, L, group = runs(seeds)
    return x, r, L * np.exp(spread * np.random.default_rng(seed).standard_normal(len(L))), group


def named(law: conditional.Fit) -> dict[str, float]:
    return {name: getattr(law, name) for name in TRUTH}


def test_the_papers_coefficients_are_recovered_in_the_form_that_is_identifiable() -> None:
    a, b = (2.697, 0.0974, 0.0078), (0.3870, 0.0063, 0.0065)  # of the fit to 80M, 145M and 297M
    x, r = np.tile(X / 2, 2), np.tile(R, 2)
    lowest = np.repeat([3.0, 2.8], len(X))
    for k in (1.0, 7.0):  # equation 3 does not change
        width, ratio = (k * a[0] + k * a[1] * np.log(x) + k * a[2] / x, (b[0] + b[1] * np.log(r) + b[2] / r) / k)
        found = fit(x, r, width * ratio * lowest, lowest)
        assert found.converged
        assert found.reason == ""
        assert list(named(found).values()) == pytest.approx([0.0801, 1.0317, 0.0382, 0.0160], rel=2e-3)
        assert [found.scales[3.0], found.scales[2.8]] == pytest.approx([3.0084, 2.8078], rel=1e-3)


@pytest.mark.parametrize("form", ["multiplicative", "additive", "joint"])
def test_every_form_is_recovered_from_its_own_losses(form: Form) -> None:
    x, r, L, group = runs(sizes=1)
    if form == "additive":
        L = 2 + 2 * (0.12 * phi(x / 0.17) + 0.03 * phi(r / 0.9))
    if form == "joint":
        L = 2 * (1 + 0.12 * phi(x / 0.17 / (r / 0.9) ** 0.1)) * (1 + 0.03 * phi(r / 0.9))
    found = fit(x, r, L, group, form=form)
    assert (found.x_star, found.r_star) == pytest.approx((0.17, 0.9), rel=1e-3)
    assert found.gamma == pytest.approx(0.1 if form == "joint" else 0, abs=1e-3)
    assert found.predict(x, r) == pytest.approx(L / 2, rel=1e-4)
    others: list[Form] = ["multiplicative", "additive", "joint"]
    residuals = {of: fit(x, r, L, group, form=of).residual for of in others}
    assert residuals[form] < 1e-5
    assert all(residuals[of] > 1e-5 for of in others if of not in (form, "joint"))


def test_aicc_of_one_loss_is_of_the_spread_about_the_mean_of_each_size() -> None:
    x, r, L, group = runs(seeds=2)  # 12 shapes of each of 2 sizes
    logs = np.log(L.reshape(2, -1, len(X))[:, 0])
    squares = ((logs - logs.mean(1, keepdims=True)) ** 2).sum()
    number, parameters = 24, 3  # two means and the noise
    expected = number * np.log(squares / number) + 2 * parameters * number / (number - parameters - 1)
    assert conditional.aicc_of_means(fit(x, r, L, group).shapes) == pytest.approx(expected)
    assert conditional.aicc(1.0, 4, 3) is None


def test_aicc_prefers_the_form_without_what_is_not_there() -> None:
    separate, joint = (fit(*noisy(3), form=form) for form in ("multiplicative", "joint"))
    assert separate.aicc is not None
    assert joint.aicc is not None
    assert separate.aicc < joint.aicc


def test_seeds_of_a_shape_count_once_and_losses_that_are_not_finite_are_left_out() -> None:
    x, r, L, group = noisy(0)
    once = fit(x, r, L, group)
    twice = fit(*(np.tile(one, 2) for one in (x, r, L, group)))
    assert named(twice) == pytest.approx(named(once), rel=1e-6)
    for method in ("bootstrap", "profile", "covariance"):
        one, two = (of.interval(0.9, method=method)["x_star"] for of in (once, twice))
        assert two == pytest.approx(one, rel=1e-4)
    L = np.append(L, [np.nan, np.inf])
    more = fit(np.append(x, [0.9, 0.9]), np.append(r, [1, 1]), L, np.append(group, [0, 0]))
    assert more.shapes.left_out == 2
    assert named(more) == pytest.approx(named(once), rel=1e-9)


@pytest.mark.parametrize("method", ["bootstrap", "profile", "covariance"])
def test_an_interval_covers_the_truth_as_often_as_it_says(method: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditional, "STARTS", (0.4,))
    covered = []
    for seed in range(12 if method == "profile" else 20):
        found = fit(*noisy(seed)).interval(0.9, method=method, resamples=80)
        covered.append([low < TRUTH[name] < high for name, (low, high) in found.items()])
    share = np.mean(covered)
    assert 0.75 < share < 0.99  # 80 draws at 90 %; the bootstrap of 24 shapes is somewhat narrow
    assert np.mean([high / low for low, high in [found["x_star"]]]) < 1.2


def test_a_size_that_was_held_out_is_ranked_and_compared_with_predicting_the_mean() -> None:
    law = fit(*noisy(0))
    x, r, L, _ = runs(sizes=1)
    good = held_out(law, x, r, 0.7 * L)
    assert good.rank > 0.9
    assert good.low <= good.rank <= good.high
    assert good.error < 0.05 * good.mean_error
    assert good.best == 1
    bad = held_out(law, x, r, 1 / L)
    assert bad.rank < -0.9
    assert bad.error > bad.mean_error
    assert bad.best == len(x)
    with pytest.raises(ConfigError, match="2 shapes are held out"):
        held_out(law, x[:2], r[:2], L[:2])


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"x_star": 0.03}, r"not within the shapes: x\* is 0.03"),
        ({"r_star": 9.0}, r"not within the shapes: r\* is 9"),
        ({"kappa_r": 0.0}, "does not curve in r|not within the shapes: r"),
    ],
)
def test_an_optimum_that_the_shapes_do_not_enclose_has_no_interval(changes: dict[str, float], sentence: str) -> None:
    found = fit(*runs(**changes))
    with pytest.raises(ConfigError, match=f"there is no interval: .*({sentence})"):
        found.interval(0.95)


ONE = runs(sizes=1)
REFUSED: list[tuple[tuple[Any, Any, Any, Any], str]] = [
    (tuple(one[:5] for one in ONE), "5 shapes, and the law has 5 parameters"),
    ((np.where(ONE[0] > 0.15, 0.2, 0.1), *ONE[1:]), "2 different x"),
    ((np.linspace(0.1, 0.3, 12), 0.1 / np.linspace(0.1, 0.3, 12), *ONE[2:]), r"r changes as x\^-1 "),
    ((-ONE[0], *ONE[1:]), "must be above 0"),
    ((*ONE[:3], ONE[3][:3]), "every run has one of each"),
    ((*ONE[:2], np.nan * ONE[2], ONE[3]), "0 shapes"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "sentence"), REFUSED)
def test_shapes_that_do_not_determine_the_law_are_refused_with_the_reason(given: Any, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        fit(*given)
