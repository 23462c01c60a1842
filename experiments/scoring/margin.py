"""scorer=margin: how far the target's output is below the largest other."""

from __future__ import annotations

from ..choices import choice
from ..contracts import Evidence, Floats, ScorerChoice
from .evidence import Measure, Proxies, seen
from .folds import Folds


@choice("scorer", "margin")
class Margin(ScorerChoice):
    """Minus the margin at the end of training: the target's output over the largest other."""

    measure: Measure = "logits"  # or probabilities
    proxies: Proxies = 3  # models that are trained to judge the examples
    folds: Folds = None  # judge each example by proxies of the other folds; null: by proxies that saw it

    def score(self, evidence: Evidence) -> Floats:
        return -seen(evidence, "margin" if self.measure == "logits" else "margin_probability")
