"""The diversity-based selections: the order of each by brute force on its objective, and their scores end to end."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from prune_lab.experiments.contracts import Floats, Indices, Proxy
from prune_lab.experiments.scoring import craig, facility_location, graph_cut, greedy, herding, k_center
from prune_lab.experiments.scoring.clusters import unit

from ..scores import score
from ..training.test_evaluation import MemoryTask

Objective = Callable[[Floats, list[int]], float]


def cosine(features: Floats) -> Floats:
    directions = unit(features)
    return 1 + directions @ directions.T


def covered(similarity: Floats, chosen: list[int]) -> float:
    return float(similarity[:, chosen].max(1).sum())


def gradient_similarity(features: Floats) -> Floats:
    distance = np.linalg.norm(features[:, None] - features, axis=2)
    return np.asarray(distance.max() - distance)


OBJECTIVES: dict[str, tuple[Callable[[Floats], Indices], Objective]] = {
    "facility_location": (facility_location.covering, lambda f, s: covered(cosine(f), s)),
    "craig": (craig.covering, lambda f, s: covered(gradient_similarity(f), s)),
    "graph_cut": (
        lambda f: graph_cut.cutting(f, 2.0),
        lambda f, s: float(2 * cosine(f)[:, s].sum() - cosine(f)[np.ix_(s, s)].sum()),
    ),
    "herding": (herding.nearest_mean, lambda f, s: -float(np.linalg.norm(f.mean(0) - f[s].mean(0)))),
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_each_next_example_is_the_best_of_all_that_are_left(name: str) -> None:
    order, objective = OBJECTIVES[name]
    features = np.random.default_rng(3).normal(size=(24, 3))
    chosen = [int(one) for one in order(features)]
    assert sorted(chosen) == list(range(24))
    for step in range(12):
        before = chosen[:step]
        values = {one: objective(features, [*before, one]) for one in range(24) if one not in before}
        assert values[chosen[step]] == pytest.approx(max(values.values()), rel=1e-5)


def test_k_center_takes_the_farthest_from_the_chosen() -> None:
    features = np.array([[0.0], [1.0], [10.0], [5.2], [4.0]])  # the mean is 4.04
    assert list(k_center.farthest(features)) == [4, 2, 0, 3, 1]


def test_coverage_is_near_that_of_the_best_subset_and_above_a_random_one() -> None:
    features = np.random.default_rng(4).normal(size=(200, 5))
    similarity, rng = cosine(features), np.random.default_rng(5)
    best = covered(similarity, list(facility_location.covering(features)[:20]))
    assert all(best > covered(similarity, list(rng.choice(200, 20, replace=False))) for _ in range(20))


def test_more_similarities_than_memory_holds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(greedy, "MOST", 3)
    with pytest.raises(Exception, match=r"of 4 examples .*at most 3"):
        facility_location.covering(np.ones((4, 2)))


@pytest.mark.parametrize("name", ["k_center", "herding", "facility_location", "graph_cut", "craig"])
def test_every_class_is_chosen_from_alike(name: str) -> None:
    labels = torch.tensor([0, 1, 1, 0, 1, 1, 1])
    rows = torch.randn(7, 2, generator=torch.Generator().manual_seed(0))
    scores = score(name, MemoryTask(rows, labels), [Proxy(nn.Linear(2, 2).eval(), {})])[0]
    for label in (0, 1):
        own = scores[labels.numpy() == label]
        assert sorted(own) == pytest.approx([(k + 1) / len(own) for k in range(len(own))])
