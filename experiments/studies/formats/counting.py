"""What is counted of sampled solutions: pass@k, majority@k, shares and accuracies of formats, entropies."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...contracts import Floats, Indices
from ...errors import ConfigError
from .sampling import Rollout
from .task import FORMATS, NONE


def pass_at(k: int, correct: Indices, samples: int) -> Floats:
    """(G,) the chance that of k of a chain's samples one is right: 1 - C(n - c, k) / C(n, k), without bias.

    correct: (G,) how many of the n samples are right (arXiv:2107.03374, equation 1).
    """
    if k > samples:
        raise ConfigError(f"pass@{k} of {samples} samples is not defined", f"study.samples={k}, or a smaller study.k")
    every = np.arange(1, samples + 1)  # the product of 1 - k / i over i = n - c + 1 ... n; 0 where n - c < k
    factors = np.where(every > samples - correct[:, None], np.maximum(1 - k / every, 0), 1.0)
    chance: Floats = 1 - factors.prod(1)
    return chance


def majority(answers: Indices) -> Indices:
    """(G,) the most common answer of the samples (G, n); of equally common ones the smallest, NONE where all are."""
    counts = (answers[:, :, None] == np.arange(10)).sum(1)
    found: Indices = np.where(counts.max(1) > 0, counts.argmax(1), NONE)
    return found


def entropy(shares: Any) -> float:
    """In nats."""
    positive = np.asarray(shares, dtype=float)
    positive = positive[positive > 0]
    return float(-(positive * np.log(positive)).sum())


def of_formats(rollout: Rollout, prefix: str = "") -> dict[str, float]:
    """Share of each format and of what is malformed, and the accuracy of each; NaN where there is none of it."""
    formats, right = rollout.parsed.formats, rollout.rewards.numpy()
    found = {}
    for place, name in ((NONE, "none"), *enumerate(FORMATS)):
        own = formats == place
        found[f"{prefix}share_{name}"] = float(own.mean())
        if place != NONE:
            found[f"{prefix}accuracy_{name}"] = float(right[own].mean()) if own.any() else math.nan
    return found | {f"{prefix}accuracy": float(right.mean())}


def of_samples(rollout: Rollout, right: Indices, k: tuple[int, ...]) -> dict[str, float]:
    """All that is said of the samples of several chains; `right` (G,) are the chains' answers."""
    samples = rollout.samples
    correct = rollout.groups.sum(1).numpy().astype(int)
    found = of_formats(rollout)
    found |= {f"pass_{one}": float(pass_at(one, correct, samples).mean()) for one in k}
    chosen = majority(rollout.parsed.answers.reshape(-1, samples))
    found["majority"] = float((chosen == right).mean())
    found["format_entropy"] = entropy([found[f"share_{name}"] for name in ("none", *FORMATS)])
    traces = rollout.tokens.numpy().reshape(-1, samples, rollout.tokens.shape[1])
    found["distinct"] = float(np.mean([len(np.unique(group, axis=0)) for group in traces]) / samples)
    found["length"] = float(rollout.parsed.lengths.mean())
    found["unended"] = float(1 - rollout.parsed.ended.mean())
    found["unvaried"] = float(np.mean((correct == 0) | (correct == samples)))  # chains that GRPO learns nothing from
    return found
