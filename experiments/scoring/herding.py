"""scorer=herding: examples in the order in which the mean of the chosen follows the mean of all."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..choices import choice
from ..contracts import Evidence, Floats, Indices, ScorerChoice
from .evidence import Proxies
from .greedy import Within, argbest, classes_or_all, penultimate_of, scores_by_order


@choice("scorer", "herding", source="Welling, ICML 2009; arXiv:1611.07725")
class Herding(ScorerChoice):
    """The turn in which herding chooses an example: next the one that brings the mean of the chosen nearest to all's.

    Of a proxy's penultimate features. rule=hard keeps the first, as iCaRL does (arXiv:1611.07725 algorithm 4).
    """

    higher_means = "chosen earlier"
    within: Within = "class"  # an order of each class, or one of everything
    proxies: Proxies = 1  # models that are trained to judge the examples

    def fits(self, run: Any) -> None:
        classes_or_all(self.name, run, self.within)

    def score(self, evidence: Evidence) -> Floats:
        return scores_by_order(evidence, penultimate_of(evidence), nearest_mean, self.within, self.name)


def nearest_mean(features: Floats) -> Indices:
    """(n,) places by herding of features (n, D)."""
    free, order, total = np.ones(len(features), dtype=bool), [], np.zeros(features.shape[1])
    target = features.mean(0)
    for count in range(1, len(features) + 1):
        place = argbest(-np.square(target - (total + features) / count).sum(1), free)
        order.append(place)
        free[place] = False
        total = total + features[place]
    return np.array(order)
