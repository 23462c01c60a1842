"""scorer=graph_cut: examples in the order in which they stand for all without standing for each other."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from pydantic import Field

from ..choices import choice
from ..contracts import Evidence, Floats, Indices, ScorerChoice
from .clusters import unit
from .evidence import Proxies
from .greedy import Within, argbest, classes_or_all, penultimate_of, scores_by_order


@choice("scorer", "graph_cut", source="Iyer et al., ALT 2021; arXiv:2204.08499")
class GraphCut(ScorerChoice):
    """The turn in which the greedy maximisation of a graph cut chooses an example.

    Its objective is `represent` times the similarities of the chosen to all, less those among the chosen; similarity is
    the cosine, plus one, of a proxy's penultimate features. rule=hard keeps the first.
    """

    higher_means = "chosen earlier"
    represent: Annotated[float, Field(ge=2)] = 2.0  # from 2 on an example more is never a loss
    within: Within = "class"  # an order of each class, or one of everything
    proxies: Proxies = 1  # models that are trained to judge the examples

    def fits(self, run: Any) -> None:
        classes_or_all(self.name, run, self.within)

    def score(self, evidence: Evidence) -> Floats:
        def order(features: Floats) -> Indices:
            return cutting(features, self.represent)

        return scores_by_order(evidence, penultimate_of(evidence), order, self.within, self.name)


def cutting(features: Floats, represent: float) -> Indices:
    """(n,) places by graph cut of features (n, D). The gain of one is linear in the sum of the chosen directions."""
    directions = unit(features)
    to_all = len(directions) + directions @ directions.sum(0)  # (n,) sums of similarities
    free, order, chosen = np.ones(len(directions), dtype=bool), [], np.zeros(directions.shape[1])
    for count in range(len(directions)):
        gain = represent * to_all - 2 * (count + directions @ chosen)  # less what all share, its similarity to itself
        place = argbest(gain, free)
        order.append(place)
        free[place] = False
        chosen = chosen + directions[place]
    return np.array(order)
