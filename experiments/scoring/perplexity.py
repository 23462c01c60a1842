"""scorer=perplexity: the loss of text under models that never saw it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from ..choices import choice
from ..contracts import Evidence, Floats, ProxyRun, ScorerChoice
from .evidence import Proxies, of_text


@choice("scorer", "perplexity", source="arXiv:2309.04564, 2405.20541", version=2)
class Perplexity(ScorerChoice):
    """Mean loss a token of a window, in nats, under proxies that never saw its document (cross-fitted).

    The tokenizer is the task's: it was trained on the training documents of every fold.
    """

    folds: Annotated[int, Field(ge=2, le=20)] = 2  # no proxy judges its own
    proxies: Proxies = 1  # per fold

    def fits(self, run: Any) -> None:
        of_text(self.name, run)

    def evidence(self, run: Any) -> Sequence[ProxyRun]:
        numbers = range(self.proxies * self.folds)
        return [ProxyRun({"number": n, "fold": n % self.folds, "folds": self.folds}) for n in numbers]

    def score(self, evidence: Evidence) -> Floats:
        """NaN for the windows that a proxy was trained on; every proxy's mean over its fold is the mean of all."""
        from ..models.outputs import examine

        rows = []
        for proxy in evidence.proxies:
            assert proxy.held_out is not None, "perplexity needs proxies that did not see every example"
            loss = examine(evidence.task, proxy.model, "train")["loss"]
            rows.append(np.where(proxy.held_out, loss, np.nan))
        losses = np.stack(rows)
        means = np.nanmean(losses, axis=1)
        evidence.decide(
            f"windows are compared within folds: each proxy's losses are shifted to one mean, {means.mean():.3f} nats "
            f"(they were {means.min():.3f} to {means.max():.3f})"
        )
        return centred(losses)


def centred(losses: Floats) -> Floats:
    """(proxies, N) losses, NaN where trained on, each proxy's shifted so that all have the same mean.

    A proxy is better or worse on the whole, by its initialisation and its part of the text: on 4,000 windows of IMDB
    the means of eight proxies over a fold had a deviation of 0.030 nats, where 0.008 are due to which documents a fold
    has. Unshifted, one fold of two held 40 to 55 % of the hardest 0.3.
    """
    means = np.nanmean(losses, axis=1, keepdims=True)
    shifted: Floats = losses - means + means.mean()
    return shifted
