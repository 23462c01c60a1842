"""What the sections of a page on evaluated runs are drawn from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from ...laws import claims
from ...laws.expectations import Expectation
from ...store.folders import Store
from ..parts import count
from . import distribution, laws
from .runs import newest, points, table


@dataclass(frozen=True, slots=True)
class Found:
    """Runs, points, comparisons, laws and measured selections."""

    store: Store
    every: pd.DataFrame  # a row for each evaluated run
    runs: pd.DataFrame  # the newest of each setting and seed
    points: pd.DataFrame
    advantage: pd.DataFrame  # over random selection
    policies: pd.DataFrame  # against uniform weights
    panels: list[laws.Panel]
    measures: pd.DataFrame  # what pruning does to the distribution
    unmeasured: list[str]  # keys of selections that were not measured
    outcomes: list[claims.Outcome]


def find(store: Store, keys: Sequence[str] | None, expectations: Sequence[Expectation], replicates: int) -> Found:
    every = table(store, keys)
    runs = newest(every)
    advantage = claims.advantage(runs)
    panels = laws.panels(runs, advantage, replicates=replicates)
    outcomes = [claims.check(expectation, runs) for expectation in expectations]
    measured = distribution.measured(store, runs)
    return Found(store, every, runs, points(runs), advantage, claims.by_policy(runs), panels, *measured, outcomes)


def warnings(found: Found, lost: int) -> Iterator[str]:
    """What a reader should know first; `lost`: evaluated runs of which a folder is gone."""
    every, runs, points = found.every, found.runs, found.points
    if lost:
        yield f"Left out: {count(lost, 'evaluated run')} whose training, pruning or score was removed or damaged."
    few = int(points["few"].sum())
    if few:
        have = "has" if few == 1 else "have"
        yield f"{few} of {count(len(points), 'point')} {have} fewer than 3 seeds: intervals are wide or missing."
    if len(every) > len(runs):
        yield f"Left out, and in table.csv alone: {count(len(every) - len(runs), 'older run')} of a setting and seed."
    zero = int((points["error"] <= 0).sum()) if "error" in points else 0
    if zero:
        yield f"{count(zero, 'point')} without any test error cannot be drawn on a logarithmic axis."
    aimed = [name for name in ("equal_contribution", "learning_law") if (runs["policy"] == name).any()]
    if aimed:
        yield (
            f"policy={' and '.join(aimed)} set weights by the labels of the dev split, which uniform ones do not: "
            "part of a gain may be that, and training on those examples, too, is the control."
        )
