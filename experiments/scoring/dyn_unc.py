"""scorer=dyn_unc: how much the target's probability wavers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from ..choices import choice
from ..contracts import Evidence, Floats, ProxyRun, ScorerChoice
from .evidence import Proxies, of_classes, runs
from .windows import fitted, mean, probabilities, windows


@choice("scorer", "dyn_unc", source="arXiv:2306.05175")
class DynUnc(ScorerChoice):
    """Dyn-Unc: mean over windows of the unbiased deviation of the target's probability, over the whole schedule.

    The factor 10 of the published code orders nothing anew and is left out, as in `dual`.
    """

    window: Annotated[int, Field(ge=2)] = 10  # epochs a deviation is taken over
    proxies: Proxies = 3  # models that are trained to judge the examples

    def fits(self, run: Any) -> None:
        of_classes(self.name, run)

    def evidence(self, run: Any) -> Sequence[ProxyRun]:
        return runs(self.proxies, observe=True)

    def score(self, evidence: Evidence) -> Floats:
        window = fitted(evidence, self.window)
        return np.stack([mean(w.std(0, ddof=1) for w in windows(p, window)) for p in probabilities(evidence)])
