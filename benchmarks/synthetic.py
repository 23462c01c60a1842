"""Data that are always there: noise of CIFAR-10's shape, and random tokens. Speed does not depend on what they say."""

from __future__ import annotations

import numpy as np

from prune_lab.experiments.contracts import Data, Examples


def images(number: int) -> Data:
    """`number` uint8 images (3, 32, 32) of 10 classes as every split."""
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 256, (number, 3, 32, 32), dtype=np.uint8)
    split = Examples(pixels, draw.integers(0, 10, number), np.arange(number).astype(str))
    return Data("noise", "images", {"train": split, "dev": split, "test": split}, tuple("0123456789"))


def tokens(windows: int, *, context: int, vocabulary: int) -> Data:
    """`windows` of `context` tokens, each with the next one as its target, as every split."""
    draw = np.random.default_rng(0)
    text = draw.integers(0, vocabulary, (windows, context + 1))
    counts = {"tokens": np.full(windows, context), "bytes": np.full(windows, context)}
    split = Examples(text[:, :-1].astype(np.uint16), text[:, 1:], np.arange(windows).astype(str), None, counts)
    return Data("noise", "text", {"train": split, "dev": split, "test": split}, (), vocabulary=vocabulary)
