"""scorer=facility_location: examples in the order in which every example gets a similar one among the chosen."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..choices import choice
from ..contracts import Evidence, Floats, Indices, ScorerChoice
from .clusters import unit
from .evidence import Proxies
from .greedy import Within, classes_or_all, coverage, penultimate_of, scores_by_order, similarities


@choice("scorer", "facility_location", source="Mirchandani and Francis 1990; arXiv:2204.08499")
class FacilityLocation(ScorerChoice):
    """The turn in which the greedy maximisation of facility location chooses an example.

    Its objective is the sum over all examples of the largest cosine similarity, plus one, to a chosen one, of a proxy's
    penultimate features. rule=hard keeps the first.
    """

    higher_means = "chosen earlier"
    within: Within = "class"  # an order of each class, or one of everything
    proxies: Proxies = 1  # models that are trained to judge the examples

    def fits(self, run: Any) -> None:
        classes_or_all(self.name, run, self.within)

    def score(self, evidence: Evidence) -> Floats:
        return scores_by_order(evidence, penultimate_of(evidence), covering, self.within, self.name)


def covering(features: Floats) -> Indices:
    """(n,) places by facility location of features (n, D)."""
    similarities(len(features))
    directions = unit(features).astype(np.float32)
    return coverage(np.asarray(1 + directions @ directions.T, dtype=np.float32))
