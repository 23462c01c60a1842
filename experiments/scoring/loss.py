"""scorer=loss: the loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..choices import choice
from ..contracts import Evidence, Floats, ProxyRun, ScorerChoice
from . import predictions
from .evidence import Epoch, Proxies, of_classes, runs, seen
from .folds import Folds


@choice("scorer", "loss")
class Loss(ScorerChoice):
    """The task's loss in nats, at the end of training or at an epoch of it."""

    epoch: Epoch = None  # null: the end
    proxies: Proxies = 3  # models that are trained to judge the examples
    folds: Folds = None  # judge each example by proxies of the other folds; null: by proxies that saw it
    predictions: bool = False  # also record what the proxies predict of each example, for prune-lab inspect

    def fits(self, run: Any) -> None:
        if self.predictions:
            of_classes("loss scorer.predictions=true", run)

    def evidence(self, run: Any) -> Sequence[ProxyRun]:
        return runs(self.proxies, **({} if self.epoch is None else {"epoch": self.epoch}))

    def score(self, evidence: Evidence) -> Floats:
        if self.predictions:
            predictions.record(evidence)
        return seen(evidence, "loss")
