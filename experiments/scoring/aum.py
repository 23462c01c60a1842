"""scorer=aum: the area under the margin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..choices import choice
from ..contracts import Evidence, Floats, ProxyRun, ScorerChoice
from .evidence import Measure, Proxies, recorded, runs


@choice("scorer", "aum", source="arXiv:2001.10528")
class Aum(ScorerChoice):
    """Minus the mean over epochs of the margin, recorded while the proxies train."""

    measure: Measure = "logits"  # Pleiss: logits; CCS: probabilities
    proxies: Proxies = 3  # models that are trained to judge the examples

    def evidence(self, run: Any) -> Sequence[ProxyRun]:
        return runs(self.proxies, observe=True)

    def score(self, evidence: Evidence) -> Floats:
        name = "margin" if self.measure == "logits" else "margin_probability"
        rows = []
        for proxy in evidence.proxies:
            margins = recorded(evidence, proxy, name)
            presented = ~np.isnan(margins)
            with np.errstate(invalid="ignore"):  # 0 / 0 is NaN for an example never presented
                rows.append(-np.where(presented, margins, 0).sum(0) / presented.sum(0))
        return np.stack(rows)
