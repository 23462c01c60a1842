"""Scores from the outputs of trained proxies: one pass over the training split, eval mode, no augmentation.

Each returns (proxies, N), higher is harder.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from ..contracts import Floats, Proxy, Task
from ..evaluation import examine

Measure = Literal["logits", "probabilities"]


def el2n(task: Task, proxies: Sequence[Proxy], *, squared: bool = False) -> Floats:
    """Norm of softmax minus one-hot (arXiv:2107.07075); `squared` is the Brier form of arXiv:2303.14753."""
    error = _seen(task, proxies, "error")
    return error**2 if squared else error


def loss(task: Task, proxies: Sequence[Proxy]) -> Floats:
    """The task's loss in nats."""
    return _seen(task, proxies, "loss")


def entropy(task: Task, proxies: Sequence[Proxy]) -> Floats:
    """Entropy of the prediction in nats; needs no label."""
    return _seen(task, proxies, "entropy")


def margin(task: Task, proxies: Sequence[Proxy], *, measure: Measure = "logits") -> Floats:
    """Minus the target's logit (or probability) over the largest other."""
    return -_seen(task, proxies, "margin" if measure == "logits" else "margin_probability")


def perplexity(task: Task, proxies: Sequence[Proxy]) -> Floats:
    """Mean loss a token of a window, in nats (the logarithm of its perplexity; arXiv:2309.04564, 2405.20541).

    NaN for the windows that a proxy was trained on.
    """
    rows = []
    for proxy in proxies:
        assert proxy.held_out is not None, "perplexity needs proxies that did not see every example"
        rows.append(np.where(proxy.held_out, examine(task, proxy.model, "train")["loss"], np.nan))
    return np.stack(rows)


def _seen(task: Task, proxies: Sequence[Proxy], name: str) -> Floats:
    return np.stack([examine(task, proxy.model, "train")[name] for proxy in proxies])
