from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from prune_lab.experiments.contracts import Indices
from prune_lab.experiments.errors import ConfigError
from prune_lab.experiments.pruning.rules.beta import beta_parameters
from prune_lab.experiments.pruning.select import select as select_by
from prune_lab.experiments.pruning.select import tied
from prune_lab.experiments.seeds import turns

from ..scores import rule as rule_of

RULES = ("hard", "easy", "middle", "random", "stratified")  # beta and quota need more than scores
keeps = st.one_of(st.floats(0.001, 1.0), st.sampled_from([0.1, 0.25, 0.5, 0.75, 1.0]))
seeds = st.integers(0, 2**32 - 1)


def select(
    scores: Any, keep: float, *, rule: str, drop_hardest: float | None = None, ids: Any = None, seed: int = 0,
    labels: Any = None, **given: Any
) -> Indices:  # fmt: skip
    settings = {} if drop_hardest is None else {"drop_hardest": drop_hardest}
    ids = [str(place) for place in range(len(scores))] if ids is None else ids
    return select_by(scores, keep, rule=rule_of(rule, **settings), labels=labels, ids=ids, seed=seed, **given)


def stream(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@st.composite
def pools(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Scores (N,) and labels (N,)."""
    size = draw(st.integers(1, 80))
    generator = stream(draw(seeds))
    scores = generator.permutation(size).astype(np.float64) ** 1.5 - 3
    if draw(st.booleans()):
        scores = generator.integers(0, 5, size).astype(np.float64)
    return scores, generator.integers(0, draw(st.integers(1, 6)), size)


@pytest.mark.parametrize(
    ("rule", "keep", "kept"),
    [
        ("hard", 0.5, [1, 3, 5]),
        ("easy", 0.5, [0, 2, 4]),
        ("middle", 0.5, [1, 4, 5]),  # ranks 1, 2, 3 of hardest-first 3 1 5 4 2 0: the harder of two equal windows
        ("middle", 2 / 6, [4, 5]),
        ("hard", 0.01, [3]),
        ("hard", 1.5 / 6, [1, 3]),  # half an example rounds up
        ("hard", 1.49 / 6, [3]),
    ],
)
def test_golden(rule: str, keep: float, kept: list[int]) -> None:
    scores = np.array([0.0, 8.0, 1.0, 9.0, 2.0, 7.0])
    assert select(scores, keep, rule=rule).tolist() == kept


def test_which_of_equal_scores_are_kept_is_drawn_and_never_by_the_order_of_files() -> None:
    """Four classes in four folders, 40 % of each flagged: by file order hard would keep 35, 38, 35 and none of them."""
    labels = np.repeat(np.arange(4), 90)
    flags = np.tile(np.arange(90) < 36, 4).astype(np.float64)
    kept = [select(flags, 0.3, rule="hard", labels=labels, seed=seed) for seed in range(200)]
    assert all(flags[one].all() for one in kept)
    by_class = np.array([np.bincount(labels[one], minlength=4) for one in kept])  # 108 of 144: hypergeometric
    np.testing.assert_allclose(by_class.mean(0), 27, atol=0.6)
    np.testing.assert_allclose(by_class.std(0), np.sqrt(108 * 0.25 * 0.75 * 36 / 143), rtol=0.2)
    assert tied(flags, kept[0]) == (108, 144)
    assert tied(flags, kept[0][flags[kept[0]] > 1]) == (0, 0)
    assert len({one.tobytes() for one in kept}) == 200


def test_ties_are_counted_at_the_threshold_alone_and_with_balance_by_class() -> None:
    scores, labels = np.array([9.0, 5, 5, 5, 1, 9, 5, 5]), np.array([0, 0, 0, 0, 0, 1, 1, 1])
    assert tied(scores, np.array([0, 1, 5, 6])) == (2, 5)  # both nines are kept: only the fives were drawn
    assert tied(scores, np.array([0, 1, 2, 3, 5, 6, 7])) == (0, 0)
    assert tied(scores, np.array([0, 1, 2, 3, 5]), labels) == (0, 0)  # of each class all fives, or none
    assert tied(scores, np.array([0, 1, 2, 3, 5])) == (3, 5)


def test_random_is_a_prefix_of_the_order_that_seed_and_ids_draw() -> None:
    ids = [f"train/{place:05}" for place in range(100)]
    expected = np.flatnonzero(turns(7, "prune", ids) < 30)
    assert select(None, 0.3, rule="random", seed=7, ids=ids).tolist() == expected.tolist()
    by_scores = select(np.full(100, np.nan), 0.3, rule="random", seed=7, ids=ids)
    assert by_scores.tolist() == expected.tolist()  # scores do not matter to it


@settings(max_examples=150, deadline=None)
@given(pools(), keeps, st.sampled_from(RULES), st.floats(0, 1), seeds)
def test_kept_are_sorted_unique_int64_and_as_many_as_asked(pool, keep, rule, balance, seed) -> None:
    scores, labels = pool
    kept = select(scores, keep, rule=rule, labels=labels, seed=seed, balance=balance)
    assert kept.dtype == np.int64
    assert kept.size == max(1, int(keep * scores.size + 0.5 + 1e-9))
    assert (np.diff(kept) > 0).all()
    assert kept[0] >= 0
    assert kept[-1] < scores.size


@settings(max_examples=100, deadline=None)
@given(pools(), keeps, keeps, st.sampled_from(RULES), seeds)
def test_kept_sets_are_nested_in_keep(pool, one, other, rule, seed) -> None:
    scores, _ = pool
    small, large = (select(scores, k, rule=rule, seed=seed) for k in sorted((one, other)))
    assert set(small) <= set(large)


@settings(max_examples=100, deadline=None)
@given(pools(), keeps, st.sampled_from((*RULES, "beta", "quota")), st.floats(0, 1), seeds)
def test_permuting_the_data_set_permutes_the_kept(pool, keep, rule, balance, seed) -> None:
    """Ties included, and whatever is drawn: an example is known by its id."""
    scores, labels = pool
    scores = scores - scores.min()  # beta and quota take no negative ones
    permutation, ids = stream(seed).permutation(scores.size), np.array([f"{place}.png" for place in range(scores.size)])

    def kept(rows: np.ndarray) -> list[int]:
        probability = {"probability": 1 / (2 + scores[rows])} if rule == "beta" else {}
        given = {"rule": rule, "labels": labels[rows], "ids": ids[rows], "balance": balance, "seed": seed}
        return sorted(rows[select(scores[rows], keep, **given, **probability)])

    assert kept(permutation) == kept(np.arange(scores.size))


@settings(max_examples=150, deadline=None)
@given(pools(), keeps, st.sampled_from(RULES), st.floats(0, 1), seeds)
def test_every_class_keeps_its_quota(pool, keep, rule, balance, seed) -> None:
    scores, labels = pool
    kept = select(scores, keep, rule=rule, labels=labels, seed=seed, balance=balance)
    for label in np.unique(labels):
        assert (labels[kept] == label).sum() >= int(balance * keep * (labels == label).sum())


@settings(max_examples=50, deadline=None)
@given(pools(), st.sampled_from(RULES), st.floats(0, 1))
def test_keeping_everything_keeps_everything(pool, rule, balance) -> None:
    scores, labels = pool
    kept = select(scores, 1.0, rule=rule, labels=labels, balance=balance)
    assert kept.tolist() == list(range(scores.size))


@settings(max_examples=50, deadline=None)
@given(pools())
def test_hard_and_easy_halves_are_complementary(pool) -> None:
    scores = pool[0] if pool[0].size % 2 == 0 else np.append(pool[0], 100.0)
    hard = select(scores, 0.5, rule="hard")
    easy = select(scores, 0.5, rule="easy")
    assert sorted([*hard, *easy]) == list(range(scores.size))


def published_budgets(sizes: np.ndarray, total: int) -> np.ndarray:
    """CCS's allocation as its code has it: bins from the smallest, each an equal share of the rest, rounded down."""
    budgets, rest = np.zeros_like(sizes), total
    for turn, place in enumerate(np.argsort(sizes, kind="stable")):
        budgets[place] = min(sizes[place], rest // (len(sizes) - turn))
        rest -= budgets[place]
    return budgets


@settings(max_examples=100, deadline=None)
@given(st.integers(2, 400), keeps, st.sampled_from([0.0, 0.1, 0.3]), seeds)
def test_stratified_is_the_published_allocation_and_drops_the_hardest(size, keep, drop, seed) -> None:
    scores = stream(seed).exponential(size=size) - 0.5
    keep = min(keep, 1 - drop)
    kept = select(scores, keep, rule="stratified", seed=seed, drop_hardest=drop)
    dropped = np.argsort(-scores)[: int(drop * size + 1e-9)]
    assert not set(kept) & set(dropped)
    left = np.delete(scores, dropped)
    edges = np.linspace(left.min(), left.max(), 51)
    sizes = np.histogram(left, edges)[0]
    budgets, published = np.histogram(scores[kept], edges)[0], published_budgets(sizes, kept.size)
    assert sorted(zip(sizes, budgets, strict=True)) == sorted(zip(sizes, published, strict=True))


def test_stratified_golden() -> None:
    scores = np.array([0.0] * 10 + [50.0] * 3 + [100.0] * 2 + [1000.0])  # bins of 10, 3 and 2 once the last is dropped
    kept = select(scores, 0.5, rule="stratified", drop_hardest=1 / 16)
    assert [int((scores[kept] == value).sum()) for value in (0.0, 50.0, 100.0, 1000.0)] == [3, 3, 2, 0]
    again = select(scores, 0.5, rule="stratified", seed=1, drop_hardest=1 / 16)
    assert again.tolist() != kept.tolist()  # random within a bin


def test_stratified_bins_survive_huge_and_equal_scores() -> None:
    kept = select(np.full(10, 3.0), 0.5, rule="stratified")
    assert kept.size == 5
    kept = select(np.array([-1e300, 1e300, 0.0, 5e299]), 0.5, rule="stratified")
    assert kept.size == 2


def test_balance_golden() -> None:
    scores = np.arange(12.0)
    labels = np.array([0] * 8 + [1] * 4)  # class 1 holds the four hardest

    def kept(balance: float) -> list[int]:
        return select(scores, 0.5, rule="hard", labels=labels, balance=balance).tolist()

    assert kept(0.0) == [6, 7, 8, 9, 10, 11]
    assert kept(0.5) == [6, 7, 8, 9, 10, 11]  # quotas 2 and 1 are already met
    assert kept(1.0) == [4, 5, 6, 7, 10, 11]  # 4 of 8 and 2 of 4
    middle = select(scores, 0.5, rule="middle", labels=labels, balance=1.0)
    assert middle.tolist() == [2, 3, 4, 5, 9, 10]  # each class's own central window


def test_a_quota_that_rounds_down_leaves_the_rest_to_the_global_order() -> None:
    scores, labels = np.arange(9.0), np.array([0, 1, 2] * 3)
    kept = select(scores, 5 / 9, rule="hard", labels=labels, balance=1.0)
    assert kept.tolist() == [4, 5, 6, 7, 8]  # floor(5/9 * 3) = 1 each (6, 7, 8), then 5 and 4


def test_products_a_hair_below_a_whole_number_count_as_it() -> None:
    labels = np.zeros(100, dtype=np.int64)
    kept = select(np.arange(100.0), 0.29, rule="hard", labels=labels, balance=1.0)
    assert kept.size == 29
    kept = select(np.arange(100.0), 0.71, rule="stratified", drop_hardest=0.29)
    assert kept.tolist() == list(range(71))


@pytest.mark.parametrize("keep", [0.0, -0.5, 1.01, float("nan")])
def test_a_wrong_keep_is_refused(keep: float) -> None:
    with pytest.raises(ConfigError, match="keep="):
        select(np.arange(4.0), keep, rule="hard")


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_scores_that_cannot_be_ranked_are_refused(wrong: float) -> None:
    with pytest.raises(ConfigError, match="1 of 3 scores"):
        select(np.array([1.0, wrong, 2.0]), 0.5, rule="hard")


def test_settings_that_would_be_ignored_or_cannot_hold_are_refused() -> None:
    scores, labels = np.arange(10.0), np.array([0] * 5 + [1] * 5)
    with pytest.raises(ValidationError, match="drop_hardest"):
        rule_of("hard", drop_hardest=0.1)
    with pytest.raises(ConfigError, match="leaves 5 of 10"):
        select(scores, 0.6, rule="stratified", drop_hardest=0.5)
    with pytest.raises(ConfigError, match="group 1 2 examples, rule=stratified leaves it 0 of 5"):
        select(scores, 0.5, rule="stratified", labels=labels, drop_hardest=0.5, balance=1.0)
    with pytest.raises(ConfigError, match="there are none"):
        select(scores, 0.5, rule="hard", balance=0.5)
    with pytest.raises(ConfigError, match="balance=2"):
        select(scores, 0.5, rule="hard", labels=labels, balance=2.0)
    with pytest.raises(ValidationError, match="drop_hardest"):
        rule_of("stratified", drop_hardest=1.0)
    with pytest.raises(ConfigError, match="no examples"):
        select(np.zeros(0), 0.5, rule="hard")


def test_wrong_shapes_are_our_own_mistakes() -> None:
    with pytest.raises(AssertionError):
        select(None, 0.5, rule="hard", ids=["a", "b"])
    with pytest.raises(AssertionError):
        select(np.arange(4.0), 0.5, rule="hard", ids=["a", "b"])
    with pytest.raises(AssertionError):
        select(np.arange(4.0), 0.5, rule="hard", labels=np.zeros(5, dtype=np.int64))


# ---- beta and quota --------------------------------------------------------------------------------------------------


def draw(scores: list[float], probability: list[float], keep: float, seed: int = 0) -> list[int]:
    """What rule=beta keeps."""
    given_scores, given_probability = np.array(scores), np.array(probability)
    return select(given_scores, keep, rule="beta", seed=seed, probability=given_probability).tolist()


@pytest.mark.parametrize(
    ("keep", "alpha", "beta"),
    [(1.0, 7.0, 9.0), (0.5, 7.5625, 8.4375), (0.1, 12.9049, 3.0951)],  # 15 * 0.6 * (1 - r^4), r = 0, 0.5, 0.9
)
def test_the_beta_moves_from_the_hard_to_the_easy_as_more_is_dropped(keep: float, alpha: float, beta: float) -> None:
    probability = np.array([0.3, 0.5] * 5 + [0.9, 0.9])  # mean 0.4 over the ten top scores
    found = beta_parameters(np.arange(12.0)[::-1], probability, keep)
    assert found == pytest.approx((alpha, beta))


def test_beta_draws_in_proportion_to_density_times_score() -> None:
    kept = [draw([1.0, 2.0, 3.0, 4.0], [0.5] * 4, 0.25, seed)[0] for seed in range(2000)]
    np.testing.assert_allclose(np.bincount(kept) / 2000, [0.1, 0.2, 0.3, 0.4], atol=0.04)
    # mu = 0.5 and r = 0.5 give the exponents 7.96875 and 6.03125: the odds of 0.75 are 3^7.96875 / 3^6.03125 = 8.40
    kept = [draw([1.0, 1.0], [0.25, 0.75], 0.5, seed)[0] for seed in range(2000)]
    assert np.mean(kept) == pytest.approx(8.40 / 9.40, abs=0.03)


def test_beta_keeps_the_uncertain_of_much_and_the_easy_of_little() -> None:
    probability = np.linspace(0.02, 0.99, 1000)
    scores = probability * (1 - probability) ** 1.5  # DUAL's shape: highest near 0.4
    many, few = (probability[select(scores, keep, rule="beta", probability=probability)] for keep in (0.5, 0.05))
    assert np.mean(many) < 0.5
    assert np.mean(few) > 0.7


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 60), keeps, seeds)
def test_beta_is_a_draw_without_replacement_that_the_seed_alone_decides(size: int, keep: float, seed: int) -> None:
    scores, probability = stream(seed).random((2, size))
    scores[::3] = 0.0
    probability[::4] = 1.0  # where the density is infinite
    kept = draw(scores.tolist(), probability.tolist(), keep, seed)
    assert kept == draw(scores.tolist(), probability.tolist(), keep, seed)
    assert len(set(kept)) == len(kept) == max(1, int(keep * size + 0.5 + 1e-9))


CLASSES = np.array([0] * 8 + [1] * 4 + [2] * 2)
ERRORS = np.array([0.5, 0.25, 1.0])[CLASSES]


@pytest.mark.parametrize(
    ("kept", "quotas"),
    [(7, [4, 1, 2]), (11, [7, 2, 2]), (14, [8, 4, 2]), (1, [1, 0, 0])],  # shares 4 : 1 : 2, a full class passes on
)
def test_quotas_are_proportional_to_error_and_capped(kept: int, quotas: list[int]) -> None:
    chosen = select(ERRORS, kept / 14, rule="quota", labels=CLASSES)
    assert np.bincount(CLASSES[chosen], minlength=3).tolist() == quotas


def test_quotas_are_filled_at_random_nested_and_with_faultless_classes_last() -> None:
    def chosen(kept: int, seed: int) -> set[int]:
        errors = np.where(CLASSES == 0, 0.0, ERRORS)
        return set(select(errors, kept / 14, rule="quota", labels=CLASSES, seed=seed).tolist())

    assert len({tuple(sorted(chosen(3, seed))) for seed in range(30)}) == 4  # 12 and 13, and any of class 1
    assert chosen(3, 0) < chosen(6, 0) == {8, 9, 10, 11, 12, 13} < chosen(9, 0)
    even = select(ERRORS * (CLASSES > 0), 0.5, rule="quota", labels=CLASSES, balance=1.0)
    assert np.bincount(CLASSES[even]).tolist() == [4, 2, 1]


def test_beta_and_quota_say_what_they_lack() -> None:
    with pytest.raises(ConfigError, match="scorer=dual"):
        select(np.arange(4.0), 0.5, rule="beta")
    with pytest.raises(ConfigError, match="needs classes"):
        select(np.arange(4.0), 0.5, rule="quota")
