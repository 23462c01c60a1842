"""rule=stratified: as many examples of every difficulty."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...choices import choice
from ...contracts import Floats, Indices, RuleChoice, Share
from ..order import ROUNDING, hardest_first

STRATA = 50  # equal-width score bins of CCS (arXiv:2210.15809)


@choice("rule", "stratified", source="CCS, arXiv:2210.15809")
class Stratified(RuleChoice):
    """An equal number of each of 50 bins of the score, after `drop_hardest`."""

    colour = "purple"
    draws = True
    drop_hardest: Share = 0.0  # CCS beta: share of the pool dropped as too hard before binning

    def fits(self, run: Any) -> None:
        if self.drop_hardest + run.keep > 1:
            raise ValueError(f"rule.drop_hardest={self.drop_hardest} leaves fewer than keep={run.keep} of the pool")

    def pool(self, values: Floats) -> Indices:
        num_dropped = math.floor(self.drop_hardest * values.size + ROUNDING)
        return np.sort(hardest_first(values)[num_dropped:])

    def preference(self, values: Floats, place: Indices) -> Indices:
        """CCS as an order: the bins take turns, each giving a random member, until it is empty.

        Taking turns is the published allocation (from the smallest bin upward, each an equal share of what is left,
        rounded down): bins smaller than the share give all they have, and what rounding leaves falls to the largest.
        """
        low, high = values.min(), values.max()
        if high == low:
            return np.argsort(place)
        bins = np.minimum((values - low) / (high - low) * STRATA, STRATA - 1).astype(np.int64)
        sizes = np.bincount(bins, minlength=STRATA)
        by_bin = np.lexsort((place, bins))
        turn = np.empty(values.size, dtype=np.int64)
        turn[by_bin] = np.arange(values.size) - (np.cumsum(sizes) - sizes)[bins[by_bin]]
        return np.lexsort((-bins, -sizes[bins], turn))  # of equal bins the harder first
