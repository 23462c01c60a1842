"""rule=hard: the highest scores."""

from __future__ import annotations

from ...choices import choice
from ...contracts import Floats, Indices, RuleChoice
from ..order import hardest_first


@choice("rule", "hard", source="arXiv:2206.14486")
class Hard(RuleChoice):
    """The highest scores."""

    label = "hardest"
    colour = "orange"

    def preference(self, values: Floats, place: Indices) -> Indices:
        return hardest_first(values)
