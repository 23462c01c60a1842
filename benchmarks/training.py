"""Images a second of the training loop, on all data and on a pruned half, against a plain loop with a DataLoader."""

from __future__ import annotations

import numpy as np

from . import ours, plain, synthetic
from .contest import AMX, DEVICE, Contest

TARGET = 4.0
RUN = ("task=cifar10", "model.width=0.25")  # 16, 64, 64 channels, batches of 128, mirror and shift
WIDE = ("task=cifar10", "model.width=1")  # 64, 256, 256: what a GPU is for


def contests(quick: bool) -> list[Contest]:
    on_gpu = DEVICE.type == "cuda"
    number = 256 if quick else 12_800 if on_gpu else 1280
    chosen = ours.run(*(WIDE if on_gpu else RUN))
    channels = "64, 256, 256" if on_gpu else "16, 64, 64"
    kept = {"full": None, "half": np.arange(0, number, 2)}
    return [
        Contest(
            f"training.{part}",
            "images/s",
            lambda: synthetic.images(number),
            lambda data, rows=rows: ours.training_lap(chosen, data, rows),
            lambda data, rows=rows: plain.training_lap(chosen, data, rows),
            1 if quick else 5,
            f"airbench net of {channels} channels, batch 128, {number if rows is None else len(rows)} images a lap; "
            f"baseline: float32, contiguous, DataLoader; {AMX}",
            TARGET,
            arithmetic=lambda data: ours.arithmetic(chosen, data, trains=True, backward=True),
        )
        for part, rows in kept.items()
    ]
