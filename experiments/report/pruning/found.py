"""What the sections of a page on evaluated runs are drawn from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from ...laws import claims
from ...laws.expectations import Expectation
from ...store.folders import Store
from ..parts import count
from ..recorded import fact
from .laws import panels
from .layout import Panel
from .runs import newest, points, table

FILE = "distribution.parquet"
RUN = ("task", "fingerprint", "label_noise", "pool", "rule", "scorer", "selection", "balance", "keep", "prune")


@dataclass(frozen=True, slots=True)
class Found:
    """Runs, points, comparisons, laws and measured selections."""

    store: Store
    every: pd.DataFrame  # a row for each evaluated run
    runs: pd.DataFrame  # the newest of each setting and seed
    points: pd.DataFrame
    advantage: pd.DataFrame  # over random selection
    policies: pd.DataFrame  # against uniform weights
    panels: list[Panel]
    measures: pd.DataFrame  # what pruning does to the distribution
    unmeasured: list[str]  # keys of selections that were not measured
    outcomes: list[claims.Outcome]


def find(store: Store, keys: Sequence[str] | None, expectations: Sequence[Expectation], replicates: int) -> Found:
    every = table(store, keys)
    runs = newest(every)
    advantage = claims.advantage(runs)
    measures, unmeasured = measured(store, runs)
    return Found(
        store=store,
        every=every,
        runs=runs,
        points=points(runs),
        advantage=advantage,
        policies=claims.by_policy(runs),
        panels=panels(runs, advantage, replicates=replicates),
        measures=measures,
        unmeasured=unmeasured,
        outcomes=[claims.check(expectation, runs) for expectation in expectations],
    )


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
    chosen = [(kind, name) for kind in ("policy", "scorer") for name in sorted(set(runs[kind]))]
    aimed = [f"{kind}={name}" for kind, name in chosen if fact(kind, name, "sees_dev")]
    if aimed:
        yield (
            f"{' and '.join(aimed)} use the labels of the dev split, which what they are compared with does not: "
            "part of a gain may be that, and training on those examples, too, is the control."
        )


def measured(store: Store, runs: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """A row for each measure of each selection behind the runs, and the keys of selections that have none."""
    found, missing = [], []
    for _, row in runs[runs["prune"] != ""].drop_duplicates("prune").iterrows():
        path = store.path("prune", row["prune"]) / FILE
        if path.exists():  # under a policy the run's rule and keep are not those of the selection
            about = {name: row[name] for name in RUN} | {"rule": row["prune.rule"], "keep": row["prune.keep"]}
            found.append(pd.DataFrame([about]).merge(pd.read_parquet(path), how="cross", suffixes=("_size", "")))
        else:
            missing.append(str(row["prune"]))
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(), missing
