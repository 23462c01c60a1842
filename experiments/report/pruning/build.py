"""The page on evaluated runs: what pruning and weighing gain, which laws errors follow, and what was kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ...laws import claims
from ...laws.expectations import Expectation
from ...store.folders import Store
from .. import page, provenance
from . import capacity, distribution, fits, gains, kept, laws, runs, scaling
from .found import find, warnings


def build(
    store: Store,
    keys: Sequence[str] | None,
    folder: Path,
    *,
    title: str,
    command: str,
    expectations: Sequence[Expectation] = (),
    replicates: int = 200,
) -> dict[str, Any]:
    """The page on the evaluate folders of these keys, on all of them where there are none; see `page.write`."""
    found = find(store, keys, expectations, replicates)
    lost = 0 if keys is not None else len(store.folders("evaluate")) - len(found.every)
    placed = laws.placed(runs.named(found.advantage), found.runs)
    gained, weighed = claims.summary(placed), claims.weighed(found.policies)
    sections = [
        capacity.section(found), scaling.section(found), gains.section(found), gains.over_uniform(found),
        page.expected(found.outcomes), fits.challenges(found), fits.section(found), distribution.section(found),
        kept.classes(found), kept.gallery(found), runs.listing(found),
    ]  # fmt: skip
    return page.write(
        folder,
        sections,
        found.outcomes,
        title=title,
        verdict=weighed if weighed and found.advantage.empty else f"{gained} {weighed}".strip(),
        caveat=claims.caveat(found.advantage),
        warnings=warnings(found, lost),
        tables={"table.csv": found.every, "points.csv": found.points}
        | ({"distribution.csv": found.measures} if len(found.measures) else {}),
        claims={
            "advantage": found.advantage.to_dict("records"),
            "policies": found.policies.to_dict("records"),
            "laws": [{"panel": panel.title, "rows": fits.rows(panel)} for panel in found.panels],
            "beats_the_law": [
                {"panel": panel.title, "rule": one.rule, "keep": one.keep} | asdict(one.answer)
                for panel in found.panels
                for one in panel.challenges
            ],
        },
        origin=provenance.of_runs(store, found.runs, command),
        runs=len(found.runs),
        points=len(found.points),
    )
