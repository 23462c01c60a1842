"""What the diversity-based selections share: an order in which examples are chosen, each for what it adds."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..contracts import Evidence, Floats, Indices, Proxy
from ..errors import ConfigError
from .evidence import shuffled

Within = Literal["class", "everything"]
Order = Callable[[Floats], Indices]  # (n, D) features -> (n,) places, the first chosen first
MOST = 20_000  # examples whose similarities are held in memory at once: 1.6 GB


def classes_or_all(name: str, run: Any, within: Within) -> None:
    """Refuse a choice within classes where there are none."""
    if within == "class" and run.task.reads == "text":
        raise ValueError(f"scorer={name} chooses within each class, and text has none: use scorer.within=everything")


def scores_by_order(
    evidence: Evidence, features_of: Callable[[Proxy], Floats], order: Order, within: Within, name: str
) -> Floats:
    """(proxies, N) 1 for the first chosen of its class (or of all), down to 0: rule=hard keeps as much of each."""
    turn, labels = shuffled(evidence, name), evidence.task.labels("train")
    if within == "class" and labels is not None:
        groups = [turn[labels[turn] == label] for label in np.unique(labels)]
    else:
        groups = [turn]
    rows = []
    for proxy in evidence.proxies:
        features, scores = features_of(proxy), np.empty(len(turn))
        for group in groups:  # in a random order: equals are chosen at random
            scores[group[order(features[group])]] = 1 - np.arange(len(group)) / len(group)
        rows.append(scores)
    return np.stack(rows)


def penultimate_of(evidence: Evidence) -> Callable[[Proxy], Floats]:
    """The features that a proxy's head reads."""
    from ..models.features import penultimate

    return lambda proxy: penultimate(evidence.task, proxy.model, "train")


def similarities(number: int) -> None:
    """Refuse more examples than their similarities fit into memory."""
    if number > MOST:
        what = f"the similarities of {number:,} examples do not fit into memory; at most {MOST:,} of a class do"
        raise ConfigError(what, f"scorer.within=class, or task.examples={MOST}")


def coverage(similarity: NDArray[np.floating[Any]]) -> Indices:
    """(n,) the greedy order of facility location, the sum over all examples of the largest similarity to a chosen one.

    Lazy (Minoux 1978): a gain never grows, so that an old one is a bound. Similarities (n, n) are at least 0.
    """
    best = np.zeros(len(similarity), dtype=similarity.dtype)
    heap = [(-float(gain), place) for place, gain in enumerate(similarity.sum(0))]
    heapq.heapify(heap)
    chosen: list[int] = []
    while heap:
        _, place = heapq.heappop(heap)
        gain = float(np.maximum(similarity[:, place] - best, 0).sum())
        if heap and -heap[0][0] > gain * (1 + 1e-6) + 1e-9:
            heapq.heappush(heap, (-gain, place))
            continue
        chosen.append(place)
        np.maximum(best, similarity[:, place], out=best)
    return np.array(chosen)


def argbest(values: Floats, free: Sequence[bool] | Any) -> int:
    """The place of the largest value among those that are free."""
    return int(np.argmax(np.where(free, values, -np.inf)))
