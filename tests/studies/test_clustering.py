"""Latents are found from strings, by what stands beside them, and not from anything that a learner cannot see."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from prune_lab.experiments.contracts import Indices
from prune_lab.experiments.errors import ConfigError
from prune_lab.experiments.seeds import numpy_stream
from prune_lab.experiments.studies.latents import kmeans
from prune_lab.experiments.studies.latents.clustering import (
    accuracy,
    given,
    learn,
    numbered,
    rand_index,
    recover,
    recover_ari,
)  # fmt: skip
from prune_lab.experiments.studies.latents.contexts import TARGETS, Level, Strings, Target, chances, contexts, points
from prune_lab.experiments.studies.latents.grammar import Grammar
from prune_lab.experiments.studies.latents.kmeans import k_means


def strings(depth: int, number: int, seed: int = 1, **sizes: int) -> list[Indices]:
    return Grammar(depth, **{"vocabulary": 8, "synonyms": 3, "branching": 2} | sizes, seed=seed).sample(number, seed)


def test_with_two_levels_own_latents_and_tokens_are_the_same_target() -> None:
    levels = strings(2, 300)
    assert recover(levels, target="latents", seed=3) == recover(levels, target="tokens", seed=3)


def test_every_level_is_found_from_enough_strings() -> None:
    """8 v m^3 / (1 - f) strings: all of four levels in at least 4 of 5 grammars, for every depth alike."""
    enough = int(8 * 8 * 2**3 / (1 - 2 / 8))
    found = [recover(strings(5, enough, seed, synonyms=2), seed=0) for seed in range(5)]
    assert [len(one) for one in found] == [4] * 5
    assert sum(min(one) == 1 for one in found) >= 4


def test_own_latents_find_the_top_where_tokens_do_not() -> None:
    levels = strings(4, 5000, vocabulary=16, synonyms=4)
    assert min(recover(levels, seed=0)) > 0.95
    assert recover(levels, target="tokens", seed=0)[-1] < 0.7


@pytest.mark.parametrize("target", TARGETS)
def test_with_the_context_of_other_strings_nothing_is_found(target: Target) -> None:
    several = [strings(3, 3000, seed, vocabulary=16, synonyms=4) for seed in range(6)]
    by_chance = [recover_ari(levels, target=target, seed=0, shuffled=True) for levels in several]
    assert np.abs(np.mean(by_chance, axis=0)).max() < 0.04
    levels = several[0]
    assert min(recover_ari(levels, target=target, seed=0)) > 0.5
    assert recover(levels, target=target, seed=0, shuffled=True)[0] > 0.2  # accuracy has a floor, the index has none


@pytest.mark.parametrize("target", TARGETS)
def test_names_of_symbols_do_not_matter(target: Target) -> None:
    levels, draw = strings(3, 500, synonyms=4), np.random.default_rng(0)
    renamed = [draw.permutation(8)[one] for one in levels]
    assert recover(levels, target=target, seed=0) == recover(renamed, target=target, seed=0)


def test_hidden_levels_are_for_scoring_only() -> None:
    levels = strings(3, 400)
    wrong = [levels[0][::-1], *[one.copy() for one in levels[1:]]]
    for one in wrong[1:-1]:
        one[:320] = one[319::-1]
    own, other = (learn(given(one, "latents")[0], target="latents", seed=0) for one in (levels, wrong))
    assert all((one[1] == two[1]).all() for one, two in zip(own, other, strict=True))


def test_held_out_strings_may_be_given() -> None:
    levels, others = strings(3, 800), Grammar(3, 8, 3, 2, seed=1).sample(100, 9)
    both = [np.concatenate(pair) for pair in zip(levels, others, strict=True)]
    assert recover(both, seed=0, held_out=others) == pytest.approx(recover(levels, seed=0, held_out=others), abs=0.2)
    assert len(given(levels, "latents", others)[1][0][0]) == 100


def test_lists_are_as_good_as_arrays() -> None:
    levels, others = strings(2, 300), strings(2, 50, 2)
    plain: list[list[Any]] = [[one.tolist() for one in both] for both in (levels, others)]
    assert recover(plain[0], seed=0, held_out=plain[1]) == recover(levels, seed=0, held_out=others)


def test_three_symbols_a_tuple() -> None:
    assert min(recover(strings(3, 2500, branching=3), seed=0)) > 0.95


# ---- the parts -------------------------------------------------------------------------------------------------------


def test_what_stands_beside_a_tuple_is_counted() -> None:
    tokens = np.array([[0, 2], [1, 1], [2, 0], [0, 0]])  # a column a string: two tuples of two tokens
    ids, below = np.array([[0, 1], [1, 1]]), np.array([[3, 3], [0, 0], [1, 2], [0, 1]])
    level = Level(1, ids, below, Strings(tokens, np.array([1, 0]), 2, 2, (2,)))
    counts = contexts(level, "tokens")  # views: first's second slot 0, 1; second's first slot 0, 1
    assert counts.shape == (2, 4, 3)
    assert counts[0].tolist() == [[0, 0, 1], [1, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert counts[1].tolist() == [[1, 0, 0], [1, 0, 0], [1, 0, 1], [0, 2, 0]]
    assert contexts(level, "tokens", np.array([1]))[1].tolist() == [[1, 0, 0], [1, 0, 0], [0, 0, 1], [0, 1, 0]]
    assert contexts(level, "latents")[0].tolist() == [[0, 1, 0, 0], [1, 0, 0, 0], [0] * 4, [0] * 4]
    assert contexts(level, "labels").tolist() == [[[0, 1], [0, 0]], [[1, 0], [1, 1]]]


def test_a_tuple_that_was_never_in_a_view_stands_at_the_mean() -> None:
    counts = np.array([[[3.0, 1.0], [0.0, 0.0]], [[1.0, 3.0], [2.0, 2.0]]])
    chance = chances(counts)
    assert chance[0].tolist() == [[0.75, 0.25], [0.5, 0.5]]
    stands = points(chance, np.array([4.0, 8.0]))
    assert np.average(stands, axis=0, weights=[4, 8]) == pytest.approx(np.zeros(4))


def test_tuples_are_numbered_by_first_appearance_in_what_is_learned() -> None:
    symbols = np.array([[5, 0, 5], [1, 0, 1], [0, 5, 7], [0, 1, 7]])
    assert numbered(symbols, 2, 2).tolist() == [[0, 1, 0], [1, 0, 2]]


def test_k_means_finds_what_was_planted_and_heeds_weights() -> None:
    draw = np.random.default_rng(0)
    planted = np.repeat(np.arange(6), 10)
    cloud = 5 * np.eye(6)[planted] + 0.1 * draw.standard_normal((60, 6))
    assert accuracy(k_means(cloud, np.ones(60), 6, numpy_stream(0, "a")), planted) == 1
    line, heavy = np.array([[0.0], [1.0], [5.0]]), np.array([1.0, 1.0, 0.001])
    assert len(set(k_means(line, heavy, 2, numpy_stream(0, "a"))[:2])) == 2
    assert len(set(k_means(line, np.ones(3), 2, numpy_stream(0, "a"))[:2])) == 1
    assert len(k_means(line, np.ones(3), 9, numpy_stream(0, "a"))) == 3


def test_of_two_beginnings_the_one_that_ends_better_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(0)

    def inertia(cloud: Any, labels: Any) -> float:
        return sum(float(np.square(cloud[labels == one] - cloud[labels == one].mean(0)).sum()) for one in set(labels))

    for _ in range(40):
        cloud, begin = draw.normal(size=(9, 2)), np.array([draw.permutation(9)[:3] for _ in range(2)])
        ends = []
        for starts in (begin[:1], begin[1:], begin):
            monkeypatch.setattr(kmeans, "_begin", lambda *_, starts=starts: starts)
            ends.append(inertia(cloud, k_means(cloud, np.ones(9), 3, draw, restarts=len(starts))))
        assert ends[2] == pytest.approx(min(ends[:2]))


def test_a_tuple_never_met_counts_as_wrong() -> None:
    true = np.array([[0, 0, 1, 1]])
    assert accuracy(np.array([[1, 1, 0, 0]]), true) == 1
    assert accuracy(np.array([[1, -1, 0, 0]]), true) == 0.75
    assert accuracy(np.array([[-1, -1, 0, 0]]), true) == 0.5


def test_the_index_is_that_of_scikit_learn_where_every_position_has_a_tuple_of_its_own() -> None:
    from sklearn.metrics import adjusted_rand_score

    own, true = np.random.default_rng(0).integers(4, size=(2, 50))
    assert rand_index(np.arange(50), own, true) == pytest.approx(adjusted_rand_score(true, own))
    ids = np.array([0, 0, 1, 1, 2, 2])
    assert rand_index(ids, np.array([0, 0, 0, 0, 1, 1]), np.array([3, 3, 3, 3, 0, 0])) == 1
    assert rand_index(ids, np.array([0, 0, 0, 0, -1, -1]), np.array([3, 3, 3, 3, 0, 0])) == 1
    assert rand_index(ids, np.array([0, 0, -1, -1, -1, -1]), np.array([3, 3, 3, 3, 0, 0])) == 0  # none are joined
    assert rand_index(ids, np.array([0, 0, 1, 1, 2, 2]), ids) == 1  # nothing is to be joined
    assert rand_index(ids, np.zeros(6, int), ids) == 0
    assert rand_index(ids[:2], np.array([-1, -1]), np.array([3, 3])) == 1  # one tuple alone
    assert recover_ari(strings(3, 300), seed=0, held_out=strings(3, 1)) == [1, 1]


# ---- bad input -------------------------------------------------------------------------------------------------------


def test_what_cannot_be_learned_from_is_refused() -> None:
    levels = strings(2, 40)
    with pytest.raises(ConfigError, match=r"6 strings to learn from are fewer than the 8 symbols"):
        recover([one[:7] for one in levels], seed=0)
    lacking = [one[levels[0][:, 0] != 3] for one in levels]
    with pytest.raises(ConfigError, match="class 3 of 8 has no string among the"):
        recover(lacking, target="labels", seed=0)
    assert recover(lacking, target="latents", seed=0)
    with pytest.raises(ConfigError, match="target=words"):
        recover(levels, target="words", seed=0)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="depth 1 has no hidden level"):
        recover(levels[:2], seed=0)
    whole: list[Any] = [levels[::-1], [one * 1.0 for one in levels], [-one for one in levels], levels[-1:], [], None,
                        [levels[0], levels[1][:9], levels[2]], [[[1], [2, 3]]], [one * 10**9 for one in levels],
                        [one[:0] for one in levels]]  # fmt: skip
    for wrong in whole:
        with pytest.raises(ConfigError, match="levels are not those of strings"):
            recover(wrong, seed=0)
        with pytest.raises(ConfigError, match="levels are not those of strings"):
            recover(levels, seed=0, held_out=[] if wrong is None else wrong)
    with pytest.raises(ConfigError, match="one string cannot be both"):
        recover([one[:1] for one in levels], seed=0)
    with pytest.raises(ConfigError, match="seed=None must be a whole number"):
        recover(levels, seed=None)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="another length"):
        recover(levels, seed=0, held_out=strings(3, 40))
