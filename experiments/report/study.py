"""The page of a study: a question that is no pipeline run. The study gives tables, figures and a verdict of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from .. import choices
from ..contracts import StudyChoice
from ..errors import ConfigError
from ..laws import claims
from ..laws.expectations import Expectation
from ..store.folders import Folder, Store
from . import page
from .parts import Section, cells, details, shown
from .provenance import origin
from .table import cell, completed, dotted, without


def build(
    store: Store,
    keys: Sequence[str] | None,
    folder: Path,
    *,
    title: str,
    command: str,
    expectations: Sequence[Expectation] = (),
) -> dict[str, Any]:
    """The page on the simulate folders of these keys; see `page.write`."""
    assert keys is not None
    folders = [store.get("simulate", key) for key in keys]
    study, tables = study_of(folders), tables_of(folders)
    runs = study.runs(tables)
    points, outcomes = study.points(runs), [claims.check(expectation, runs) for expectation in expectations]
    drawn = [shown(one) for one in study.figures(tables) if one.drawings]
    return page.write(
        folder,
        [*drawn, page.expected(outcomes), _listing(points)],
        outcomes,
        title=title,
        verdict=study.verdict(runs),
        caveat=study.caveat(tables),
        tables={"table.csv": runs, "points.csv": points},
        origin=origin([one.record for one in folders], command),
        runs=len(folders),
        points=len(points),
    )


def study_of(folders: Sequence[Folder]) -> type[StudyChoice]:
    """The study that all of these folders are of."""
    found = {str(one.record["recipe"]["study"]["name"]) for one in folders}
    if len(found) > 1:
        raise ConfigError(f"a page shows one study, and these runs are of {', '.join(sorted(found))}", "study=ONE")
    study = choices.get("study", found.pop())
    assert issubclass(study, StudyChoice)
    return study


def tables_of(folders: Sequence[Folder]) -> dict[str, pd.DataFrame]:
    """Every table of the folders under each other, with the settings of each run in its rows; `runs`: the metrics."""
    blocks: dict[str, list[pd.DataFrame]] = {}
    for one in folders:
        recipe = completed(one.record["recipe"])
        settings = dict(dotted(without(recipe["study"], "name"))) | {"seed": recipe["seed"]}
        metrics = {name: value for name, value in one.record["metrics"].items() if not isinstance(value, dict | list)}
        blocks.setdefault("runs", []).append(pd.DataFrame([settings | metrics | {"simulate": one.key}]))
        for path in sorted(one.path.glob("*.parquet")):
            blocks.setdefault(path.stem, []).append(one.table(path.name).assign(**settings))
    return {name: pd.concat(rows, ignore_index=True) for name, rows in blocks.items()}


def _listing(points: pd.DataFrame) -> Section:
    rows = [{str(name): cell(value, "{:.4g}") for name, value in row.items()} for row in points.to_dict("records")]
    return Section("Points", [details(f"{len(rows)} points, with 95 % t intervals", cells(rows))])
