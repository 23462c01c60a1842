"""scorer=k_center: examples in the order in which they cover the features, the farthest from the chosen next."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..choices import choice
from ..contracts import Evidence, Floats, Indices, ScorerChoice
from .evidence import Proxies
from .greedy import Within, argbest, classes_or_all, penultimate_of, scores_by_order


@choice("scorer", "k_center", source="arXiv:1708.00489")
class KCenter(ScorerChoice):
    """The turn in which k-center greedy chooses an example: next the one farthest from all that are chosen.

    Euclidean distance of a proxy's penultimate features, from the example nearest to the mean on. rule=hard keeps the
    first.
    """

    higher_means = "chosen earlier"
    within: Within = "class"  # an order of each class, or one of everything
    proxies: Proxies = 1  # models that are trained to judge the examples

    def fits(self, run: Any) -> None:
        classes_or_all(self.name, run, self.within)

    def score(self, evidence: Evidence) -> Floats:
        return scores_by_order(evidence, penultimate_of(evidence), farthest, self.within, self.name)


def farthest(features: Floats) -> Indices:
    """(n,) places by k-center greedy of features (n, D)."""
    free, order = np.ones(len(features), dtype=bool), []
    place = int(np.argmin(np.square(features - features.mean(0)).sum(1)))
    distance = np.full(len(features), np.inf)
    for _ in range(len(features)):
        order.append(place)
        free[place] = False
        distance = np.minimum(distance, np.square(features - features[place]).sum(1))
        place = argbest(distance, free)
    return np.array(order)
