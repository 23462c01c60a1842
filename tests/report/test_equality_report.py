"""The report of policy searches: a tiny experiment from the command line to its page, and verdicts that follow data."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from prune_lab.experiments.figures import panels
from prune_lab.experiments.report.equality import build, policies, searches, subsets
from prune_lab.experiments.report.table import dotted, number
from prune_lab.experiments.store.folders import Folder, Store

from ..command_line import call
from ..synthetic_store import publish

EXPERIMENT = """\
# @package _global_
defaults:
  - override /task: perceptron
  - override /recipe: flow
  - override /scorer: input_norm
task: {dimension: 8, train: 64, test: 64, target: 128}
recipe: {steps: 30}
search: {epochs: 6, looks: 5, multiples: [2, 4]}
experiment:
  name: small
  title: A small search
  phase: search
  grids:
    - ["seed=0,1,2", "keep=0.5,1", "rule=hard"]
    - ["seed=0", "keep=0.5", "rule=random"]
  sizes:
    one: {grids: [["seed=0"]]}
  expect:
    - claim: a search on everything lowers the area
      source: this test
      point: {where: {rule: none, keep: 1, recipe.steps: 30, search.epochs: 6}, metric: target_gain}
      at_least: 0.001
    - claim: the mean phi is what is still to fall
      source: this test
      point: {where: {rule: hard, scorer: input_norm, prune.keep: 0.5}, metric: constant_phi_ratio}
      at_least: 0.9
      at_most: 1.1
"""


@pytest.fixture
def words(results: str, tmp_path: Path) -> list[str]:
    (tmp_path / "configs" / "experiment").mkdir(parents=True)
    (tmp_path / "configs" / "experiment" / "small.yaml").write_text(EXPERIMENT)
    return ["reproduce", f"hydra.searchpath=[file://{tmp_path / 'configs'}]", "experiment=small", results]


def test_searches_become_a_page(
    capsys: pytest.CaptureFixture[str], words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: dict[str, int] = {}
    monkeypatch.setattr(panels, "save", lambda drawings, stem, **_: saved.update({stem.name: len(drawings)}))
    made = call(capsys, *words, "--check", "--json")
    assert made.code == 0, made.err
    report = made.objects[-1]["metrics"]
    assert report["runs"] == 7
    assert report["claims"] == {"holds": 2, "fails": 0, "undecided": 0, "no runs": 0}

    page = tmp_path / "results" / "report" / "small"
    runs = pd.read_csv(page / "table.csv", keep_default_na=False, na_values=[""])
    assert list(runs["kept"].unique()) == ["unpruned", "random 0.5", "hardest 0.5"]
    assert [list(group["seed"]) for _, group in runs.groupby("kept", sort=False)] == [[0, 1, 2], [0], [0, 1, 2]]
    hard = runs[runs["rule"] == "hard"]
    assert (hard["pool"] == 64).all()
    assert (hard["examples"] == 32).all()
    assert (hard["scorer"] == "input_norm").all()
    assert (runs["recipe.steps"] == 30).all()
    assert (runs["search.multiples"] == "2,4").all()
    store = Store(tmp_path / "results")
    for _, row in runs.iterrows():
        measured = store.get("search", row["search"]).record["metrics"]
        assert {name: row[name] for name in measured} == pytest.approx(measured)

    points = pd.read_csv(page / "points.csv", keep_default_na=False, na_values=[""])
    point = points[(points["kept"] == "hardest 0.5") & (points["metric"] == "gain")].iloc[0]
    gains = runs.loc[runs["kept"] == "hardest 0.5", "gain"]
    assert point["n"] == 3
    assert point["mean"] == pytest.approx(gains.mean())
    assert point["high"] - point["mean"] == pytest.approx(4.302653 * gains.std() / np.sqrt(3))  # t of 2 degrees

    assert saved == {"curves": 3, "law": 9, "distributions": 6, "lorenz": 2, "picture": 3, "subsets": 2, "gains": 1}
    text = (page / "index.html").read_text()
    assert text.count("<svg") == sum(saved.values())
    assert report["verdict"] in text
    assert "1 of 3 settings have fewer than 3 seeds" in text
    assert json.loads((page / "record.json").read_text())["folders"] == 7
    assert len(json.loads((page / "claims.json").read_text())["forms"]) == 3


@pytest.mark.usefixtures("real_figures")
def test_one_search_is_drawn_as_it_was_measured(
    capsys: pytest.CaptureFixture[str], words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, stems = panels.save, list[str]()

    def one_of_them(drawings: Any, stem: Path, **columns: int) -> None:
        stems.append(stem.name)
        if stem.name == "lorenz":  # each takes a second
            save(drawings, stem, **columns)

    monkeypatch.setattr(panels, "save", one_of_them)
    assert call(capsys, *words, "experiment.size=one").code == 0
    page = tmp_path / "results" / "report" / "small_one"
    there = {path.name for path in (page / "figures").iterdir() if path.stat().st_size > 1000}
    assert stems == ["curves", "law", "distributions", "lorenz", "picture"]
    assert there == {f"lorenz.{end}" for end in ("svg", "pdf", "png")}
    text = (page / "index.html").read_text()
    assert text.count("<svg") == 1 + 3 + 2 + 1 + 1
    assert not re.search(r'src="(https?:)?//', text)
    links = re.findall(r'<a href="([^"]+)"', text)
    left_out = re.compile(r"https://arxiv.org/abs/|figures/(?!lorenz)")
    assert all((page / name).exists() for name in links if not left_out.match(name))
    assert {f"figures/{name}.svg" for name in stems} <= set(links)

    folder = Store(tmp_path / "results").folders("search")[0]
    metrics, rows = folder.record["metrics"], searches.on_the_way(folder).set_index("policy")
    assert rows.loc["found", "phi_cv"] == pytest.approx(metrics["found_phi_cv"])
    assert rows.loc["constant", "ct_cv"] == pytest.approx(metrics["constant_ct_cv"])
    curve = searches.lorenz(folder)["constant", 0.75]
    assert searches.gini_of(curve) == pytest.approx(metrics["constant_phi_gini@0.75"], abs=0.005)
    bands = searches.bands(folder, "phi").set_index(["policy", "level"])
    phi = pd.read_parquet(folder.path / "contributions.parquet").query("policy == 'constant' and level == 0.75")["phi"]
    assert bands.loc[("constant", 0.75), 0.25] == pytest.approx(np.quantile(phi, 0.25) / phi.mean())


def test_a_lorenz_curve_by_hand() -> None:
    assert searches.lorenz_of(np.ones(7)) == pytest.approx(searches.SHARES)
    curve = searches.lorenz_of(np.array([3.0, -5.0, 1.0, 0.0]))  # the least half has nothing, the third 1 of 4
    assert curve[[50, 75, 100]] == pytest.approx([0, 0.25, 1])
    assert searches.gini_of(curve) == pytest.approx(1 - 2 * (0.25 * 0.25 / 2 + 0.25 * 1.25 / 2))


def runs_of(**columns: list[float]) -> pd.DataFrame:
    base = {"setup": "one", "kept": "unpruned", "seed": [0, 1, 2], "area_constant": [0.5, 0.51, 0.49]}
    return pd.DataFrame(base | {"area_found": [0.4, 0.41, 0.39]} | columns)


@pytest.mark.parametrize(
    ("phi", "ct", "form"),
    [
        ([0.10, 0.11, 0.12], [0.40, 0.42, 0.41], "exact"),
        ([0.40, 0.42, 0.41], [0.10, 0.11, 0.12], "printed"),
        ([5.0, 5.1, 5.2], [6.0, 6.1, 6.2], "neither"),
        ([0.10, 0.11, 0.12], [0.12, 0.10, 0.11], "undecided"),  # both fell; which is more equal is not decided
        ([0.10, 3.9, 2.0], [6.0, 6.1, 6.2], "undecided"),  # whether phi fell is not
        ([-0.1, -0.1, -0.1], [0.40, 0.42, 0.41], "undecided"),  # a negative mean is nothing to be equal to
    ],
)
def test_the_form_of_the_law_follows_the_data(phi: list[float], ct: list[float], form: str) -> None:
    before = {"constant_phi_cv": [2.0, 2.1, 2.2], "constant_ct_cv": [3.0, 3.1, 3.2]}
    found = policies.form_of(("one", "unpruned"), runs_of(found_phi_cv=phi, found_ct_cv=ct, **before))
    assert found["form"] == form
    words = {"exact": "exact form of the law (φ equal) more", "printed": "printed form of the law (CT equal) more"}
    assert words.get(form, {"neither": "neither form", "undecided": "no form"}.get(form, "")) in policies.supported(
        [found]
    )
    assert f"{int(form == 'printed')} the printed" in policies.supported([found, found | {"form": "exact"}])


def test_two_seeds_decide_no_form() -> None:
    columns = {"found_phi_cv": [0.1] * 3, "found_ct_cv": [0.4] * 3, "constant_phi_cv": [2.0] * 3}
    runs = runs_of(constant_ct_cv=[3.0] * 3, **columns)
    assert policies.form_of(("one", "unpruned"), runs)["form"] == "exact"
    assert policies.form_of(("one", "unpruned"), runs[:2])["form"] == "undecided"
    unread = policies.form_of(("one", "unpruned"), runs.assign(phi_readable=[0.0] + [1.0] * (len(runs) - 1)))
    assert unread["form"] == "unread"
    assert "in 1 φ cannot be read" in policies.supported([unread, unread | {"form": "exact"}])


def test_the_best_step_is_chosen_by_the_stopping_set_and_judged_by_what_is_held_out() -> None:
    """It was the step of the least held-out area: at 4 times the step that is less, and here nothing else."""
    held_out = {"area_constant_2x": [0.45, 0.46, 0.44], "area_constant_4x": [0.2, 0.2, 0.2]}
    found = policies.steps(runs_of(area_best_step=[0.45, 0.46, 0.44], best_step=[2.0] * 3, **held_out))
    assert found.startswith("The search beats uniform weights at their best step size: the constant policy at 2 times")
    assert "largest" not in found
    best = runs_of(area_best_step=[0.3, 0.31, 0.29], best_step=[4.0, 2.0, 4.0], **held_out)
    assert policies.steps(best).startswith("Uniform weights at their best step size beat the search: the")
    assert "2 or 4 times the step (chosen by the stopping set, the largest tried)" in policies.steps(best)
    assert "undecided" in policies.steps(best.assign(area_best_step=[0.3, 0.5, 0.4]))
    both = pd.concat([best, best.assign(setup="two", area_best_step=[0.45, 0.46, 0.44])])
    assert "beat the found policy in 1 of 2 settings, and lose in 1" in policies.steps(both)
    assert "no other step" in policies.steps(runs_of())


def test_subsets_are_compared_with_random_ones_by_seed() -> None:
    ess = {"none": [0.5, 0.3, 0.1], "random": [0.6, 0.4, 0.2], "hard": [0.63, 0.44, 0.23], "easy": [0.5, 0.31, 0.1]}
    blocks = [
        runs_of(**{"constant_phi_ess@0.5": values, "gain": [0.1, 0.2, 0.3]}).assign(
            rule=rule, kept=rule, keep=1.0 if rule == "none" else 0.5
        )
        for rule, values in ess.items()
    ]
    rows = {row["kept"]: row for row in subsets.rows(pd.concat(blocks[::-1]))}
    assert rows["hard"]["ESS minus random's"] == "+0.0333 [+0.019, +0.0477]"
    assert rows["hard"]["gain minus random's"] == "0 [0, 0]"
    assert rows["none"]["ESS minus random's"] == rows["random"]["ESS minus random's"] == "–"
    assert {row["level"] for row in rows.values()} == {"50 %"}
    assert "more equal (ESS) in 1 and less equal in 1 of 2 subsets" in subsets.pruned(list(rows.values()))
    assert subsets.pruned([rows["none"], rows["random"]]) == ""
    blocks[2].loc[1, "constant_phi_ess@0.5"] = np.nan  # a seed that never falls so far: nothing is at equal loss
    assert {row["level"] for row in subsets.rows(pd.concat(blocks))} == {"none reached"}


def test_an_empty_panel_says_why() -> None:
    runs, axes = runs_of(gain=[0.1, 0.2, 0.3]), Figure().subplots()
    ess, _ = subsets.drawn("one", runs, {"unpruned": "#000000"})
    gain = subsets.gain("one", runs, {"unpruned": "#000000"})
    ess.draw(axes)
    assert "no equal loss" in axes.texts[0].get_text()
    gain.draw(other := Figure().subplots())
    assert not other.texts
    assert other.get_lines()[0].get_ydata() == pytest.approx([20.0])


def test_policies_that_never_arrive_are_said_to() -> None:
    speeds = {"acceleration_constant": [1.0] * 3, "acceleration_found": [2.0, np.nan, 3.0]}
    rows = {row["policy"]: row for row in policies.rows(runs_of(area_fast_2x=[np.nan] * 3, **speeds))}
    assert rows["found"]["seeds that get there"] == "2 of 3"
    assert rows["found"]["acceleration"].startswith("2.5 [")
    assert rows["fast 2× step"]["area"] == "diverged"
    assert rows["fast 2× step"]["acceleration"] == "never"


def test_two_selections_of_one_name_are_two_settings(tmp_path: Path) -> None:
    store, folders = Store(tmp_path), []
    recipe = {"task": {"name": "a"}, "model": {"name": "linear"}, "recipe": {}, "search": {}, "seed": 0}
    for rule, proxies in [("hard", 1), ("hard", 3), ("easy", 3)]:
        score = publish(store, "score", {"scorer": {"name": "el2n", "proxies": proxies}}, {}, {})
        prune = publish(store, "prune", {"rule": rule, "keep": 0.5}, {"score": score.name}, {"pool": 16})
        made = publish(store, "search", recipe, {"prune": prune.name}, {"examples": 8})
        folders.append(store.get("search", made.name))
    hard, other, easy = searches.table(store, folders)["kept"]
    assert re.fullmatch(r"hardest 0\.5 \([0-9a-f]{6}\)", hard)
    assert hard != other
    assert easy == "easiest 0.5"


def test_setups_are_named_by_what_differs(tmp_path: Path) -> None:
    store, folders = Store(tmp_path), []
    told = [("a", 0.0, 0.1, "mlp"), ("a", 0.1, 0.1, "mlp"), ("a", 0.1, 0.2, "mlp")]
    told += [("b", 0.0, 0.1, "mlp"), ("b", 0.1, 0.2, "linear")]  # where the model tells as much as others, it does it
    for place, (name, noise, rate, model) in enumerate(told):
        task = {"name": name, "label_noise": noise, "examples": None, "data_seed": place}  # drawn anew: no setting
        settings = {"learning_rate": rate, "steps": 1 + (rate > 0.1)}  # steps tell nothing that the rate does not
        recipe = {"task": task, "model": {"name": model}, "recipe": settings, "search": {"epochs": 1}}
        made = publish(store, "search", recipe | {"seed": place}, {}, {"examples": 8, "gain": 0.1 * place})
        folders.append(store.get("search", made.name))
    said = ["a, label noise 0, learning rate 0.1", "a, label noise 0.1, learning rate 0.1"]
    assert list(searches.table(store, folders)["setup"]) == [
        *said,
        "a, label noise 0.1, learning rate 0.2",
        "b, linear",
        "b, mlp",
    ]
    assert build.POINTS.fullmatch("found_phi_ess@0.25")
    assert not build.POINTS.fullmatch("found_ct_sim")


@pytest.mark.parametrize(
    ("drawn_from", "redrawn"),
    [
        ([(0, 0), (1, 1), (2, 2)], True),
        ([(0, 0), (1, 0), (2, 0)], False),
        ([(0, 0), (0, 1)], False),
        ([(0, None)], True),
    ],
)
def test_data_drawn_anew_for_each_seed_are_no_setting(drawn_from: list[tuple[int, int]], redrawn: bool) -> None:
    records = [{"recipe": {"seed": seed, "task": {"data_seed": data}}} for seed, data in drawn_from]
    folders = [Folder(Path(), record) for record in records]
    assert searches._redrawn(folders) is redrawn


def test_settings_of_several_values_are_one_cell() -> None:
    nested = {"task": {"classes": ("automobile", "horse")}, "search": {"multiples": (2.0, 5.0)}}
    assert dict(dotted(nested, number)) == {"task.classes": "automobile,horse", "search.multiples": "2,5"}


def test_phi_that_cannot_be_read_is_not_counted_as_more_equal() -> None:
    """The control's phi counts as much: a difference to what says nothing says nothing."""
    rows = [
        {"setup": "a", "kept": rule, "rule": rule, "keep": 0.5, "seed": seed, "gain": 0.1, "phi_readable": 1.0,
         "constant_phi_ess@0.5": value + 0.01 * seed}
        for rule, value in (("random", 0.3), ("hard", 0.5), ("easy", 0.2)) for seed in range(3)
    ]  # fmt: skip
    runs = pd.DataFrame(rows)
    assert "equal (ESS) in 1 and less equal in 1 of 2 subsets" in subsets.pruned(subsets.rows(runs))
    runs.loc[runs["rule"] == "hard", "phi_readable"] = [1.0, 1.0, 0.0]
    said = subsets.pruned(subsets.rows(runs))
    assert "in 0 and less equal in 1 of 1 subsets chosen by score; in 1 more φ cannot be read" in said
    runs["phi_readable"] = 0.0
    assert subsets.pruned(subsets.rows(runs)) == "In 2 subsets chosen by score φ cannot be read (metasmoothness)."
