"""What lies next to something that is kept anyway: semantic duplicates (after SemDeDup, arXiv:2303.09540)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..contracts import Floats, Proxy, Task
from ..seeds import derive
from .features import centres, penultimate, unit

FIRST = 2.0  # of the first of a cluster, which nothing comes before: the largest cosine distance there is
BLOCK = 1024  # rows of similarities at once


def duplicates(task: Task, proxies: Sequence[Proxy], *, clusters: int = 10, seed: int = 0) -> Floats:
    """(proxies, N) cosine distance to the nearest example of the own k-means cluster that comes before it.

    The farthest from the cluster's centre comes first (of a pair the harder one stays, as published), so rule=hard
    drops the closest duplicates and keeps one of each. The paper drops below a distance, this ranks by it.
    """
    rows = []
    for number, proxy in enumerate(proxies):
        directions = unit(penultimate(task, proxy.model, "train"))
        means = centres(directions, clusters, seed=derive(seed, "duplicates", number))
        rows.append(distances_to_earlier(directions, means))
    return np.stack(rows)


def distances_to_earlier(directions: Floats, means: Floats) -> Floats:
    """(N,) by cluster, for unit vectors (N, D) and centres (K, D); of two equally far the lower index comes first."""
    similarity = directions @ means.T
    cluster, nearness = similarity.argmax(1), similarity.max(1)
    scores = np.full(len(directions), FIRST)
    for number in np.unique(cluster):
        members = np.flatnonzero(cluster == number)
        members = members[np.argsort(nearness[members], kind="stable")]
        ordered = directions[members]
        for start in range(0, len(members), BLOCK):
            rows = np.arange(start, min(start + BLOCK, len(members)))
            similar = ordered[rows] @ ordered[: rows[-1] + 1].T
            similar[np.arange(rows[-1] + 1) >= rows[:, None]] = 1 - FIRST  # itself, and what comes after
            scores[members[rows]] = np.clip(1 - similar.max(1), 0, FIRST)
    return scores
