"""scorer=grand: the norm of an example's gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from ..choices import choice
from ..contracts import Evidence, Floats, ProxyRun, ScorerChoice
from .evidence import EARLY, Epoch, Proxies, runs
from .folds import Folds


@choice("scorer", "grand", source="arXiv:2107.07075")
class Grand(ScorerChoice):
    """GraNd: norm of the example's gradient, exact, or of the last layer alone (DeepCore)."""

    gradients: Literal["all", "last_layer"] = "all"  # with respect to all weights, or to those of the last layer
    epoch: Epoch = None  # when the proxies are asked; null: after a tenth of the schedule
    proxies: Proxies = 3  # models that are trained to judge the examples
    folds: Folds = None  # judge each example by proxies of the other folds; null: by proxies that saw it

    def fits(self, run: Any) -> None:
        if run.task.reads == "text" and self.gradients == "last_layer":
            raise ValueError("scorer.gradients=last_layer is for classifiers: use scorer.gradients=all for text")

    def evidence(self, run: Any) -> Sequence[ProxyRun]:
        return runs(self.proxies, **({"share": EARLY} if self.epoch is None else {"epoch": self.epoch}))

    def score(self, evidence: Evidence) -> Floats:
        from ..contribution.norms import gradient_norms

        return gradient_norms(evidence.task, evidence.proxies, gradients=self.gradients)
