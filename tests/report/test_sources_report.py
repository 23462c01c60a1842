"""Sources on the page of searches: shares of weight, contributions over the mean, where there is nothing to show."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

from prune_lab.experiments.report.equality import sources
from prune_lab.experiments.store.folders import Folder

SHARES = {"books": 0.75, "films": 0.25}


def searched(path: Path, task: str, found: tuple[float, float]) -> Folder:
    """Two sources that weigh (.75, .25) and contribute (1, 3), and in the found policy both weigh half and `found`."""
    path.mkdir()
    rows = [
        {"policy": policy, "step": step, "group": name, "examples": share, "weight": weight, "ct": phi, "phi": phi}
        for policy, weights, phis in (("constant", (0.75, 0.25), (1.0, 3.0)), ("found", (0.5, 0.5), found))
        for step in (0, 10, 20)
        for (name, share), weight, phi in zip(SHARES.items(), weights, phis, strict=True)
    ]
    pd.DataFrame(rows).to_parquet(path / "groups.parquet")
    return Folder(path, {"recipe": {"task": {"name": task}}})


@pytest.fixture
def rows(tmp_path: Path) -> pd.DataFrame:
    found = sources.table([searched(tmp_path / str(seed), "pydoc", (2.0 + seed, 2.0 + seed)) for seed in range(3)])
    assert found is not None
    return found


def test_contributions_are_over_the_mean_of_all(rows: pd.DataFrame) -> None:
    means = rows.groupby(["policy", "group"])["relative"].mean()
    assert means["constant", "books"] == pytest.approx(1 / 1.5)
    assert means["constant", "films"] == pytest.approx(3 / 1.5)
    assert means["found", "books"] == means["found", "films"] == 1


def test_a_row_for_each_source(rows: pd.DataFrame) -> None:
    numbers = {"lift_books": [0.6, 0.7, 0.8], "lift_films": 2.0, "constant_between_phi": 0.5, "found_between_phi": 0.0}
    first, second = sources.weights("two texts", rows, pd.DataFrame(numbers))
    assert (first["source"], second["source"]) == ("books", "films")
    assert first["weight / share, found"].startswith("0.7 [")
    assert first["φ / mean φ, constant"].startswith("0.667")
    assert second["φ / mean φ, found"].startswith("1 ")
    del numbers["lift_films"]  # nothing of it is kept
    _, second = sources.weights("two texts", rows, pd.DataFrame(numbers))
    assert second["weight / share, found"] == "–"


def test_the_figure_has_a_line_for_each_source(rows: pd.DataFrame) -> None:
    weights, contributions = sources.drawings("two texts", rows)
    axes = Figure().subplots()
    weights.draw(axes)
    lines = {str(line.get_label()): list(line.get_ydata()) for line in axes.lines}
    assert lines["books"] == lines["films"] == [0.5, 0.5, 0.5]
    dotted = {line.get_ydata()[0] for line in axes.lines if line.get_linestyle() == ":"}
    assert dotted == {0.75, 0.25}
    axes = Figure().subplots()
    contributions.draw(axes)
    solid = [line for line in axes.lines if line.get_label() in SHARES]
    assert all(list(line.get_xdata()) == [0, 10] for line in solid)  # of the first three quarters
    assert {float(line.get_ydata()[0]) for line in solid} == {1.0}


def test_more_sources_than_colours_are_all_drawn(rows: pd.DataFrame) -> None:
    many = pd.concat([rows.assign(group=f"{rows['group'].iloc[0]} {number}") for number in range(10)])
    axes = Figure().subplots()
    sources.drawings("ten texts", many)[0].draw(axes)
    assert len({line.get_label() for line in axes.lines if str(line.get_label()).startswith("books")}) == 10


def test_classes_and_older_searches_have_no_sources(tmp_path: Path) -> None:
    assert sources.table([searched(tmp_path / "classes", "digits", (1.0, 1.0))]) is None
    older = searched(tmp_path / "older", "pydoc", (1.0, 1.0))
    (older.path / "groups.parquet").unlink()
    assert sources.table([older]) is None
