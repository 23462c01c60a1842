"""rule=middle: the scores around the median."""

from __future__ import annotations

import numpy as np

from ...choices import choice
from ...contracts import Floats, Indices, RuleChoice
from ..order import hardest_first


@choice("rule", "middle", source="arXiv:2309.04564; Moderate coreset, ICLR 2023")
class Middle(RuleChoice):
    """The scores around the median rank."""

    colour = "green"

    def preference(self, values: Floats, place: Indices) -> Indices:
        """Outwards from the median rank, the harder side first: every prefix is a central window."""
        distance = np.abs(2 * np.arange(values.size) - (values.size - 1))
        return hardest_first(values)[np.argsort(distance, kind="stable")]
