"""rule=random: the control."""

from __future__ import annotations

import numpy as np

from ...choices import choice
from ...contracts import Floats, Indices, RuleChoice


@choice("rule", "random")
class Random(RuleChoice):
    """Any examples: the control. It needs no scores."""

    colour = "grey"
    scored = False
    draws = True

    def preference(self, values: Floats, place: Indices) -> Indices:
        return np.argsort(place)
