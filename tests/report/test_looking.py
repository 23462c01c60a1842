"""What a page lets people look at: examples by how they were drawn, loss curves, a title of one's own, a browser."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from prune_lab.experiments.contracts import Data, Examples
from prune_lab.experiments.figures import panels
from prune_lab.experiments.laws import claims
from prune_lab.experiments.pruning.gallery import gallery
from prune_lab.experiments.report.pruning import curves, laws
from prune_lab.experiments.report.pruning import gallery as shown
from prune_lab.experiments.report.pruning.runs import table
from prune_lab.experiments.store.folders import Store

from ..command_line import call
from ..synthetic_store import build

THIN = {"pools": (2000,), "keeps": (0.5,), "rules": ("random", "hard"), "budgets": ("epochs",), "seeds": 2}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return build(tmp_path_factory.mktemp("looking"), **THIN)  # type: ignore[arg-type]


def drawn() -> pd.DataFrame:
    """The gallery of forty images, of which two are copies of the fourth."""
    images = np.arange(40 * 12, dtype=np.uint8).reshape(40, 3, 2, 2)
    images[[7, 31]] = images[3]
    ids = np.array([f"cat/{number}.png" for number in range(40)])
    train = Examples(images, np.zeros(40, np.int64), ids)
    data = Data("images", "images", {"train": train, "dev": train, "test": train}, ("cat",))
    return gallery(data, np.arange(20), np.arange(40.0))


def test_a_gallery_says_how_it_was_drawn_and_what_copies_are_copies_of() -> None:
    rows = drawn()
    assert list(dict.fromkeys(rows["drawn"])) == ["hardest", "copies", "kept", "dropped"]
    assert rows.loc[rows["drawn"] == "hardest", "index"].tolist() == list(range(39, 23, -1))
    copies = rows[rows["drawn"] == "copies"]
    assert copies["index"].tolist() == [3, 7, 31]
    assert set(copies["of"]) == {"cat/3.png"}
    assert rows.loc[rows["drawn"] == "kept", "kept"].all()
    assert not rows.loc[rows["drawn"] == "dropped", "kept"].any()


def test_the_page_leads_with_the_hardest_and_the_copies_and_shows_file_names(store: Store) -> None:
    runs = table(store)
    key = runs.loc[runs["rule"] == "hard", "prune"].iloc[0]
    older = shown.section(store, runs)
    drawn().to_parquet(store.path("prune", key) / "gallery.parquet")
    section = shown.section(store, runs)
    assert older is not None
    assert section is not None
    text = "".join(map(str, section.parts))
    order = [text.index(f"<h4>{name}</h4>") for name in ("hardest, with labels", "copies", "kept", "dropped")]
    assert order == sorted(order)
    assert "the highest scores of the pool" in text
    assert "<span>cat</span><span>39</span><span>cat/39.png</span>" in text
    assert "a copy of cat/3.png" in text
    before = "".join(map(str, older.parts))
    assert "<h4>kept</h4>" in before
    assert "hardest, with labels" not in before


@pytest.mark.usefixtures("real_figures")
def test_a_page_of_runs_has_their_loss_curves(store: Store) -> None:
    runs = table(store)
    found = laws.panels(runs, claims.advantage(runs))
    assert curves.section(store, found) is None  # older runs kept none
    for place, key in enumerate(runs["train"]):
        losses = pd.DataFrame({"step": [10, 20], "dev_loss": [2.0, 1.0 + place]})
        losses.to_parquet(store.path("train", key) / curves.FILE)
    (drawing,) = curves._drawings(store, found[0])
    assert drawing.data is not None
    end = drawing.data.set_index(["rule", "step"])["dev_loss"]
    places = {rule: [place for place, one in enumerate(runs["rule"]) if one == rule] for rule in set(runs["rule"])}
    for rule, own in places.items():
        assert end[rule, 20] == pytest.approx(1 + np.mean(own))
    assert "hardest, keep 0.5: " in panels.inline(drawing, "a")[0]


def test_a_page_has_a_title_of_ones_own_and_opens(
    store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda address: bool(opened.append(address)) or True)
    monkeypatch.setattr(panels, "save", lambda *_, **__: None)
    answer = call(capsys, "report", "--open", "title=Half, by hardness", f"results={store.root}")
    assert answer.code == 0, answer.err
    page = Path(store.root) / "report" / "all" / "index.html"
    assert opened == [page.resolve().as_uri()]
    assert "<h1>Half, by hardness</h1>" in page.read_text()
    assert "without effect" not in answer.err
    assert call(capsys, "train", "--open").code == 2
