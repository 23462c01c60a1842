"""Scores for a study that trains its own proxies."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from prune_lab.experiments import choices
from prune_lab.experiments.contracts import ScorerChoice
from prune_lab.experiments.errors import ConfigError
from prune_lab.experiments.pruning import by_proxies

TEXT = SimpleNamespace(task=SimpleNamespace(reads="text", name="books"))


def scorer(values: Any) -> Any:
    return SimpleNamespace(name="mine", score=lambda shown: values)


def test_a_score_is_the_mean_over_its_proxies() -> None:
    shown: Any = None
    assert by_proxies.scores(scorer([[1, 2], [3, 6]]), shown).tolist() == [2, 4]
    assert by_proxies.scores(scorer(np.array([1, 2])), shown).tolist() == [1, 2]
    with pytest.raises(ConfigError, match=r"study\.scorer=mine says nothing of some examples"):
        by_proxies.scores(scorer([1, np.nan]), shown)


@pytest.mark.parametrize("name", ["loss", "el2n", "continuation"])
def test_scores_that_read_trained_proxies_are_taken(name: str) -> None:
    by_proxies.check(choices.chosen("scorer", {"name": name}, ScorerChoice), TEXT)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("random", "does not read trained proxies alone"),  # it reads none
        ("aum", "does not read trained proxies alone"),  # it reads what was seen of each example along the way
        ("class_error", "needs classes, and text has none"),
    ],
)
def test_others_are_refused(name: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        by_proxies.check(choices.chosen("scorer", {"name": name}, ScorerChoice), TEXT)
