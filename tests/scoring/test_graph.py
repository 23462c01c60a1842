"""D2: the graph, the message and the greedy choice."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from prune_lab.experiments import choices
from prune_lab.experiments.contracts import Examples
from prune_lab.experiments.errors import ConfigError
from prune_lab.experiments.scoring import d2 as graph
from prune_lab.experiments.scoring.evidence import Given

from ..scores import score
from ..training.test_evaluation import MemoryTask
from .test_scoring import proxy, three


def test_d2_golden(monkeypatch: pytest.MonkeyPatch) -> None:
    """Points at 0, 1 and 3 hear 1, 0 and 1: 1 + .8/e = 1.294, .8 + 1/e = 1.168, .5 + .8/e^2 = .608.

    With gamma = ln 2 the first takes half of its value from the second, 1.168 - .647 = .521: the third comes before it.
    """
    task = MemoryTask(torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([0, 0, 1]))
    monkeypatch.setattr(graph, "seen", lambda *_: np.array([[1.0, 0.8, 0.5]]))
    scores = score("d2", task, [proxy(nn.Linear(1, 2))], neighbours=1, gamma=math.log(2))
    assert scores.tolist() == [[2, 0, 1]]
    far = score("d2", task, [proxy(nn.Linear(1, 2))], neighbours=1, gamma=50.0)
    assert far.tolist() == [[2, 1, 0]]  # nothing is lost at a distance: the messages' own order


def test_an_example_that_the_proxy_never_saw_has_no_events() -> None:
    cut = proxy(correct=[[1.0, np.nan, 0.0]])
    with pytest.raises(ConfigError, match="all but 1 of the examples"):
        score("d2", three(), [cut], base="forgetting", neighbours=1)


def test_neighbours_are_other_examples_even_where_there_are_copies() -> None:
    points = np.array([[0.0, 0.0], [0.0, 0.0], [3.0, 4.0], [3.0, 5.0]])
    near, distances = graph.nearest(points, 2)
    assert near[:2, 0].tolist() == [1, 0]
    assert near[2].tolist()[0] == 3
    np.testing.assert_allclose(distances[:, 0], [0, 0, 1, 1], atol=1e-6)
    np.testing.assert_allclose(distances[:2, 1], [5, 5], rtol=1e-6)
    with pytest.raises(ConfigError, match=r"scorer\.neighbours=4"):
        graph.nearest(points, 4)


@settings(max_examples=100, deadline=None)
@given(st.integers(2, 40), st.integers(1, 4), st.integers(0, 2**32 - 1), st.booleans())
def test_the_greedy_choice_is_the_plain_one(size: int, neighbours: int, seed: int, ties: bool) -> None:
    """Against the highest value looked up anew at every turn; values below zero give where others lose."""
    draw = np.random.default_rng(seed)
    values = draw.integers(0, 3, size).astype(np.float64) if ties else draw.normal(size=size)
    near = np.stack([draw.permutation(np.delete(np.arange(size), row))[:neighbours] for row in range(size)])
    weights = draw.random(near.shape)
    turns = graph.greedy(values, near, weights)
    left, plain = values.copy(), []
    while len(plain) < size:
        rest = [row for row in range(size) if row not in plain]
        taken = max(rest, key=lambda row: (left[row], -row))
        plain.append(taken)
        for other, weight in zip(near[taken], weights[taken], strict=True):
            left[other] -= weight * left[taken]
    assert np.argsort(-turns).tolist() == plain


@pytest.mark.parametrize("name", ["d2", "duplicates"])
def test_which_of_two_copies_comes_first_is_drawn_by_their_ids(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """20 pairs of copies, one in each of two folders: both folders have their share of firsts."""
    points = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    ids = np.array([f"{label}/{number}" for label in "ab" for number in range(20)])
    model = nn.Linear(4, 2)
    settings = {"neighbours": 1} if name == "d2" else {"clusters": 1}
    monkeypatch.setattr(graph, "seen", lambda *_: np.ones((1, 40)))

    def scored(rows: np.ndarray, seed: int) -> np.ndarray:
        task = MemoryTask(torch.from_numpy(np.tile(points, (2, 1))[rows]), torch.zeros(40, dtype=torch.int64))
        monkeypatch.setattr(MemoryTask, "examples", lambda *_: Examples(points, rows, ids[rows]))
        scorer = choices.get("scorer", name)(**settings)
        scores = np.empty(40)
        scores[rows] = scorer.score(Given(task, [proxy(model)], seed=seed))[0]
        return scores

    plain = [scored(np.arange(40), seed) for seed in range(20)]
    firsts = np.array([(one[:20] > one[20:]).mean() for one in plain])
    assert 0.4 < firsts.mean() < 0.6
    moved = scored(np.random.default_rng(1).permutation(40), 3)
    np.testing.assert_allclose(moved, plain[3], atol=1e-5)
