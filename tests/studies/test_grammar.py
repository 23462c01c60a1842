"""The Random Hierarchy Model is exact: one parent a tuple, uniform, the same at every position, and seeded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import chi2_contingency, chisquare

from prune_lab.experiments.errors import ConfigError, DataUnavailable
from prune_lab.experiments.studies.latents.grammar import Grammar

SIZES = [(3, 8, 3, 2, None), (2, 4, 5, 3, 3), (1, 16, 16, 2, 5)]


@pytest.mark.parametrize("sizes", SIZES)
def test_a_tuple_has_one_parent(sizes: tuple[int, int, int, int, int | None]) -> None:
    depth, vocabulary, synonyms, branching, classes = sizes
    grammar = Grammar(depth, vocabulary, synonyms, branching, classes=classes, seed=1)
    assert [len(one) for one in grammar.rules] == [classes or vocabulary, *[vocabulary] * (depth - 1)]
    for rules in grammar.rules:
        assert rules.shape[1:] == (synonyms, branching)
        assert rules.min() >= 0
        assert rules.max() < vocabulary
        assert len(np.unique(rules.reshape(-1, branching), axis=0)) == rules.shape[0] * synonyms


@pytest.mark.parametrize("sizes", SIZES)
def test_every_tuple_of_every_position_is_one_of_its_parents(sizes: tuple[int, int, int, int, int | None]) -> None:
    depth, vocabulary, synonyms, branching, classes = sizes
    grammar = Grammar(depth, vocabulary, synonyms, branching, classes=classes, seed=2)
    levels = grammar.sample(50, 3)
    assert [one.shape for one in levels] == [(50, branching**level) for level in range(depth + 1)]
    for rules, parents, children in zip(grammar.rules, levels, levels[1:], strict=False):
        tuples = children.reshape(50, -1, branching)
        assert (rules[parents] == tuples[:, :, None]).all(-1).any(-1).all()


def test_roots_and_synonyms_are_balanced() -> None:
    grammar = Grammar(3, 8, 4, 2, classes=5, seed=4)
    levels = grammar.sample(20_000, 5)
    assert chisquare(np.bincount(levels[0].ravel())).pvalue > 0.001
    for rules, parents, children in zip(grammar.rules, levels, levels[1:], strict=False):
        tuples = children.reshape(20_000, -1, 2)
        which = (rules[parents] == tuples[:, :, None]).all(-1).argmax(-1)
        for position in range(parents.shape[1]):
            pairs = np.bincount(which[:, position] + 4 * parents[:, position], minlength=4 * len(rules)).reshape(-1, 4)
            there = pairs.sum(1) > 0  # a symbol may be in no tuple of the level above
            assert chisquare(pairs[there], axis=1).pvalue.min() > 0.0001


def test_rules_and_strings_have_seeds_of_their_own() -> None:
    def rules(seed: int) -> list[np.ndarray]:
        return list(Grammar(2, 8, 3, 2, seed=seed).rules)

    np.random.seed(0)  # what a caller does to the global stream changes nothing
    first = Grammar(2, 8, 3, 2, seed=1).sample(30, 7)
    np.random.seed(1)
    again = Grammar(2, 8, 3, 2, seed=1).sample(30, 7)
    other = Grammar(2, 8, 3, 2, seed=1).sample(30, 8)
    assert all((one == two).all() for one, two in zip(first, again, strict=True))
    assert any((one != two).any() for one, two in zip(first, other, strict=True))
    assert all((one == two).all() for one, two in zip(rules(1), rules(1), strict=True))
    assert any((one != two).any() for one, two in zip(rules(1), rules(2), strict=True))


def test_the_baseline_of_the_benchmark_draws_the_same_strings() -> None:
    from benchmarks.latents import walked

    grammar = Grammar(2, 4, 2, 2, seed=0)
    drawn = [np.array(one) for one in (walked(grammar, 3000, 1), grammar.sample(3000, 1)[-1])]
    kinds, number = np.unique(np.concatenate(drawn), axis=0, return_inverse=True)
    counts = np.bincount(np.ravel(number) + len(kinds) * np.repeat([0, 1], 3000)).reshape(2, -1)
    assert len(kinds) == 4 * 2**3
    assert chi2_contingency(counts).pvalue > 0.001


def test_filling_is_the_share_of_tuples_in_use() -> None:
    assert Grammar(2, 16, 4, 2, seed=0).filling == 0.25
    assert Grammar(2, 4, 16, 3, seed=0).filling == 1  # every tuple is in use, and still has one parent


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ({"synonyms": 9, "vocabulary": 8}, r"synonyms=9 gives 8 symbols 72 tuples.*8\^2 = 64.*\n.*at most 8"),
        ({"classes": 30}, r"classes=30 .* need 90 tuples.*\n.*classes of at most 21"),
        ({"classes": 1}, "classes=1 must be a whole number from 2 up"),
        ({"depth": 0}, "depth=0 must be a whole number from 1 up"),
        ({"branching": 1}, "branching=1 must be"),
        ({"branching": True}, "branching=True must be a whole number"),
        ({"seed": None}, "seed=None must be a whole number"),
        ({"synonyms": np.int32(9), "vocabulary": np.int32(8)}, "synonyms=9 gives 8 symbols"),
        ({"vocabulary": np.int32(10_000), "branching": np.int32(5)}, "more than an integer can number"),
        ({"vocabulary": 2.5}, "vocabulary=2.5 must be a whole number"),
        ({"vocabulary": 10_000, "branching": 5}, "more than an integer can number"),
    ],
)
def test_a_grammar_that_cannot_be_is_refused(sizes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Grammar(**{"depth": 2, "vocabulary": 8, "synonyms": 3, "branching": 2, "seed": 0} | sizes)


@pytest.mark.parametrize("number", [0, -1, 2.5, True, "3", None])
def test_a_number_of_strings_is_a_whole_number(number: Any) -> None:
    with pytest.raises(ConfigError, match="must be a whole number from 1 up"):
        Grammar(2, 8, 3, 2, seed=0).sample(number, 1)
    with pytest.raises(ConfigError, match=r"seed=0\.5"):
        Grammar(2, 8, 3, 2, seed=0).sample(1, 0.5)  # type: ignore[arg-type]


def test_grammars_of_other_rules_are_not_equal() -> None:
    assert Grammar(2, 8, 3, 2, seed=1) != Grammar(2, 8, 3, 2, seed=2)


def test_strings_that_do_not_fit_in_memory_are_refused_before_they_are_drawn() -> None:
    with pytest.raises(DataUnavailable, match=r"a string of depth 60 \(2\^60 tokens each\).*\n.*a smaller depth"):
        Grammar(60, 8, 3, 2, seed=0)
    with pytest.raises(DataUnavailable, match="1,000,000,000 strings"):
        Grammar(10, 8, 3, 2, seed=0).sample(10**9, 1)
    with pytest.raises(DataUnavailable, match=r"the rules of 2,147,483,648 tuples a level.*\n.*fewer synonyms"):
        Grammar(2, 2**20, 2**11, 2, seed=0)
