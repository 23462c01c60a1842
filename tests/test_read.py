"""Results as data frames: the numbers are those of the page, and the columns are the documented ones."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from prune_lab.experiments import read
from prune_lab.experiments.errors import ConfigError, MissingInput
from prune_lab.experiments.laws import claims
from prune_lab.experiments.laws.expectations import Expectation, Point
from prune_lab.experiments.report.pruning.runs import table
from prune_lab.experiments.store import disk
from prune_lab.experiments.store.folders import Store

from . import notebook
from .laws.test_claims import runs as made_up
from .synthetic_store import publish

EFFECT = ["effect", "low", "high", "n", "paired"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    root = tmp_path_factory.mktemp("read")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disk, "flush", lambda path: None)
        return notebook.made_up(root / "results")


def test_a_comparison_has_the_numbers_of_the_page(store: Store) -> None:
    runs = read.runs(store.root)
    page = claims.advantage(table(store))
    found = read.compare(runs, {"rule": "hard"}, {"rule": "random"})
    both = found.merge(page, on=["pool", "keep", "budget"], suffixes=("", "_page"))
    assert len(both) == len(page) == len(found) == 8
    for name in EFFECT:
        np.testing.assert_array_equal(both[name], both[f"{name}_page"])
    assert (both["verdict"] == both["verdict_page"].replace({"better": "higher", "worse": "lower"})).all()
    where = {"pool": 32_000, "keep": 0.2, "budget": "epochs"}
    sides = where | {"rule": "hard"}, where | {"rule": "random"}
    claim = Expectation(
        claim="c", source="s", point=Point(where=sides[0], metric="error"),
        versus=Point(where=sides[1], metric="error"), at_most=0,
    )  # fmt: skip
    outcome = claims.check(claim, table(store))
    (row,) = read.compare(runs, *sides, "error").to_dict("records")
    assert [row[name] for name in ("effect", "low", "high", "n")] == [
        outcome.effect, outcome.low, outcome.high, outcome.n
    ]  # fmt: skip


def test_a_comparison_says_what_it_shares_and_what_differs() -> None:
    one = made_up({"hard": [0.90, 0.91, 0.93], "random": [0.80, 0.82, 0.81]})
    longer = made_up({"hard": [0.95, 0.96, 0.97]}).assign(setup="b")
    runs = pd.concat([one.assign(**{"recipe.epochs": 4}), longer.assign(**{"recipe.epochs": 8})], ignore_index=True)
    (row,) = read.compare(runs, {"rule": "hard"}, {"rule": "random"}).to_dict("records")
    assert (row["rule_a"], row["rule_b"], row["keep"], row["setup"], row["verdict"]) == (
        "hard", "random", 0.5, "a", "higher"
    )  # fmt: skip
    (row,) = read.compare(runs, {"recipe.epochs": 8}, {"recipe.epochs": 4, "rule": "hard"}).to_dict("records")
    assert row["effect"] == pytest.approx(0.14 / 3)  # the hash of the setup differs with the epochs that are named
    assert "setup" not in row
    with pytest.raises(MissingInput, match=r"they differ in recipe\.epochs"):
        read.compare(runs.assign(keep=runs["recipe.epochs"] / 8), {"rule": "random"}, {"recipe.steps": None, "keep": 1})
    with pytest.raises(ConfigError, match="no column accurcy"):
        read.compare(runs, {}, {}, "accurcy")
    with pytest.raises(MissingInput, match="no run with rule=easy"):
        read.compare(runs, {"rule": "easy"}, {"rule": "random"})


def test_an_unpruned_run_is_compared_under_either_budget(store: Store) -> None:
    pruned, whole = {"rule": "hard", "keep": 0.2, "pool": 2000}, {"keep": 1.0, "pool": 2000}
    runs = read.runs(store.root)
    forward, back = read.compare(runs, pruned, whole), read.compare(runs, whole, pruned)
    assert list(forward["budget"]) == list(back["budget"]) == ["epochs", "steps"]
    np.testing.assert_allclose(forward["effect"], -back["effect"])
    with pytest.raises(MissingInput, match="they differ in keep"):
        read.compare(runs, {"rule": "hard"}, {"rule": "none"})


def test_every_folder_says_its_settings(store: Store) -> None:
    found = read.folders(store.root)
    assert list(found.columns[:12]) == ["phase", "key", "name", *read.SETTINGS]
    assert len(found) == len(store.folders())
    evaluated = found[found["phase"] == "evaluate"].set_index("key")
    for row in read.runs(store.root).to_dict("records"):
        own = evaluated.loc[row["evaluate"]]
        assert [own[name] for name in read.SETTINGS] == [row[name] for name in read.SETTINGS]
    scored = found[found["phase"] == "score"]
    assert set(scored["scorer"]) == {"el2n"}
    assert scored["keep"].isna().all()


def test_settings_choose_rows(store: Store) -> None:
    where: dict[str, Any] = {"rule": ["hard", "random"], "keep": 0.2, "recipe.epochs": 12}
    assert set(read.runs(store.root, where)["rule"]) == {"hard", "random"}
    assert len(read.folders(store.root, where | {"task.examples": 2000}, phase="train")) == 12
    with pytest.raises(ConfigError, match=r"a setting recipe\.epoch\n.*: recipe\.epochs"):
        read.runs(store.root, {"recipe.epoch": 12})
    with pytest.raises(MissingInput, match=r"keep=0\.3"):
        read.runs(store.root, {"keep": 0.3})
    with pytest.raises(MissingInput, match="no search"):
        read.contributions(store.root)


def test_a_proxy_is_of_the_scorers_that_read_it(tmp_path: Path) -> None:
    store = Store(tmp_path)
    proxy = publish(store, "train", {"task": {"name": "digits"}, "proxy": {"number": 1}, "seed": 3}, {}, {})
    for name in ("margin", "el2n"):
        publish(store, "score", {"task": {"name": "digits"}, "scorer": {"name": name}}, {"train_0": proxy.name}, {})
    (row,) = read.folders(tmp_path, phase="train").to_dict("records")
    assert (row["scorer"], row["proxy.number"], row["seed"], pd.isna(row["keep"])) == ("el2n,margin", 1, 3, True)
    assert list(read.folders(tmp_path / "none").columns[:3]) == ["phase", "key", "name"]


def test_examples_are_read_with_their_settings(store: Store) -> None:
    scores, kept = read.scores(store.root), read.kept(store.root, {"rule": "hard", "keep": 0.2})
    assert list(scores.columns) == ["key", "task", "scorer", "seed", "index", "id", "score", "label", "spread"]
    known = ["key", "task", "scorer", "rule", "keep", "seed", "index", "id", "score"]
    assert list(kept.columns) == known
    assert len(kept) == 2 * 5
    joined = kept.merge(scores, on="id", suffixes=("", "_scored"))
    assert (joined["score"] == joined["score_scored"]).all()
    assert read.kept(store.root, {"rule": "random"})["score"].isna().all()


def test_the_columns_are_the_documented_ones(store: Store) -> None:
    documented = {*re.findall(r"[a-z_]+(?:\.[a-z_]+)?", (read.runs.__doc__ or "").partition("Columns")[2])}
    runs = read.runs(store.root)
    named = {
        "task",
        "model",
        "rule",
        "scorer",
        "keep",
        "pool",
        "seed",
        "accuracy",
        "error",
        "point",
        "setup",
        "created",
    }
    assert named <= documented & set(runs.columns)


def test_the_published_pages_are_read() -> None:
    found = read.claims(read.published())
    assert list(found.columns) == ["page", *read.CLAIMED]
    assert (found["page"] == "beyond_power_law").any()
    runs = read.runs(read.published() / "demo")
    compared = read.compare(runs, {"rule": "hard"}, {"rule": "random"})
    assert set(compared["verdict"]) <= {"higher", "lower", "undecided"}


def test_the_notebook_shows_what_its_cells_give(store: Store) -> None:
    """Outputs that are stale are written anew by `python -m tests.notebook`."""
    written = json.loads(notebook.NOTEBOOK.read_text())
    found = [notebook.plain(one) for one in notebook.outputs(written, store.root)]
    assert found == [notebook.plain(cell["outputs"]) for cell in notebook.code(written)]
    assert [cell["execution_count"] for cell in notebook.code(written)] == list(range(1, len(found) + 1))
    assert (written["nbformat"], len({cell["id"] for cell in written["cells"]})) == (4, len(written["cells"]))
