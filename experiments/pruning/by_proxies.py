"""Scores for a study that trains its own proxies: which can be had so, and what they say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..contracts import Data, Floats, Proxy, ScorerChoice
from ..errors import ConfigError

if TYPE_CHECKING:
    from ..data.task import DeviceTask

ASKED = {"number", "share"}  # of a proxy: which one it is, and how much of its schedule it trains


@dataclass
class Shown:
    """All that such a score may look at."""

    task: DeviceTask
    proxies: Sequence[Proxy]
    seed: int
    decide: Callable[[str], None]
    folders: Sequence[Path] = ()
    columns: dict[str, Floats] = field(default_factory=dict)

    @property
    def data(self) -> Data:
        return self.task.data


def check(scorer: ScorerChoice, run: Any) -> None:
    """ValueError where the score does not fit the task, model and recipe of `run`, or reads not just proxies."""
    scorer.fits(run)
    asked = scorer.evidence(None)
    if not asked or any(set(one.asks) - ASKED for one in asked):
        raise ValueError(f"study.scorer={scorer.name} does not read trained proxies alone: use loss or el2n")


def scores(scorer: ScorerChoice, shown: Shown) -> Floats:
    """(N,) means over the proxies. ConfigError where an example has none."""
    found: Floats = np.atleast_2d(np.asarray(scorer.score(shown), dtype=np.float64)).mean(0)
    if not np.isfinite(found).all():
        raise ConfigError(f"study.scorer={scorer.name} says nothing of some examples", "another study.scorer")
    return found
