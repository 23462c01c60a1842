"""Digits in which it is known what is wrong, hard or redundant."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from prune_lab.experiments.contracts import Data, Examples, Indices
from prune_lab.experiments.data import digits
from prune_lab.experiments.seeds import numpy_stream

NUMBER, PLANTED, COPIES = 500, 50, 3
KINDS = ("flipped", "blended", "copied")


def planted(seed: int) -> tuple[Data, Mapping[str, Indices]]:
    """650 training examples and the rows of each kind; `plain` are the rest.

    `flipped` have another class's label, `blended` are nearly half another class, `copied` are there four times.
    """
    data = digits.load(dev=0.1)
    train = data.splits["train"]
    draw = numpy_stream(seed, "planted")
    chosen = draw.permutation(len(train.ids))[:NUMBER]
    images, labels = train.inputs[chosen].astype(np.float64), train.targets[chosen].copy()
    flipped, blended, copied, plain = np.split(np.arange(NUMBER), np.arange(1, 4) * PLANTED)
    other = np.array([draw.choice(plain[labels[plain] != labels[row]]) for row in blended])
    images[blended] = 0.55 * images[blended] + 0.45 * images[other]
    labels[flipped] = (labels[flipped] + draw.integers(1, 10, PLANTED)) % 10
    order = np.concatenate([np.arange(NUMBER), np.repeat(copied, COPIES)])
    copied = np.concatenate([copied, np.arange(NUMBER, len(order))])
    pool = Examples(
        images[order].astype(np.uint8), labels[order], np.array([f"planted/{n}" for n in range(len(order))])
    )
    rows = {"flipped": flipped, "blended": blended, "copied": copied, "plain": plain}
    return Data("planted", "images", {**data.splits, "train": pool}, data.classes), rows
