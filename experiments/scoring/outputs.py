"""Scores from the outputs of trained proxies: one pass over the training split, eval mode, no augmentation.

Each returns (proxies, N), higher is harder.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch

from ..contracts import IGNORED, Floats, Proxy, Task
from ..training.evaluation import BATCH, examine, place

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


def ddd(task: Task, proxies: Sequence[Proxy]) -> Floats:
    """1 where a proxy is wrong: the mean is the share of models that get an example wrong.

    After dichotomous data difficulty (arXiv:2110.05922, read in its abstract alone): images that all models get right
    (0, trivial) or wrong (1, impossible). The share between the ends is our reading, and there the models judge
    images that they were not trained on.
    """
    return 1 - _seen(task, proxies, "correct")


def class_error(task: Task, proxies: Sequence[Proxy]) -> Floats:
    """Error of the example's class on the dev split (arXiv:2404.05579); of all classes where dev has none of it."""
    labels, held_out = task.labels("train"), task.labels("dev")
    assert labels is not None, "class_error needs classes"
    assert held_out is not None, "class_error needs classes"
    members = np.bincount(held_out, minlength=len(task.classes))
    rows = []
    for proxy in proxies:
        wrong = 1 - examine(task, proxy.model, "dev")["correct"]
        errors = np.bincount(held_out, weights=wrong, minlength=len(members)) / np.maximum(1, members)
        rows.append(np.where(members, errors, wrong.mean())[labels])
    return np.stack(rows)


def disagreement(task: Task, proxies: Sequence[Proxy]) -> Floats:
    """Divergence KL(p_m || mean p) of each member's prediction from the ensemble's mean, in nats; text: token mean.

    The mean over members is the mutual information of prediction and member (BALD, arXiv:1112.5745), the standard
    score of ensemble active learning, after Chitta et al. (arXiv:1905.12737, which of its scores is unverified).
    """
    found: dict[str, Floats] = {}
    with torch.inference_mode():
        for batch in task.batches("train", size=BATCH[task.kind]):
            members = torch.stack([task.outputs(proxy.model, batch).float().log_softmax(-1) for proxy in proxies])
            mean = members.logsumexp(0) - math.log(len(proxies))  # (B, C), or (B, T, V)
            apart = (members.exp() * (members - mean)).sum(-1)  # (proxies, B), or (proxies, B, T)
            if apart.ndim == 3:
                counted = batch.targets != IGNORED
                apart = (apart * counted).sum(-1) / counted.sum(-1)
            place(found, batch, {"apart": apart.T}, task.size("train"))
    return found["apart"].T


def _seen(task: Task, proxies: Sequence[Proxy], name: str) -> Floats:
    return np.stack([examine(task, proxy.model, "train")[name] for proxy in proxies])
