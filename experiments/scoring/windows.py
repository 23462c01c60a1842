"""How predictions moved while the proxies trained, over sliding windows of epochs.

An epoch that the schedule cut short is left out.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..contracts import Evidence, Floats
from ..errors import ConfigError
from .evidence import recorded


def inside(window: int, epochs: int) -> None:
    """Refuse a window that is longer than what is looked at."""
    if window > epochs:
        raise ValueError(f"scorer.window={window} is longer than scorer.epochs={epochs}: use scorer.window={epochs}")


def fitted(evidence: Evidence, window: int, epochs: int = 0) -> int:
    """The window that fits in the whole epochs that every proxy recorded; said."""
    there = min(len(whole(recorded(evidence, proxy, "loss"))) for proxy in evidence.proxies)
    wanted = f"; the schedule has no more for scorer.window={window}" + (f" scorer.epochs={epochs}" if epochs else "")
    evidence.decide(
        f"windows of {min(window, there)} epochs over the first {there}"
        + (wanted if there < max(window, epochs) else "")
    )
    return min(window, there)


def probabilities(evidence: Evidence) -> Iterator[Floats]:
    """(T, N) of each proxy: the target's probability, e to the minus recorded cross-entropy."""
    if evidence.task.kind == "text":
        raise ConfigError("scores of the target's probability are for classes: a window of text has many targets")
    for proxy in evidence.proxies:
        yield np.exp(-whole(recorded(evidence, proxy, "loss")))


def whole(values: Floats) -> Floats:
    """The epochs in which every example was presented."""
    return values[~np.isnan(values).any(1)]


def windows(probability: Floats, window: int) -> Iterator[Floats]:
    """Each `window` epochs in a row, of which a deviation can be taken."""
    if window < 2:
        raise ConfigError("a deviation over epochs needs two of them", "recipe.epochs=2")
    return sliding(probability, window)


def sliding(values: Floats, size: int) -> Iterator[Floats]:
    """Each `size` rows in a row, one at a time: all at once would be `size` times the memory."""
    return (values[first : first + size] for first in range(len(values) - size + 1))


def mean(parts: Iterator[Floats]) -> Floats:
    """Of equal arrays, one at a time."""
    total, number = np.zeros(1), 0
    for part in parts:
        total, number = total + part, number + 1
    assert number, "there is no whole epoch, or no window"
    return total / number
