"""scorer=forgetting: how often an example was right and then wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from ..choices import choice
from ..contracts import Evidence, Floats, ProxyRun, ScorerChoice
from ..errors import ConfigError
from .evidence import Proxies, recorded, runs


@choice("scorer", "forgetting", source="arXiv:1812.05159")
class Forgetting(ScorerChoice):
    """Forgetting events: correct at one presentation, wrong at the next; over the whole schedule."""

    never_learned: Literal["most", "zero"] = "most"  # Toneva: the number of presentations; DeepCore and CCS: 0 events
    proxies: Proxies = 3  # models that are trained to judge the examples

    def fits(self, run: Any) -> None:
        if run.task.reads == "text":
            raise ValueError(
                "scorer=forgetting counts right and wrong classes, and text has none: use scorer=perplexity"
            )

    def evidence(self, run: Any) -> Sequence[ProxyRun]:
        return runs(self.proxies, observe=True)

    def score(self, evidence: Evidence) -> Floats:
        """NaN for an example never presented."""
        return events_of(evidence, self.never_learned)


def events_of(evidence: Evidence, never_learned: Literal["most", "zero"]) -> Floats:
    """(proxies, N) forgetting events."""
    if evidence.task.kind == "text":
        raise ConfigError("scorer=forgetting counts examples that turn from right to wrong: text windows are neither")
    return np.stack([_events(recorded(evidence, proxy, "correct"), never_learned) for proxy in evidence.proxies])


def _events(correct: Floats, never_learned: Literal["most", "zero"]) -> Floats:
    """(N,) forgetting events of (epochs, N) right or wrong."""
    events = np.zeros(correct.shape[1])
    before = np.full(correct.shape[1], np.nan)  # of the last presentation
    for now in correct:
        events += (before == 1) & (now == 0)
        before = np.where(np.isnan(now), before, now)
    presentations = (~np.isnan(correct)).sum(0)
    if never_learned == "most":
        events = np.where((correct == 1).any(0), events, presentations)
    return np.where(presentations > 0, events, np.nan)
