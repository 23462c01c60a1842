"""scorer=d2: difficulty and diversity from messages on a graph of nearest neighbours in feature space."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from ..choices import choice
from ..contracts import Count, Evidence, Floats, Indices, ProxyRun, ScorerChoice
from ..errors import ConfigError
from .evidence import runs, seen, shuffled
from .forgetting import events_of


@choice("scorer", "d2", source="arXiv:2310.07931", version=2)
class D2(ScorerChoice):
    """D2: the turn in a greedy choice of hard examples that spares the neighbours of those chosen, the first highest.

    Distances are Euclidean between penultimate features as they are, and each example hears its own nearest neighbours
    (a directed graph), as in the published code's large-scale path. That code also drops a share of the hardest first;
    this does not. The order does not depend on `keep`. One proxy: the mean of several orders is the order of no choice.
    """

    base: Literal["el2n", "forgetting"] = "el2n"  # difficulty that is passed on: EL2N at the end, or forgetting events
    neighbours: Count = 5  # nearest examples that each example looks at
    gamma: Annotated[float, Field(ge=0)] = 0.1  # how fast a neighbour's loss fades with distance

    def fits(self, run: Any) -> None:
        if run.task.reads == "text" and self.base == "forgetting":
            raise ValueError("scorer.base=forgetting needs classes, and text has none: use scorer.base=el2n")

    def evidence(self, run: Any) -> Sequence[ProxyRun]:
        return runs(1, **({"observe": True} if self.base == "forgetting" else {}))

    def score(self, evidence: Evidence) -> Floats:
        """(proxies, N) N - 1 down to 0."""
        from ..models.features import penultimate

        base = seen(evidence, "error") if self.base == "el2n" else events_of(evidence, "most")
        if unseen := int(np.isnan(base).sum()):
            raise ConfigError(f"the proxy trained on all but {unseen} of the examples: no events", "recipe.epochs=1")
        order = shuffled(evidence, "d2")  # the first of equals and of equally near ones is drawn
        turns = np.empty(base.shape)
        for place, proxy in enumerate(evidence.proxies):
            scores = base[place, order]
            near, distances = nearest(penultimate(evidence.task, proxy.model, "train")[order], self.neighbours)
            heard = scores + (np.exp(-distances) * scores[near]).sum(1)
            turns[place, order] = greedy(heard, near, np.exp(-self.gamma * distances))
        return turns


def nearest(features: Floats, neighbours: int) -> tuple[Indices, Floats]:
    """(N, k) the nearest other examples, nearest first, and their distances: exact, in blocks, no N x N matrix."""
    from sklearn.neighbors import NearestNeighbors

    if neighbours >= len(features):
        raise ConfigError(f"scorer.neighbours={neighbours} needs more than the {len(features)} training examples")
    search = NearestNeighbors(n_neighbors=neighbours, algorithm="brute").fit(features.astype(np.float32))
    distances, near = search.kneighbors()  # of the points themselves: none is its own neighbour
    return near.astype(np.int64), distances.astype(np.float64)


def greedy(values: Floats, near: Indices, weights: Floats) -> Floats:
    """(N,) N - 1 for the example taken first, 0 for the last.

    Again and again the highest value is taken, and its neighbours lose their weight's share of it. A changed value
    is pushed anew and the old entry passed over when its turn comes: N log N in all. Of equal values the lower index.
    """
    value, turn = values.tolist(), np.full(len(values), -1.0)
    heap = [(-v, row) for row, v in enumerate(value)]
    heapq.heapify(heap)
    left = len(value)
    while left:
        negative, row = heapq.heappop(heap)
        if turn[row] >= 0 or -negative != value[row]:
            continue
        left -= 1
        turn[row] = left
        for other, weight in zip(near[row].tolist(), weights[row].tolist(), strict=True):
            if turn[other] < 0:
                value[other] -= weight * value[row]
                heapq.heappush(heap, (-value[other], other))
    return turn
