"""rule=beta: a draw that moves from the hard examples to the easy ones as less is kept."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...choices import choice
from ...contracts import Floats, Indices, RuleChoice
from ...errors import ConfigError
from ..order import hardest_first, not_negative

TOP, CURVE = 10, 4  # examples that say where the hard ones lie, and c_D (arXiv:2502.06905)
NEARLY = 1e-6  # probabilities are moved this far into (0, 1), where the Beta density is finite


@choice("rule", "beta", source="DUAL, arXiv:2502.06905")
class Beta(RuleChoice):
    """A draw in proportion to the score times a Beta density of the mean probability that scorer=dual records.

    Little dropped: the density peaks near the hard examples' probability; much dropped: near 1, at the easy ones.
    """

    colour = "ochre"
    draws = True

    def fits(self, run: Any) -> None:
        if "probability" not in run.scorer.columns:
            raise ValueError(f"rule=beta samples by what scorer=dual records, not scorer={run.scorer.name}")

    def check(self, scores: Floats | None, labels: Indices | None, probability: Floats | None) -> None:
        if probability is None:
            raise ConfigError(
                "rule=beta needs the mean probability of each example, and this score has none", "scorer=dual"
            )
        not_negative(self.name, scores)
        assert scores is None or probability.shape == scores.shape, "of different examples"

    def values(self, scores: Floats, *, keep: float, labels: Indices | None, probability: Floats | None,
               place: Indices, order: np.random.Generator) -> Floats:  # fmt: skip
        """The highest log-weights plus Gumbel noise are a draw without replacement in proportion to the weights."""
        assert probability is not None
        return _log_weights(scores, probability, keep) + order.gumbel(size=scores.size)

    def preference(self, values: Floats, place: Indices) -> Indices:
        return hardest_first(values)


def beta_parameters(scores: Floats, probability: Floats, keep: float) -> tuple[float, float]:
    """DUAL's y_a and y_b (arXiv:2502.06905): y_b = 15 (1 - mu) (1 - r^4), y_a = 16 - y_b.

    mu is the mean probability of the ten top scores, r the fraction dropped.
    """
    mu = float(probability[hardest_first(scores)[:TOP]].mean())
    beta = 15 * (1 - mu) * (1 - (1 - keep) ** CURVE)
    return 16 - beta, beta


def _log_weights(scores: Floats, probability: Floats, keep: float) -> Floats:
    """(N,) logarithm, up to a constant, of the Beta density of the probability times the score; score 0 comes last."""
    alpha, beta = beta_parameters(scores, probability, keep)
    inside = np.clip(probability, NEARLY, 1 - NEARLY)
    positive = np.maximum(scores, np.finfo(np.float64).tiny)
    weights: Floats = (alpha - 1) * np.log(inside) + (beta - 1) * np.log(1 - inside) + np.log(positive)
    return weights
