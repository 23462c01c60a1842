"""Comparisons that people ask for: own scores by their names, one against another, and what is at chance."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

from prune_lab.experiments.figures import panels
from prune_lab.experiments.laws import claims
from prune_lab.experiments.laws.pairs import between_scores
from prune_lab.experiments.report.pruning import build as page
from prune_lab.experiments.report.pruning import gains, guessing, laws, overview, scaling, single
from prune_lab.experiments.report.pruning.runs import points, table
from prune_lab.experiments.store.folders import Store

from ..synthetic_store import build

THIN = {"pools": (2000,), "keeps": (0.5,), "rules": ("random", "hard"), "budgets": ("epochs",)}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """EL2N and two files of scores, under one rule."""
    root = tmp_path_factory.mktemp("own")
    for file in ("", "mine.csv", "other.csv"):
        build(root, file=file, **THIN)  # type: ignore[arg-type]
    return Store(root)


@pytest.fixture(scope="module")
def runs(store: Store) -> pd.DataFrame:
    return table(store)


def test_files_of_scores_are_called_by_their_names(runs: pd.DataFrame) -> None:
    """Two of them were `file, fingerprint 3f2a...` and `file, fingerprint 77b0...`."""
    assert set(laws.scorers(runs).values()) == {"el2n", "mine.csv", "other.csv"}
    assert set(runs.loc[runs["scorer"] == "file", "scorer.file"]) == {"mine.csv", "other.csv"}
    named = laws.placed(claims.advantage(runs), runs)
    assert set(named["scorer"]) == {"el2n", "mine.csv", "other.csv"}


def test_every_score_meets_every_other_and_el2n_is_the_other_side(runs: pd.DataFrame) -> None:
    pairs, by = between_scores(runs), laws.scorers(runs)
    assert [(by[one], by[other]) for one, other in zip(pairs["selection"], pairs["other"], strict=True)].count(
        ("mine.csv", "el2n")
    ) == 1
    assert len(pairs) == 3
    assert set(pairs["other"].map(by)) <= {"el2n", "mine.csv", "other.csv"}
    row = pairs[(pairs["selection"].map(by) == "mine.csv") & (pairs["other"].map(by) == "el2n")].iloc[0]
    hard = runs[runs["rule"] == "hard"].assign(by=lambda rows: rows["selection"].map(by)).set_index(["by", "seed"])
    apart = hard.loc["mine.csv", "accuracy"] - hard.loc["el2n", "accuracy"]
    assert row["effect"] == pytest.approx(apart.mean())
    assert (row["n"], row["paired"]) == (3, True)


@pytest.mark.usefixtures("real_figures")
def test_the_page_shows_them_in_one_table_and_one_figure(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(panels, "save", lambda *_, **__: None)
    page.build(store, None, tmp_path, title="t", command="c")
    text = re.sub(r"\s+", " ", (tmp_path / "index.html").read_text())
    head = text.partition("<svg")[0]
    assert "Every score and rule" in head
    for name in ("el2n", "mine.csv", "other.csv"):
        assert f'<th scope="row">{name}</th>' in head
    assert text.count("<h2>One score against another</h2>") == 1
    assert "mine.csv against el2n, hardest 0.5: " in head
    assert 'aria-label="Against el2n, cifar10 · convnet 0.25' in text
    assert "<title>mine.csv · hardest 0.5, seed 2: " in text
    data = re.findall(r'download="([^"]+)" href="data:text/csv;base64,([^"]+)"', text)
    assert len(data) == text.count("<svg")
    (first,) = [content for name, content in data if name.startswith("against-el2n-cifar10-convnet")]
    rows = pd.read_csv(io.BytesIO(base64.b64decode(first)))
    assert list(rows) == ["row", "gain", "low", "high"]


@pytest.mark.usefixtures("real_figures")
def test_what_is_at_chance_is_marked_and_warned_of(store: Store, runs: pd.DataFrame) -> None:
    low = runs.assign(chance=0.1)
    low.loc[low["rule"] == "hard", "accuracy"] = 0.11
    for key in runs["evaluate"]:
        pd.DataFrame({"index": range(500)}).to_parquet(store.path("evaluate", key) / guessing.FILE)
    guessed = guessing.points(store, low)
    assert set(guessed.values()) == {0.1}
    grouped = points(low)
    assert set(grouped.loc[grouped["point"].isin(list(guessed)), "rule"]) == {"hard"}
    (warning,) = page.at_chance(grouped, guessed)
    assert "3 of 5 points are at chance (hardest 0.5)" in warning
    assert list(page.at_chance(grouped, {})) == []
    advantage = claims.advantage(low)
    section = overview.section(laws.placed(advantage, low), grouped, guessed)
    assert section is not None
    assert str(section.parts[1]).count("<small>at chance</small>") == 3
    found = laws.panels(low, advantage, guessed)
    (drawing,) = single.reached(found)
    assert drawing.data is not None
    assert drawing.data.set_index("rule")["at chance"].to_dict() == {"random": False, "hard": True}
    assert "hardest · mine.csv (at chance)" in panels.inline(drawing, "a")[0]
    assert guessing.points(store, runs.drop(columns="chance", errors="ignore")) == {}


def test_panels_that_share_a_baseline_share_their_axes(tmp_path: Path) -> None:
    pools = {**THIN, "pools": (2000, 8000), "rules": ("random", "hard", "easy")}
    build(tmp_path, scorer="margin", **{**pools, "keeps": (0.2,)})  # type: ignore[arg-type]
    own = table(build(tmp_path, **pools))  # type: ignore[arg-type]
    found = laws.panels(own, claims.advantage(own))
    assert len(found) == 2
    for draw in (scaling.drawings, gains.drawings):
        seen = set()
        for drawing in [one for panel in found for one in draw([panel])]:
            axes = Figure().subplots()
            drawing.draw(axes)
            seen.add((axes.get_xlim(), axes.get_ylim()))
        assert len(seen) == 1, draw


@pytest.mark.usefixtures("real_figures")
def test_dots_of_several_scores_have_one_scale(runs: pd.DataFrame) -> None:
    found = laws.panels(runs, claims.advantage(runs))
    (reached,), (gained,) = single.reached(found), single.gained(found)
    axes = Figure().subplots()
    reached.draw(axes)
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["random", "hardest · el2n", "hardest · mine.csv", "hardest · other.csv"]
    svg, data = panels.inline(gained, "a")
    assert "hardest · mine.csv, keep 0.5, seed 0: " in svg
    assert len(pd.read_csv(io.StringIO(data))) == 3
