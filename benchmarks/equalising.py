"""Overhead of weights that move toward equal contribution: our loop with them against our loop with equal weights."""

from __future__ import annotations

from collections.abc import Callable

from prune_lab.experiments.contracts import Data

from . import ours, synthetic, text, training
from .contest import Contest

OVERHEAD = 1.3  # times plain training, at most
PERIODS = 2  # measurements a lap, so that every lap has as many


def contests(quick: bool) -> list[Contest]:
    def contest(name: str, unit: str, run: tuple[str, ...], data: Callable[[int], Data]) -> Contest:
        short, every = (["recipe.batch_size=8"], ["policy.every=2"]) if quick else ([], [])
        plain, equal = ours.run(*run, *short), ours.run(*run, *short, "policy=equal_contribution", *every)
        period = equal.policy.every  # type: ignore[union-attr]
        number = plain.recipe.batch_size * period * PERIODS
        return Contest(
            f"equalising.{name}",
            unit,
            lambda: data(number),
            lambda given: ours.training_lap(equal, given),
            lambda given: ours.training_lap(plain, given),
            1 if quick else 5,
            f"policy=equal_contribution, a measurement every {period} steps, {PERIODS} a lap of {number:,}; baseline: "
            f"the same loop with equal weights; the target is an overhead of {OVERHEAD:g}x",
            1 / OVERHEAD,
        )

    def tokens(number: int) -> Data:
        return synthetic.tokens(number, context=text.CONTEXT, vocabulary=text.VOCABULARY)

    return [
        contest("images", "images/s", training.RUN, synthetic.images),
        contest("text", "windows/s", text.RUN, tokens),
    ]
