"""Seconds to train 32 MLPs on 32 random subsets of the digits, packed, against one at a time in our own loop."""

from __future__ import annotations

from prune_lab.experiments.data.load import load_data

from . import ours
from .contest import Contest

MODELS, SHARE = 32, 0.7
RUN = ("task=digits",)


def contests(quick: bool) -> list[Contest]:
    chosen = ours.run(*RUN)
    models, epochs = (2, 1) if quick else (MODELS, 5)
    return [
        Contest(
            "packing",
            f"s for {MODELS} models",
            lambda: load_data(chosen.task),
            lambda data: ours.packed_lap(chosen, data, models, SHARE, epochs),
            lambda data: ours.single_lap(chosen, data, models, SHARE, epochs),
            1 if quick else 3,
            f"MLP of {chosen.model.width} x {chosen.model.depth}, {models} models a lap, {epochs} epochs, each on "
            f"{SHARE:g} of the digits; baseline: the training loop on each subset, which skips the rest",
            amount=MODELS,
        )
    ]
