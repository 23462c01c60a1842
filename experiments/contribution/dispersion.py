"""How equal are contributions? Statistics of one number an example (sim: arXiv:2402.17759 eq 7)."""

from __future__ import annotations

import math

import numpy as np

from ..contracts import Floats
from ..errors import ConfigError

NEGLIGIBLE = 1e-3  # a mean below this share of the values' root mean square says nothing about ratios to it
TOP = 0.1
ACTIVE = 1e-5  # of a step's largest weight: below it an example is inactive


def dispersion(values: Floats, weights: Floats | None = None) -> dict[str, float]:
    """Of contributions (N,) under weights (N,) of any sum (None: equal); NaN where a number has no meaning.

    mean           mu = sum w c
    cv             s / mu, s the weighted standard deviation: 0 where all are equal
    sim            mu over the unweighted spread about mu among weights above zero (arXiv:2402.17759 eq 7)
    signal         sign(mu) mu^2 / sum w c^2 = sign(mu) / (1 + cv^2), in [-1, 1]: 1 where all are equal
    negative_share share of examples of weight above zero with c <= 0
    ess            (sum c+)^2 / (N sum c+^2) in (0, 1], of the positive parts among weights above zero
    gini           of the positive parts, 0 where all are equal
    top_decile     share of their sum that the largest tenth has
    kkt_gap        (max c - mu) / mu over all examples, active or not: 0 at an optimal policy (for phi)
    active         share of examples of weight above zero
    cv and kkt_gap are NaN where the mean is near zero or below, sim where it is near zero. One example alone is equal
    to nothing: all but mean, negative_share, kkt_gap and active are NaN. ConfigError where none has weight.
    """
    assert values.ndim == 1, "one number an example"
    weights = np.ones(len(values)) if weights is None else weights
    assert weights.shape == values.shape, "one weight an example"
    assert (weights >= 0).all(), "non-negative weights"
    inside = values[weights > 0]
    if not len(inside):
        raise ConfigError("no example has weight: of contributions to nothing there is no spread")
    share, several = weights / weights.sum(), len(inside) > 1
    mean, square = float(share @ values), float(share @ values**2)
    spread = math.sqrt(max(square - mean**2, 0.0))
    apart = math.sqrt(float(((inside - mean) ** 2).sum()) / (len(inside) - 1)) if several else math.nan
    measurable = abs(mean) > NEGLIGIBLE * math.sqrt(square)
    positive = np.sort(inside.clip(min=0))
    total, number = float(positive.sum()) if several else 0.0, len(positive)
    shares = positive / total if total > 0 else np.full(number, math.nan)
    rank = np.arange(1, number + 1)
    return {
        "mean": mean,
        "cv": spread / mean if several and measurable and mean > 0 else math.nan,
        "sim": mean / apart if measurable and apart > 0 else math.nan,
        "signal": math.copysign(mean**2 / square, mean) if several and square > 0 else math.nan,
        "negative_share": float((inside <= 0).mean()),
        "ess": 1 / (number * float(shares @ shares)) if total > 0 else math.nan,
        "gini": float(2 * (rank @ shares) / number - (number + 1) / number),
        "top_decile": float(shares[number - max(1, round(TOP * number)) :].sum()),
        "kkt_gap": (float(values.max()) - mean) / mean if measurable and mean > 0 else math.nan,
        "active": len(inside) / len(values),
    }


def reliability(first: Floats, second: Floats) -> float:
    """Correlation of contributions (N,) towards two halves of the target set: it bounds what any of them can tell."""
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return math.nan
    return float(np.corrcoef(first, second)[0, 1])
