"""Cross-fitting (scorer.folds): no proxy judges an example that it was trained on.

The training examples are dealt into folds, and each proxy of the scorer becomes one a fold, trained on the other folds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from ..contracts import Data, Evidence, Floats, Proxy, ProxyRun, ScorerChoice
from ..errors import ConfigError

Folds = Annotated[int, Field(ge=2, le=20)] | None  # a scorer that has this setting can be cross-fitted


def folds_of(scorer: ScorerChoice) -> int | None:
    """How many folds the scorer asks for; None: its proxies see every example."""
    return getattr(scorer, "folds", None)


def asked(scorer: ScorerChoice, run: Any) -> Sequence[ProxyRun]:
    """The training runs that the scorer reads: with folds each of them once a fold."""
    wanted, folds = scorer.evidence(run), folds_of(scorer)
    if folds is None:
        return wanted
    if any("observe" in one.asks or scorer.trainer(one.asks) is not None for one in wanted):
        what = f"scorer={scorer.name} as it is set reads what is recorded of examples while they are trained on"
        raise ConfigError(f"{what}, and scorer.folds judges those that are held out", "scorer.folds=null")
    return [
        replace(one, asks={**one.asks, "number": one.asks["number"] * folds + fold, "fold": fold, "folds": folds})
        for one in wanted
        for fold in range(folds)
    ]


def judged(scorer: ScorerChoice, evidence: Evidence) -> Floats:
    """(proxies, N) scores; with folds NaN where a proxy was trained on the example."""
    folds = folds_of(scorer)
    if folds is None:
        return _scores(scorer, evidence)
    rows = []
    for fold in range(min(folds, len(evidence.proxies))):
        part = _OfFold(evidence, fold, folds)
        held_out = part.proxies[0].held_out
        assert held_out is not None, "a proxy of a fold is trained on the others"
        rows.append(np.where(held_out, _scores(scorer, part), np.nan))
    found = np.stack(rows, axis=1).reshape(-1, rows[0].shape[1])  # in the order of the proxies
    means = np.nanmean(found, axis=1)
    evidence.decide(
        f"examples are compared within {folds} folds: each proxy's scores of those it was not trained on are shifted "
        f"to one mean, {means.mean():.3f} (they were {means.min():.3f} to {means.max():.3f})"
    )
    return centred(found)


def centred(scores: Floats) -> Floats:
    """(proxies, N) scores, NaN where trained on, each proxy's shifted so that all have the same mean.

    A proxy is better or worse on the whole, by its initialisation and its part of the data: on 4,000 windows of IMDB
    the mean losses of eight proxies over a fold had a deviation of 0.030 nats, where 0.008 are due to which documents a
    fold has. Unshifted, one fold of two held 40 to 55 % of the hardest 0.3.
    """
    means = np.nanmean(scores, axis=1, keepdims=True)
    shifted: Floats = scores - means + means.mean()
    return shifted


def _scores(scorer: ScorerChoice, evidence: Evidence) -> Floats:
    return np.atleast_2d(np.asarray(scorer.score(evidence), dtype=np.float64))


@dataclass
class _OfFold:
    """What a scorer may look at, of the proxies that were not trained on one fold."""

    whole: Evidence
    fold: int
    folds: int

    @property
    def data(self) -> Data:
        return self.whole.data

    @property
    def task(self) -> Any:
        return self.whole.task

    @property
    def columns(self) -> dict[str, Floats]:
        return self.whole.columns

    @columns.setter
    def columns(self, columns: dict[str, Floats]) -> None:
        self.whole.columns = columns

    @property
    def proxies(self) -> Sequence[Proxy]:
        return self.whole.proxies[self.fold :: self.folds]

    @property
    def seed(self) -> int:
        return self.whole.seed

    @property
    def folders(self) -> Sequence[Path]:
        return self.whole.folders[self.fold :: self.folds]

    def decide(self, sentence: str) -> None:
        self.whole.decide(sentence)
