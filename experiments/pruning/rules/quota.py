"""rule=quota: more of the classes that are hard."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...choices import choice
from ...contracts import Floats, Indices, RuleChoice
from ...errors import ConfigError
from ..order import hardest_first, not_negative


@choice("rule", "quota", source="DRoP (MetriQ), arXiv:2404.05579, algorithm 1")
class Quota(RuleChoice):
    """Of each class a share in proportion to its error, at random inside it.

    A class keeps a share of its members in proportion to its error, its members' mean score; what a full class cannot
    take goes to the others in the same proportion. As an order: the n-th member of a class of quota weight w = members
    * error has preference w / (n - 1/2), which hands out places by Sainte-Lague rounding. Classes without error last.
    """

    colour = "sky"
    draws = True

    def fits(self, run: Any) -> None:
        if not run.scorer.by_class:
            raise ValueError(f"rule=quota shares out by class: use scorer=class_error, not scorer={run.scorer.name}")

    def check(self, scores: Floats | None, labels: Indices | None, probability: Floats | None) -> None:
        if labels is None:
            raise ConfigError("rule=quota needs classes, and this data set has none", "rule=random")
        not_negative(self.name, scores)

    def values(self, scores: Floats, *, keep: float, labels: Indices | None, probability: Floats | None,
               place: Indices, order: np.random.Generator) -> Floats:  # fmt: skip
        assert labels is not None
        values = np.empty(scores.size)
        for label in np.unique(labels):
            own = np.flatnonzero(labels == label)
            middle = np.argsort(np.argsort(place[own])) + 0.5  # n - 1/2, the turns in random order
            error = float(scores[own].mean())
            values[own] = error * own.size / middle if error > 0 else -middle / own.size
        return values

    def preference(self, values: Floats, place: Indices) -> Indices:
        return hardest_first(values)
