"""scorer=dual: how much the target's probability wavers early in training, and how low it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import Field, model_validator

from ..choices import choice
from ..contracts import Evidence, Floats, ProxyRun, ScorerChoice
from .evidence import Proxies, of_classes, runs
from .windows import fitted, inside, mean, probabilities, windows


@choice("scorer", "dual", source="arXiv:2502.06905")
class Dual(ScorerChoice):
    """DUAL: how much the label's probability wavers, and how low it is, early in training. Made for rule=beta.

    In each window of epochs the standard deviation of the probability times one minus its mean, averaged over the
    windows of the first `epochs` epochs.
    """

    columns = ("probability",)  # mean over the epochs and proxies looked at, for rule=beta
    epochs: Annotated[int, Field(ge=2)] = 30  # of the schedule that are trained and looked at
    window: Annotated[int, Field(ge=2)] = 10  # epochs of a window
    proxies: Proxies = 3  # models that are trained to judge the examples

    @model_validator(mode="after")
    def _window(self) -> Dual:
        inside(self.window, self.epochs)
        return self

    def fits(self, run: Any) -> None:
        of_classes(self.name, run)

    def evidence(self, run: Any) -> Sequence[ProxyRun]:
        return runs(self.proxies, most_epochs=self.epochs, observe=True)

    def score(self, evidence: Evidence) -> Floats:
        window = fitted(evidence, self.window, self.epochs)
        evidence.columns["probability"] = mean(p.mean(0) for p in probabilities(evidence))
        return np.stack(
            [
                mean(w.std(0, ddof=1) * (1 - w.mean(0)) for w in windows(probability, window))
                for probability in probabilities(evidence)
            ]
        )
