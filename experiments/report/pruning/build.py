"""The page on evaluated runs: what pruning and weighing gain, which laws errors follow, and what was kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from ...figures.style import name_of
from ...laws import claims
from ...laws.expectations import Expectation
from ...laws.headline import headline
from ...laws.pairs import between_scores
from ...laws.runs import newest
from ...store.folders import Store
from .. import page, provenance
from ..parts import count
from ..table import fact
from . import (
    against,
    capacity,
    compute,
    curves,
    distribution,
    fits,
    gains,
    gallery,
    guessing,
    kept,
    laws,
    overview,
    runs,
    scaling,
    words,
)


def build(
    store: Store,
    keys: Sequence[str] | None,
    folder: Path,
    *,
    title: str,
    command: str,
    expectations: Sequence[Expectation] = (),
) -> dict[str, Any]:
    """The page on the evaluate folders of these keys, on all of them where there are none; see `page.write`."""
    every = runs.table(store, keys)
    lost = 0 if keys is not None else len(store.folders("evaluate")) - len(every)
    own = newest(every)
    points, advantage, policies = runs.points(own), claims.advantage(own), claims.by_policy(own)
    guessed = guessing.points(store, own)
    panels = laws.panels(own, advantage, guessed)
    measures, unmeasured = distribution.measured(store, own)
    outcomes = [claims.check(expectation, own) for expectation in expectations]
    placed, pairs = laws.placed(runs.named(advantage), own), between_scores(own)
    gained, weighed, joint = headline(placed), claims.weighed(policies), compute.laws(own)
    sections = [
        words.section(own), overview.section(placed, points, guessed), against.section(pairs, own),
        capacity.section(own, advantage), scaling.section(panels), gains.section(panels, advantage),
        gains.over_uniform(policies), page.expected(outcomes), fits.challenges(panels), fits.section(panels),
        compute.section(joint),
        distribution.section(list(distribution.shifts(measures, own, panels)), unmeasured), kept.classes(store, own),
        gallery.section(store, own), curves.section(store, panels), runs.listing(points, own),
    ]  # fmt: skip
    return page.write(
        folder,
        sections,
        outcomes,
        title=title,
        verdict=weighed
        if weighed and advantage.empty
        else f"{gained} {weighed}\n{against.sentence(pairs, own)}".strip(),
        caveat=claims.caveat(advantage),
        warnings=[*at_chance(points, guessed), *warnings(every, own, points, lost)],
        tables={"table.csv": every, "points.csv": points} | ({"distribution.csv": measures} if len(measures) else {}),
        claims={
            "advantage": advantage.to_dict("records"),
            "policies": policies.to_dict("records"),
            "scores": pairs.to_dict("records"),
            "laws": [{"panel": panel.title, "rows": fits.rows(panel)} for panel in panels],
            "joint_laws": list(compute.rows(joint)),
            "beats_the_law": [
                {"panel": panel.title, "rule": one.rule, "keep": one.keep} | asdict(one.answer)
                for panel in panels
                for one in panel.challenges
            ],
        },
        origin=provenance.of_runs(store, own, command),
        runs=len(own),
        points=len(points),
    )


def at_chance(points: pd.DataFrame, guessed: Mapping[str, float]) -> Iterator[str]:
    """A warning where models are no better than guessing; which ones is marked in the tables and figures."""
    own = points[points["point"].isin(list(guessed))]
    if len(own):
        shares = sorted({f"{100 * share:.3g} %" for share in guessed.values()})
        pairs = own[["rule", "keep"]].drop_duplicates().itertuples(index=False)
        rules = ", ".join(f"{name_of(str(rule))} {keep:g}" for rule, keep in pairs)
        yield (
            f"{len(own)} of {count(len(points), 'point')} are at chance ({rules}): their models are no better than "
            f"guessing the largest class ({' or '.join(shares)}), so that their gains say nothing of what was kept. "
            "Train longer (recipe.epochs), or keep more."
        )


def warnings(every: pd.DataFrame, runs: pd.DataFrame, points: pd.DataFrame, lost: int) -> Iterator[str]:
    """What a reader should know first; `lost`: evaluated runs of which a folder is gone."""
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
    if aimed := sorted(with_dev_labels(runs)):
        yield (
            f"{' and '.join(aimed)} use the labels of the dev split, which what they are compared with does not: "
            "part of a gain may be that, and training on those examples as well is the control."
        )


def with_dev_labels(runs: pd.DataFrame) -> Iterator[str]:
    """The scorers, rules and policies of the runs that use the labels of the dev split, by their own word."""
    for kind in ("policy", "rule", "scorer"):
        for name, own in runs.groupby(kind):
            sees = fact(kind, str(name), "sees_dev")
            if sees is True or (sees and own.get(f"{kind}.{sees}", pd.Series([None])).isna().any()):
                yield f"{kind}={name}"
