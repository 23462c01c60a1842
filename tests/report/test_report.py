"""The page stands alone, says what the runs say, and copes with thin studies."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.figure import Figure

from prune_lab.experiments.errors import MissingInput
from prune_lab.experiments.figures import axes as readable
from prune_lab.experiments.figures import panels
from prune_lab.experiments.laws import claims
from prune_lab.experiments.laws.expectations import Expectation, Point
from prune_lab.experiments.laws.headline import headline
from prune_lab.experiments.report import provenance
from prune_lab.experiments.report.pruning import build as page
from prune_lab.experiments.report.pruning import gains, kept, laws, layout, scaling
from prune_lab.experiments.report.pruning.runs import named, newest, points, table
from prune_lab.experiments.report.table import write
from prune_lab.experiments.store.folders import Store

from ..synthetic_store import build

COMMAND = "prune-lab reproduce experiment=demo 'task.path=<here>'"


class Page(HTMLParser):
    """What the tests ask of a page: identifiers, references and addresses."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.references: list[str] = []
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id" and value:
                self.ids.append(value)
            self.references += re.findall(r"url\(#([^)]+)\)", value or "")
            if name in ("href", "xlink:href", "src") and value:
                (self.references if value.startswith("#") else self.addresses).append(value.lstrip("#"))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Store:
    root = tmp_path_factory.mktemp("study")
    build(root, pools=(2000, 8000, 32_000), keeps=(0.8, 0.2), rules=("random", "hard"), budgets=("epochs",))
    return build(
        root, task="pydoc", model="gpt", width=64, pools=(2000,), keeps=(0.5,), rules=("random", "middle"),
        budgets=("epochs",), scorer="perplexity", seeds=2,
    )  # fmt: skip


def expected(at_least: float, rule: str = "hard") -> Expectation:
    where = {"task": "cifar10", "rule": rule, "keep": 0.2, "pool": 32_000}
    return Expectation(
        claim=f"keep {rule} pays <on> a large pool", source="arXiv:2206.14486", point=Point(where=where),
        versus=Point(where=where | {"rule": "random"}), at_least=at_least,
    )  # fmt: skip


@pytest.fixture(scope="module")
def built(study: Store, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("page")
    wanted = (expected(0.0), expected(0.5), expected(0.0, "nonsense"))
    rows = table(study)
    keys = list(rows[rows["task"] == "cifar10"]["evaluate"])
    return folder, page.build(study, keys, folder, title="A <b>title</b>", command=COMMAND, expectations=wanted)


def test_examples_seen_stand_beside_equal_steps(built: tuple[Path, dict[str, Any]]) -> None:
    """Batches are of near-equal size: a step of a nominal 128 may see 74 examples, or 148."""
    runs = pd.DataFrame({"budget": ["steps", "steps", "both"], "steps": [40, 40, 40], "examples_seen": [2960, 5920, 1]})
    runs["setup"] = "a"
    said = provenance.budgets(runs)
    assert "a step saw 74 to 148 examples" in said[-1]
    assert len(said) == 3
    assert len(provenance.budgets(runs.assign(examples_seen=5120))) == 2
    assert len(provenance.budgets(runs.assign(setup=["a", "b", "a"]))) == 2  # another batch size is no rounding
    assert "<th>examples seen</th>" in re.sub(r"<th[^>]*>", "<th>", (built[0] / "index.html").read_text())


def test_a_page_says_which_randomness_its_scores_have() -> None:
    """A score that draws without a proxy, as scorer=random, had "proxies for its score"."""
    runs = pd.DataFrame({"score": ["a", "b"], "score_seed": [1.0, 2.0], "score_shared": False, "score_proxies": 0})
    runs["scorer"] = "random"
    assert "initialisation and order of batches, and draw of its score." in provenance.randomness(runs)
    assert "proxies" not in provenance.randomness(runs.assign(score_shared=True))
    assert "share one draw of the score (random)" in provenance.randomness(runs.assign(score_shared=True))
    trained = runs.assign(scorer="el2n", score_proxies=3)
    assert "batches, and proxies for its score." in provenance.randomness(trained)
    assert "One set of proxies scored" in provenance.randomness(trained.assign(score_shared=True))
    still = provenance.randomness(runs.assign(scorer="file", score_seed=float("nan")))
    assert "Scores that draw nothing are the same for all seeds (file)" in still
    assert "own initialisation and order of batches." in still


def test_metrics_say_what_came_out(built: tuple[Path, dict[str, Any]]) -> None:
    folder, metrics = built
    assert metrics["runs"] == 3 * (3 + 2 * 2 * 3)
    assert metrics["points"] == 3 * (1 + 2 * 2)
    assert metrics["claims"] == {"holds": 1, "fails": 1, "undecided": 0, "no runs": 1}
    said = [one.split(":")[:2] for one in metrics["failed"]]
    assert said == [
        ["fails", " keep hard pays <on> a large pool"],
        ["no runs", " keep nonsense pays <on> a large pool"],
    ]
    assert "keeping the hardest: from" in metrics["verdict"]
    assert metrics["verdict"].endswith("of 6.")
    assert len(pd.read_csv(folder / "table.csv")) == metrics["runs"]
    assert len(pd.read_csv(folder / "points.csv")) == metrics["points"]
    written = json.loads((folder / "claims.json").read_text())
    assert [one["verdict"] for one in written["expectations"]] == ["holds", "fails", "no runs"]
    assert len(written["advantage"]) == 6


def test_the_page_is_self_contained(built: tuple[Path, dict[str, Any]]) -> None:
    folder, metrics = built
    text = (folder / "index.html").read_text()
    found = Page(text)
    files = [address for address in found.addresses if not address.startswith(("data:", "https://arxiv.org/abs/"))]
    assert files
    assert all((folder / address).is_file() for address in files)
    assert not re.search(r"(@import|url\(['\"]?https?:|<link|<script[^>]+src|<\?xml)", text)
    assert metrics["verdict"] in text
    assert sum(address.startswith("data:image") for address in found.addresses) == 24


def test_identifiers_of_several_drawings_do_not_clash(built: tuple[Path, dict[str, Any]]) -> None:
    found = Page((built[0] / "index.html").read_text())
    assert found.tags.count("svg") >= 4
    assert len(found.ids) == len(set(found.ids))
    assert found.references
    assert set(found.references) <= set(found.ids)


def test_what_people_wrote_is_escaped(built: tuple[Path, dict[str, Any]]) -> None:
    text = (built[0] / "index.html").read_text()
    assert "A &lt;b&gt;title&lt;/b&gt;" in text
    assert "<b>" not in text
    assert "&lt;here&gt;" in text


def test_the_page_says_budget_epoch_seeds_and_reasons(built: tuple[Path, dict[str, Any]]) -> None:
    text = re.sub(r"\s+", " ", (built[0] / "index.html").read_text())
    for words in (
        "Equal epochs: a pruned set is passed over as often",
        "best dev epoch",
        "which is 6",
        "0123456789ab",
        "processor a processor",
        "recipe.batch_size",
    ):
        assert words in text, words


def test_whole_numbers_are_integers_beside_missing_values(tmp_path: Path) -> None:
    rows = pd.DataFrame({"kept": [28500.0, None], "steps": [None, 7], "keep": [1.0, 0.5], "error": [0.1, 1 / 3]})
    write(rows, tmp_path / "table.csv")
    assert (tmp_path / "table.csv").read_text() == (
        "kept,steps,keep,error\n28500,,1.0,0.1\n,7,0.5,0.3333333333333333\n"
    )


def test_figures_of_record_are_written(built: tuple[Path, dict[str, Any]]) -> None:
    names = {path.name for path in (built[0] / "figures").iterdir()}
    for stem in ("scaling", "advantage", "kept"):
        assert {f"{stem}.svg", f"{stem}.pdf", f"{stem}.png"} <= names


def test_files_of_several_setups_have_names_of_their_own(study: Store, tmp_path: Path) -> None:
    runs = newest(table(study))
    found = laws.panels(runs, claims.advantage(runs))
    stems = ["cifar10-convnet-0-25-el2n", "pydoc-gpt-64"]  # of a single pool: every score in one
    for kind, draw in (("scaling", scaling.drawings), ("advantage", gains.drawings)):
        assert [one.name for one in layout.records(kind, found, draw)] == [f"{kind}-{stem}" for stem in stems]


def test_the_verdict_names_the_setup_of_the_largest_gain(study: Store) -> None:
    """Two widths of one network differ in nothing else that a comparison says of itself."""
    runs = newest(table(study))
    wide = runs[runs["task"] == "cifar10"].assign(setup="wide", width=1.0, **{"model.width": 1.0})
    wide.loc[wide["rule"] == "hard", "accuracy"] += 0.3
    both = pd.concat([runs, wide])
    lines = headline(laws.placed(named(claims.advantage(both)), both)).splitlines()
    assert re.match(r"cifar10 · convnet 1: keeping the hardest: from .* \(keep 0.\d of 32,000\);", lines[2])


def test_some_runs_alone_can_be_asked_for(study: Store, tmp_path: Path) -> None:
    rows = table(study)
    text = rows[rows["task"] == "pydoc"]
    metrics = page.build(study, list(text["evaluate"]), tmp_path, title="t", command="c")
    assert metrics["runs"] == len(text)
    assert metrics["verdict"].startswith("Keeping the middle 0.5 by perplexity against random: ")
    assert metrics["verdict"].endswith("2 seeds, equal epochs: undecided (fewer than 3 seeds).")
    written = (tmp_path / "index.html").read_text()
    for words in (
        "bits per byte saved",
        "the &lt;b&gt;film&lt;/b&gt; is a &amp; b",
        "3 of 3 points have fewer than 3 seeds",
    ):
        assert words in written, words
    assert "<b>film" not in written


def test_nothing_evaluated_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(MissingInput) as error:
        page.build(Store(tmp_path), None, tmp_path / "page", title="t", command="c")
    assert error.value.mend == "prune-lab reproduce experiment=demo"
    assert not (tmp_path / "page").exists()


@pytest.mark.parametrize("rules", [(), ("random",)])
def test_a_study_without_scores_still_makes_a_page(rules: tuple[str, ...], tmp_path: Path) -> None:
    store = build(tmp_path / "store", pools=(2000, 4000), keeps=(0.5,), rules=rules, seeds=1, budgets=("steps",))
    metrics = page.build(store, None, tmp_path / "page", title="t", command="c")
    assert "No rule was compared" in metrics["verdict"]
    assert "no score-based rule was run" in (tmp_path / "page" / "index.html").read_text()


@pytest.mark.usefixtures("real_figures")
def test_a_drawing_is_the_same_every_time(study: Store) -> None:
    runs = newest(table(study))
    panel = laws.panels(runs[runs["task"] == "pydoc"], claims.advantage(runs))[0]
    drawing = scaling.drawings([panel])[0]
    first, data = panels.inline(drawing, "a")
    assert (first, data) == panels.inline(drawing, "a")
    assert first.startswith("<svg")
    assert "var(--ink" in first
    assert ' width="' not in first.split(">", 1)[0]
    used = set(re.findall(r' class="([^"]+)"', first))  # two drawings of a page share no name
    assert used == set(re.findall(r"^\.([\w-]+)\{", first, re.MULTILINE)) > set()
    assert not used & set(re.findall(r' class="([^"]+)"', panels.inline(drawing, "b")[0]))
    assert " style=" not in first


def test_the_envelope_belongs_to_pruned_points(study: Store) -> None:
    runs = newest(table(study))
    found = laws.panels(runs[runs["task"] == "cifar10"], claims.advantage(runs))
    assert len(found) == 1
    panel = found[0]
    assert panel.unpruned.comparison.power is not None
    assert panel.unpruned.comparison.power.rate == pytest.approx(0.35, abs=0.03)
    assert panel.envelope is not None
    assert (panel.envelope.curve.y[:-1] > panel.envelope.curve.y[1:]).all()
    assert "are pruned" in panel.envelope_note
    harmful = runs.copy()
    harmful.loc[harmful["rule"] == "hard", "error"] = 0.95
    harmful = harmful[(harmful["task"] == "cifar10") & ((harmful["pool"] > 2000) | (harmful["rule"] == "none"))]
    worse = laws.panels(harmful[harmful["examples"] >= 2000], claims.advantage(runs))[0]
    assert worse.envelope is None
    assert "no pruned point" in worse.envelope_note


def test_setups_that_differ_in_one_setting_are_named_by_it(tmp_path: Path) -> None:
    runs = table(build(tmp_path, pools=(2000,), keeps=(0.5,), rules=("random", "hard"), budgets=("epochs",)))
    other = runs.assign(setup="other", point="other " + runs["point"], **{"recipe.epochs": 24.0})
    both = pd.concat([runs, other], ignore_index=True)
    names = [panel.setup for panel in laws.panels(both, claims.advantage(both))]
    assert names == ["cifar10 · convnet 0.25, epochs 12", "cifar10 · convnet 0.25, epochs 24"]


def test_ways_to_choose_that_words_do_not_tell_apart_keep_their_hash() -> None:
    """Of one name, the page's table of distributions would take them for seeds of one."""
    runs = pd.DataFrame({"selection": ["a1", "b2", "c3"], "scorer": ["el2n", "el2n", "grand"]})
    names = laws._named(runs, ["selection"], ["scorer"], ("scorer.",))
    assert names == {("a1",): "el2n (a1)", ("b2",): "el2n (b2)", ("c3",): "grand"}
    shared = laws._named(
        runs.assign(**{"scorer.shared_seed": [None, 7, None]}), ["selection"], ["scorer"], ("scorer.",)
    )
    assert shared["b2",] == "el2n, shared seed 7"


def test_two_data_sets_of_one_task_and_size_are_told_apart(tmp_path: Path) -> None:
    for data in ("aaaaaa1111", "bbbbbb2222"):
        build(
            tmp_path / "store", task="images", pools=(2000,), keeps=(0.5,), rules=("random", "hard"),
            budgets=("epochs",), data=data,
        )  # fmt: skip
    every = table(Store(tmp_path / "store"))
    assert sorted(every["fingerprint"].unique()) == ["aaaaaa1111", "bbbbbb2222"]
    runs = newest(every)
    assert len(runs) == len(every) == 2 * 3 * 3
    grouped = points(runs)
    assert len(grouped) == 2 * 3
    assert set(grouped["n"]) == {3}
    other = runs["fingerprint"] == "bbbbbb2222"
    found = claims.advantage(runs.assign(accuracy=runs["accuracy"] + 0.5 * other))
    assert found["n"].tolist() == [3, 3]
    assert found["effect"].iloc[0] == pytest.approx(found["effect"].iloc[1])
    unlike = runs[(runs["rule"] != "random") | other]
    assert sorted(claims.advantage(unlike)["verdict"] == "no random") == [False, True]
    names = [panel.setup for panel in laws.panels(runs, found)]
    assert names == ["images aaaaaa · convnet 0.25", "images bbbbbb · convnet 0.25"]
    metrics = page.build(Store(tmp_path / "store"), None, tmp_path / "page", title="t", command="c")
    text = (tmp_path / "page" / "index.html").read_text()
    assert "images aaaaaa · convnet 0.25: keeping the hardest" in metrics["verdict"]
    assert "images bbbbbb · convnet 0.25: keeping the hardest" in metrics["verdict"]
    assert "older run" not in text
    assert "images aaaaaa: keep the hardest 0.5" in text
    assert "images bbbbbb: keep the hardest 0.5" in text
    assert pd.read_csv(tmp_path / "page" / "table.csv")["fingerprint"].nunique() == 2


@pytest.mark.parametrize("pools", [(2000,), (2000, 4000)])
def test_every_interval_lies_inside_its_axes(pools: tuple[int, ...], tmp_path: Path) -> None:
    store = build(
        tmp_path, pools=pools, keeps=(0.5, 0.25), rules=("random", "hard", "easy"), budgets=("epochs",), seeds=3,
        noise=0.15,
    )  # fmt: skip
    runs = newest(table(store))
    panel = laws.panels(runs, claims.advantage(runs))[0]
    drawn = [*scaling.drawings([panel]), *gains.drawings([panel])]
    assert len(drawn) == (4 if len(pools) == 1 else 5)  # of one pool: a drawing a fraction
    for drawing in drawn:
        axes = Figure().subplots()
        drawing.draw(axes)
        (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
        if len(pools) == 1:
            ends = [line.get_xdata() for line in axes.get_lines() if line.get_marker() == "None"]
            assert all(left < min(x) <= max(x) < right for x in ends if len(set(x) - {0, 1}))
            continue
        bars = [part for container in axes.containers for part in container[2][0].get_segments()]
        assert bars, drawing.title
        for (x, low), (_, high) in bars:
            assert left < x < right, drawing.title
            assert bottom < low <= high < top, drawing.title
        places = [x for (x, low), (_, high) in bars if high > low]
        assert len(places) == len(set(places)), drawing.title


def test_reasons_are_said_once_and_a_single_seed_is_one(tmp_path: Path) -> None:
    pair = {"rules": ("random", "hard"), "pools": (2000, 4000), "seeds": 1}
    store = build(tmp_path / "store", keeps=(0.5,), budgets=("epochs",), **pair)  # type: ignore[arg-type]
    page.build(store, None, tmp_path / "page", title="t", command="c")
    text = re.sub(r"\s+", " ", (tmp_path / "page" / "index.html").read_text())
    assert text.count("Unpruned: undecided (2 sizes of training set: a law needs at least 3") == 1
    assert text.count("1 seed a point") == 1
    assert "1 seeds" not in text


def test_an_unset_setting_is_no_word_of_a_setup(tmp_path: Path) -> None:
    runs = table(build(tmp_path, pools=(2000,), keeps=(0.5,), rules=("random", "hard"), budgets=("epochs",)))
    sizes = [
        runs.assign(setup=f"{size}", point=f"{size} " + runs["point"], **{"task.size": size}) for size in (None, 16.0)
    ]
    both = pd.concat(sizes, ignore_index=True)
    names = [panel.setup for panel in laws.panels(both, claims.advantage(both))]
    assert names == ["cifar10 · convnet 0.25", "cifar10 · convnet 0.25, size 16"]


def test_a_model_without_width_is_a_setup_like_any_other(tmp_path: Path) -> None:
    build(tmp_path, task="perceptron", model="perceptron", width=None, pools=(500,), keeps=(0.5,), rules=("random",))
    store = build(
        tmp_path, task="perceptron", model="perceptron", width=None, pools=(500,), keeps=(0.5,), rules=("hard",)
    )
    runs = table(store)
    advantage = claims.advantage(runs)
    assert advantage["n"].tolist() == [3, 3]
    found = laws.panels(runs, advantage)
    assert [panel.setup for panel in found] == ["perceptron · perceptron"] * 2
    assert [len(panel.points) for panel in found] == [3, 3]
    assert [len(gains.drawings([panel])) for panel in found] == [1, 1]


@pytest.mark.parametrize(("low", "high"), [(0.02, 0.9), (0.05, 0.06), (1.6, 2.1), (400, 32_000), (900, 1000)])
def test_a_log_axis_has_readable_ticks(low: float, high: float) -> None:
    ticks = readable.log_ticks(low, high)
    assert 2 <= len(ticks) <= 8
    assert all(low <= tick <= high for tick in ticks)


def test_the_page_warns_of_every_choice_that_uses_the_labels_of_the_dev_split() -> None:
    """It was said of what declared it: n-grams like the dev split's declared nothing."""
    rows = [
        ("uniform", "hard", "mask", None), ("equal_contribution", "hard", "el2n", None),
        ("uniform", "quota", "class_error", None), ("uniform", "hard", "ngram_importance", None),
        ("uniform", "random", "none", None),
    ]  # fmt: skip
    runs = pd.DataFrame(rows, columns=["policy", "rule", "scorer", "scorer.target"])
    aimed = ["policy=equal_contribution", "scorer=class_error", "scorer=mask"]
    assert sorted(page.with_dev_labels(runs)) == [*aimed, "scorer=ngram_importance"]
    assert sorted(page.with_dev_labels(runs.assign(**{"scorer.target": "wiki"}))) == aimed


def test_a_policy_that_prunes_nothing_has_no_selection_to_show(study: Store, tmp_path: Path) -> None:
    """Runs of rs2 and infobatch have a rule of that name and no folder of a selection: the page stopped there."""
    runs = newest(table(study)).query("task == 'cifar10' and rule == 'hard'").assign(rule="infobatch", prune="")
    assert list(kept.smallest(study, runs, "kept.parquet")) == []
