"""scorer=duplicates: what resembles something that is kept anyway."""

from __future__ import annotations

import numpy as np

from ..choices import choice
from ..contracts import Count, Evidence, Floats, Indices, ProxyRun, ScorerChoice
from ..seeds import derive
from .clusters import centres, unit
from .evidence import runs, shuffled

FIRST = 2.0  # of the first of a cluster, which nothing comes before: the largest cosine distance there is
BLOCK = 1024  # rows of similarities at once


@choice("scorer", "duplicates", source="after SemDeDup, arXiv:2303.09540", version=2)
class Duplicates(ScorerChoice):
    """Cosine distance to the nearest of the own cluster that is kept before it.

    The farthest from the cluster's centre comes first (of a pair the harder one stays, as published), so rule=hard
    drops the closest duplicates and keeps one of each. The paper drops below a distance, this ranks by it. One proxy:
    two may keep different ones of a pair, and the mean of both would drop neither or both.
    """

    higher_means = "more unlike all that is kept"
    clusters: Count = 10  # of k-means on the proxy's features
    nearest: bool = False  # also record which example that is, for prune-lab inspect

    def evidence(self, run: object) -> list[ProxyRun]:
        return runs(1)

    def score(self, evidence: Evidence) -> Floats:
        from ..models.features import penultimate

        order = shuffled(evidence, "duplicates")  # the first of two copies is drawn
        scores = np.empty((len(evidence.proxies), len(order)))
        for number, proxy in enumerate(evidence.proxies):
            directions = unit(penultimate(evidence.task, proxy.model, "train")[order])
            means = centres(directions, self.clusters, seed=derive(evidence.seed, "duplicates", number))
            scores[number, order], nearest = distances_to_earlier(directions, means)
            if self.nearest:
                column = evidence.columns.setdefault("nearest", np.full(len(order), np.nan))
                found = nearest >= 0
                column[order[found]] = order[nearest[found]]
        return scores


def distances_to_earlier(directions: Floats, means: Floats) -> tuple[Floats, Indices]:
    """(N,) by cluster, for unit vectors (N, D) and centres (K, D); of two equally far the lower index comes first.

    And (N,) the index that each distance is to; -1 of the first of a cluster.
    """
    similarity = directions @ means.T
    cluster, nearness = similarity.argmax(1), similarity.max(1)
    scores = np.full(len(directions), FIRST)
    nearest = np.full(len(directions), -1)
    for number in np.unique(cluster):
        members = np.flatnonzero(cluster == number)
        members = members[np.argsort(nearness[members], kind="stable")]
        ordered = directions[members]
        for start in range(0, len(members), BLOCK):
            rows = np.arange(start, min(start + BLOCK, len(members)))
            similar = ordered[rows] @ ordered[: rows[-1] + 1].T
            similar[np.arange(rows[-1] + 1) >= rows[:, None]] = 1 - FIRST  # itself, and what comes after
            scores[members[rows]] = np.clip(1 - similar.max(1), 0, FIRST)
            nearest[members[rows]] = np.where(rows > 0, members[similar.argmax(1)], -1)
    return scores, nearest
