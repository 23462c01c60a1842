"""rule=easy: the lowest scores."""

from __future__ import annotations

from ...choices import choice
from ...contracts import Floats, Indices, RuleChoice
from ..order import hardest_first


@choice("rule", "easy", source="arXiv:2206.14486")
class Easy(RuleChoice):
    """The lowest scores."""

    label = "easiest"
    colour = "blue"

    def preference(self, values: Floats, place: Indices) -> Indices:
        return hardest_first(values)[::-1]
