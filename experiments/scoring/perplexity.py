"""scorer=perplexity: the loss of text under models that never saw it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from ..choices import choice
from ..contracts import Evidence, Floats, ProxyRun, ScorerChoice
from .evidence import Proxies, of_text


@choice("scorer", "perplexity", source="arXiv:2309.04564, 2405.20541")
class Perplexity(ScorerChoice):
    """Mean loss a token of a window, in nats, under proxies that never saw its document (cross-fitted)."""

    folds: Annotated[int, Field(ge=2, le=20)] = 2
    proxies: Proxies = 1  # per fold

    def fits(self, run: Any) -> None:
        of_text(self.name, run)

    def evidence(self, run: Any) -> Sequence[ProxyRun]:
        numbers = range(self.proxies * self.folds)
        return [ProxyRun({"number": n, "fold": n % self.folds, "folds": self.folds}) for n in numbers]

    def score(self, evidence: Evidence) -> Floats:
        """NaN for the windows that a proxy was trained on."""
        from ..models.outputs import examine

        rows = []
        for proxy in evidence.proxies:
            assert proxy.held_out is not None, "perplexity needs proxies that did not see every example"
            loss = examine(evidence.task, proxy.model, "train")["loss"]
            rows.append(np.where(proxy.held_out, loss, np.nan))
        return np.stack(rows)
