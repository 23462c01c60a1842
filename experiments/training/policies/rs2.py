"""policy=rs2: a fresh random subset in every epoch."""

from __future__ import annotations

from ...choices import choice
from ...contracts import Fraction, Policy, PolicyChoice, TrainingRun
from .uniform import Uniform


@choice("policy", "rs2", source="arXiv:2305.18424")
class RepeatedRandom(PolicyChoice):
    """RS2: a fresh random share of the pool in every epoch."""

    label = "RS2"
    colour = "violet"
    chooses = True
    share: Fraction = 0.3  # of the pool, drawn anew in each epoch

    def build(self, training: TrainingRun) -> Policy:
        rows = training.rows
        return Uniform(rows, number=self.visits(len(rows)), seed=training.seed)

    def visits(self, kept: int) -> int:
        return max(1, round(self.share * kept))

    def visited_share(self) -> float:
        return self.share
