"""Tokens a second of a GPT of about a million parameters, against a plain loop with its attention written out."""

from __future__ import annotations

from dataclasses import replace

from prune_lab.experiments.contracts import Data

from . import ours, plain, synthetic
from .contest import AMX, Arithmetic, Contest, Lap

TARGET = 2.5
CONTEXT = 128  # tokens
VOCABULARY = 1024
RUN = ("task=pydoc", f"task.context={CONTEXT}", "model.width=128", "model.depth=4", "model.heads=4")


def contests(quick: bool) -> list[Contest]:
    chosen = ours.run(*RUN)
    windows = chosen.recipe.batch_size * (1 if quick else 6)

    def in_tokens(lap: Lap) -> Lap:
        return lambda: lap() * CONTEXT

    def a_token(data: Data) -> Arithmetic:
        window = ours.arithmetic(chosen, data, trains=True, backward=True)
        return replace(window, flops=window.flops / CONTEXT)

    return [
        Contest(
            "text",
            "tokens/s",
            lambda: synthetic.tokens(windows, context=CONTEXT, vocabulary=VOCABULARY),
            lambda data: in_tokens(ours.training_lap(chosen, data)),
            lambda data: in_tokens(plain.training_lap(chosen, data)),
            1 if quick else 5,
            f"GPT of 0.9 million parameters, {chosen.recipe.batch_size} windows of {CONTEXT} tokens a batch; "
            f"baseline: float32, written-out attention, DataLoader; {AMX}",
            TARGET,
            arithmetic=a_token,
        )
    ]
