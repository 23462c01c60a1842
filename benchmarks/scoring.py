"""Seconds to score 10,000 images by EL2N and by GraNd (all parameters), against a loop over the examples."""

from __future__ import annotations

from . import ours, plain, synthetic
from .contest import Contest
from .training import RUN

TARGET = 20.0
IMAGES = 10_000
SCORED = {"el2n": IMAGES, "grand": 2_048}  # images a lap of ours
LOOPED = {"el2n": 300, "grand": 200}  # images a lap of the baseline


def contests(quick: bool) -> list[Contest]:
    chosen = ours.run(*RUN)

    def contest(scorer: str) -> Contest:
        scored, looped = (64, 8) if quick else (SCORED[scorer], LOOPED[scorer])
        return Contest(
            f"scoring.{scorer}",
            f"s for {IMAGES:,} images",
            lambda: synthetic.images(scored),
            lambda data: ours.scoring_lap(chosen, data, scorer),
            lambda data: plain.scoring_lap(chosen, data, scorer, looped),
            1 if quick else 3,
            f"ours timed on {scored:,} images; the loop on {looped}, its seconds an image x {IMAGES:,}",
            TARGET,
            IMAGES,
            lambda data: ours.arithmetic(chosen, data, trains=False, backward=scorer == "grand"),
        )

    return [contest(scorer) for scorer in SCORED]
