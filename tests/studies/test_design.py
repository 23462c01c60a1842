"""Optimal design: the same picks and variances as plain matrix inversion and brute force; refusals with their mend."""

from __future__ import annotations

import warnings
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from benchmarks import design as plain
from prune_lab.experiments.errors import ConfigError
from prune_lab.experiments.studies.demonstrations.design import (
    Posterior,
    best_subset,
    greedy,
    grown,
    posterior_variance,
)


def drawn(seed: int, points: int = 12, tests: int = 4, width: int = 3) -> tuple[Any, Any, Any]:
    """A pool, test points and a prior."""
    draw = np.random.default_rng(seed)
    root = draw.normal(size=(width, width))
    return draw.normal(size=(points, width)), draw.normal(size=(tests, width)), root @ root.T + 0.1 * np.eye(width)


def inverted(pool: Any, picked: Any, test: Any, noise: float, prior: Any) -> Any:
    """qᵀ (prior⁻¹ + Σ x xᵀ / noise)⁻¹ q, as it is written."""
    information = np.linalg.inv(prior) + sum((np.outer(pool[i], pool[i]) / noise for i in picked), np.zeros_like(prior))
    return np.array([q @ np.linalg.inv(information) @ q for q in test])


@pytest.mark.parametrize("reduce", ["max", "mean"])
@pytest.mark.parametrize("seed", range(3))
def test_greedy_picks_what_inverting_a_matrix_for_each_candidate_picks(seed: int, reduce: Any) -> None:
    pool, test, prior = drawn(seed, points=30, tests=6, width=5)
    fast = greedy(pool, test, 12, noise=0.3, prior=prior, reduce=reduce)
    assert fast.tolist() == plain.picks(pool, test, 12, noise=0.3, prior=prior, reduce=reduce).tolist()
    assert fast.dtype == np.int64
    assert len(set(fast)) == 12


def test_the_variance_is_that_of_the_inverted_matrix() -> None:
    pool, test, prior = drawn(0)
    for picked in ([], [3], [1, 5, 7], [2, 2]):
        expected = inverted(pool, picked, test, 0.25, prior)
        np.testing.assert_allclose(posterior_variance(pool, picked, test, prior=prior), expected, rtol=1e-10)


def test_rank_one_steps_keep_every_variance() -> None:
    pool, test, prior = drawn(1)
    posterior, picked = Posterior(pool, test, noise=0.5, prior=prior), [4, 0, 9, 4]
    for number, pick in enumerate(picked):
        for reduce, word in ((np.max, "max"), (np.mean, "mean")):
            after = [reduce(inverted(pool, [*picked[:number], i], test, 0.5, prior)) for i in range(len(pool))]
            np.testing.assert_allclose(posterior.after(word), after, rtol=1e-9)  # type: ignore[arg-type]
        posterior.label(pick)
        np.testing.assert_allclose(posterior.variances, inverted(pool, picked[: number + 1], test, 0.5, prior))
    assert (posterior.each() <= posterior.variances + 1e-12).all()  # a label harms no test point


def determinant(pool: Any, picked: Any, test: Any, noise: float, prior: Any) -> float:
    """Of the covariance of the labels of the test points."""
    rows = pool[list(picked)]
    spread = np.linalg.inv(np.linalg.inv(prior) + rows.T @ rows / noise)
    return float(np.linalg.det(test @ spread @ test.T + noise * np.eye(len(test))))


def test_information_is_that_of_the_determinants_before_and_after() -> None:
    pool, test, prior = drawn(9)
    posterior, picked = Posterior(pool, test, noise=0.3, prior=prior), list[int]()
    for pick in (5, 2):
        before = determinant(pool, picked, test, 0.3, prior)
        told = [0.5 * np.log(determinant(pool, [*picked, i], test, 0.3, prior) / before) for i in range(len(pool))]
        np.testing.assert_allclose(posterior.after("information"), told, rtol=1e-8)
        posterior.label(pick)
        picked.append(pick)
    chosen = greedy(pool, test, 4, noise=0.3, prior=prior, reduce="information").tolist()
    for number, pick in enumerate(chosen):
        told = [determinant(pool, [*chosen[:number], i], test, 0.3, prior) for i in range(len(pool))]
        assert pick == min((i for i in range(len(pool)) if i not in chosen[:number]), key=told.__getitem__)
    best = best_subset(pool, test, 3, noise=0.3, prior=prior, reduce="information")
    values = {one: determinant(pool, one, test, 0.3, prior) for one in combinations(range(len(pool)), 3)}
    assert tuple(best) == min(values, key=values.__getitem__)


@pytest.mark.parametrize(("reduce", "of"), [("max", np.max), ("mean", np.mean)])
def test_brute_force_tries_every_subset(reduce: Any, of: Any) -> None:
    pool, test, prior = drawn(2, points=7)
    values = {subset: of(inverted(pool, subset, test, 0.25, prior)) for subset in combinations(range(7), 3)}
    best = best_subset(pool, test, 3, prior=prior, reduce=reduce)
    assert tuple(best) == min(values, key=values.__getitem__)
    assert of(posterior_variance(pool, greedy(pool, test, 3, prior=prior, reduce=reduce), test, prior=prior)) >= min(
        values.values()
    ) * (1 - 1e-9)


def test_of_one_test_point_the_maximum_is_the_mean() -> None:
    pool, test, prior = drawn(3, tests=1, points=40)
    assert greedy(pool, test, 9, prior=prior).tolist() == greedy(pool, test, 9, prior=prior, reduce="mean").tolist()


def test_of_equal_points_the_first_is_taken_whatever_is_rounded() -> None:
    pool, test, _ = drawn(4, points=200, width=7)
    twice = np.concatenate([pool, pool[::-1], -pool])
    assert greedy(twice, test, 3).tolist() == greedy(pool, test, 3).tolist()
    assert greedy(np.eye(4), np.eye(4), 4).tolist() == [0, 1, 2, 3]
    turned = np.linalg.qr(np.random.default_rng(0).normal(size=(12, 12)))[0]  # equal but for rounding
    for reduce in ("max", "mean"):
        assert greedy(turned, turned, 12, reduce=reduce).tolist() == list(range(12))  # type: ignore[arg-type]
    assert best_subset(np.eye(4), np.eye(4), 2).tolist() == [0, 1]


@pytest.mark.parametrize("name", ["VTL", "ITL"])
def test_activeft_picks_the_same(name: str) -> None:
    """VTL and ITL (arXiv:2402.15898) label points again. The package needs faiss, too.

    VTL: the mean variance. ITL: the information, of which version 0.1.1 leaves out the noise of the point's own label,
    other than its documentation says.
    """
    torch, module = pytest.importorskip("torch"), pytest.importorskip(f"activeft.acquisition_functions.{name.lower()}")
    pool, test, _ = drawn(8, points=40, tests=8, width=5)
    chosen = getattr(module, name)(target=torch.tensor(test).float(), noise_std=0.5, num_workers=0)
    theirs, _ = chosen.select(8, model=None, dataset=torch.tensor(pool).float())
    posterior = Posterior(pool, test, noise=0.25)
    values = {"VTL": lambda: posterior.after("mean"), "ITL": lambda: posterior.known() / posterior.own}
    assert theirs.tolist() == grown(posterior, 8, values[name], replace=True).tolist()


def test_no_label_at_all_is_a_design() -> None:
    pool, test, _ = drawn(5)
    assert greedy(pool, test, 0).shape == best_subset(pool, test, 0).shape == (0,)
    np.testing.assert_allclose(posterior_variance(pool, [], test), (test**2).sum(1))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"budget": 13}, "pool of 12"),
        ({"budget": -1}, "whole number from 0 to 12"),
        ({"prior": np.diag([1.0, 1.0, 0.0])}, "singular"),
        ({"prior": np.array([[1.0, 0.5, 0], [0, 1, 0], [0, 0, 1]])}, "not symmetric"),
        ({"prior": np.eye(2)}, "3 x 3"),
        ({"noise": 0.0}, "noise=0.25"),
        ({"noise": np.nan}, "noise=0.25"),
        ({"noise": "much"}, "noise=much"),
        ({"noise": np.array([0.1, 0.2])}, "above zero"),
        ({"noise": 1e-13}, "rounding would choose"),
        ({"budget": 2.5}, "budget=2.5.*pool of 12"),
        ({"budget": True}, "budget=True"),
        ({"budget": "2"}, "budget='2'"),
        ({"prior": -np.eye(3)}, "singular"),
        ({"pool": [[1.0, 2.0, 3.0], [1.0]]}, "pool is no table of numbers"),
        ({"test": [["a", "b", "c"]]}, "test is no table of numbers"),
        ({"pool": np.ones((3, 3)) * 1j}, "pool is no table of numbers"),
        ({"pool": np.array([[1.0, np.nan, 0], [1, 2, 3]]), "budget": 1}, "row 0"),
        ({"test": np.array([[1.0, np.inf, 0]])}, "NaN or infinite"),
        ({"test": np.ones((3, 4))}, "4 features"),
        ({"test": np.ones((0, 3))}, "shape"),
        ({"pool": np.ones(3)}, "shape"),
        ({"reduce": "median"}, "criterion"),
    ],
)
def test_what_allows_no_design_is_refused_with_its_mend(changes: dict[str, Any], said: str) -> None:
    pool, test, _ = drawn(0)
    with pytest.raises(ConfigError, match=said) as refused:
        greedy(**({"pool": pool, "test": test, "budget": 2} | changes))
    assert refused.value.mend


def test_too_many_subsets_and_wrong_places_are_refused() -> None:
    pool, test, _ = drawn(0, points=60)
    with pytest.raises(ConfigError, match=r"design\.greedy"):
        best_subset(pool, test, 30)
    for places, said in (([60], "picked=60"), ([3, -1], "picked=-1"), ([1.0], "whole numbers"), ([[1]], "whole"),
                         (np.ones(60, bool), "flatnonzero"), ([[1], [2, 3]], "whole"), (None, "whole")):  # fmt: skip
        with pytest.raises(ConfigError) as refused:
            posterior_variance(pool, places, test)
        assert said in str(refused.value)
    with pytest.raises(ConfigError, match="median"):
        best_subset(pool, test, 2, reduce="median")  # type: ignore[arg-type]


def test_test_points_outside_of_the_span_of_the_pool_are_said() -> None:
    pool, test, prior = drawn(6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        greedy(pool, test, 2, prior=prior)
    pool[:, 2] = 0
    with pytest.warns(UserWarning, match=r"4 of 4 test points are outside") as caught:
        greedy(pool, test, 2)
    largest = (test[:, 2] ** 2).max()  # what the prior leaves of the third feature
    assert f"above {largest:.3g}" in str(caught[0].message)
    assert posterior_variance(pool, np.tile(np.arange(12), 1000), test).max() == pytest.approx(largest, abs=1e-2)


def test_labels_have_no_say() -> None:
    """The same design for features in another unit, with the prior in that unit: only the model counts."""
    pool, test, _ = drawn(7, points=30)
    scale = np.array([10.0, 1.0, 0.1])
    scaled = greedy(pool * scale, test * scale, 6, prior=np.diag(1 / scale**2))
    assert scaled.tolist() == greedy(pool, test, 6).tolist()
    assert greedy(pool * scale, test * scale, 6).tolist() != scaled.tolist()
