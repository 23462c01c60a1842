"""The page of a study: a question that is no pipeline run. The study gives tables, figures and a verdict of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from ..figures.panels import Figures
from ..laws import claims
from ..laws.expectations import Expectation
from ..store.folders import Folder, Store
from ..studies.perceptron import figures as perceptron
from . import page
from .parts import Section, cells, details, shown
from .provenance import origin
from .table import cell

Tables = Mapping[str, pd.DataFrame]


class Study(Protocol):
    """What a study's own module gives."""

    def runs(self, tables: Tables, /) -> pd.DataFrame:
        """The rows that claims are judged on, with a column for each setting, and `seed`."""

    def points(self, runs: pd.DataFrame, /) -> pd.DataFrame:
        """Means and intervals over seeds."""

    def figures(self, tables: Tables, /) -> Iterable[Figures]: ...

    def verdict(self, runs: pd.DataFrame, /) -> str: ...

    def caveat(self, tables: Tables, /) -> str: ...


@dataclass(frozen=True, slots=True)
class Found:
    """What the sections of a study's page are drawn from."""

    points: pd.DataFrame
    outcomes: list[claims.Outcome]


def build(
    store: Store,
    keys: Sequence[str] | None,
    folder: Path,
    *,
    title: str,
    command: str,
    expectations: Sequence[Expectation] = (),
    study: Study = perceptron,
) -> dict[str, Any]:
    """The page on the simulate folders of these keys; see `page.write`."""
    assert keys is not None
    folders = [store.get("simulate", key) for key in keys]
    tables = tables_of(folders)
    runs = study.runs(tables)
    found = Found(study.points(runs), [claims.check(expectation, runs) for expectation in expectations])
    drawn = [_figures(one) for one in study.figures(tables) if one.drawings]
    return page.write(
        folder,
        found,
        [*drawn, page.expected, _points],
        title=title,
        verdict=study.verdict(runs),
        caveat=study.caveat(tables),
        tables={"table.csv": runs, "points.csv": found.points},
        claims={},
        origin=origin([one.record for one in folders], command),
        runs=len(folders),
        points=len(found.points),
    )


def tables_of(folders: Sequence[Folder]) -> dict[str, pd.DataFrame]:
    """The tables of all folders under each other, with the settings of each in its rows."""
    blocks: dict[str, list[pd.DataFrame]] = {}
    for one in folders:
        recipe = one.record["recipe"]
        settings = {name: recipe[name] for name in ("keep", "rule", "seed")}
        settings |= {name: value for name, value in recipe["theory"].items() if not isinstance(value, list | tuple)}
        for path in sorted(one.path.glob("*.parquet")):
            blocks.setdefault(path.stem, []).append(pd.read_parquet(path).assign(**settings))
    return {name: pd.concat(rows, ignore_index=True) for name, rows in blocks.items()}


def _figures(figures: Figures) -> Callable[[Found], Section]:
    return lambda _: shown(figures)


def _points(found: Found) -> Section:
    rows = [{str(name): cell(value, 4) for name, value in row.items()} for row in found.points.to_dict("records")]
    return Section("Points", [details(f"{len(rows)} points, with 95 % t intervals", cells(rows))])
