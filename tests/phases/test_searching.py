"""The phase search end to end on tiny problems: what it leaves, what it refuses, and going on where it was stopped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from prune_lab.cli import compose
from prune_lab.experiments.contracts import Data
from prune_lab.experiments.contribution import findings, settings
from prune_lab.experiments.data import perceptron
from prune_lab.experiments.data.load import load_data
from prune_lab.experiments.errors import ConfigError, LabError, RunFailed
from prune_lab.experiments.phases import run as phases
from prune_lab.experiments.phases import search as searching
from prune_lab.experiments.phases.plan import closure, job_of
from prune_lab.experiments.store.folders import Folder, Store

from ..command_line import call, changed

TINY = [
    "task=perceptron", "recipe=flow", "task.dimension=8", "task.train=40", "task.target=200", "task.shift=0.5",
    "recipe.steps=20", "search.epochs=5", "search.looks=4",
]  # fmt: skip
DIGITS = ["task=digits", "task.examples=60", "recipe=flow", "recipe.steps=4", "search.epochs=1", "search.looks=2"]


def searched(results: str, *words: str) -> Folder:
    """The search folder of a run, after all that it needs."""
    (run,) = compose.runs("evaluate", [*changed(*words), results])
    store, job = Store(run.results), job_of("search", run)
    for needed in closure([job]):
        phases.run(needed, store, lambda *_: None)
    return store.get("search", job.key)


def test_what_a_search_leaves(results: str) -> None:
    folder = searched(results, *TINY)
    metrics: dict[str, Any] = folder.record["metrics"]
    law, curves, outer, examples, picture = (
        pd.read_parquet(folder.path / f"{name}.parquet")
        for name in ("law", "curves", "outer", "contributions", "picture")
    )
    assert list(outer["epoch"]) == list(range(6))
    assert outer["target"].iloc[-1] < outer["target"].iloc[0]
    assert metrics["phi_readable"] == 1
    assert min(metrics[f"{name}_metasmoothness"] for name in ("constant", "found")) > 0.9
    assert metrics["best_epoch"] == int(outer["stopping"].idxmin())
    assert set(law["policy"]) == {"constant", "found", "on the way"}
    assert sorted(law[law["policy"] == "on the way"]["epoch"].unique()) == [1, 2, 4, 5]
    best = law[law["epoch"] == metrics["best_epoch"]]  # measured in the search's own sweep, and in one afterwards
    way, end = (best[best["policy"] == name].set_index("step")["phi_cv"] for name in ("on the way", "found"))
    assert len(way) == 4
    np.testing.assert_allclose(end.loc[way.index], way, rtol=1e-4)
    policy = load_file(folder.path / "policy.safetensors")["policy"]
    np.testing.assert_allclose(policy.sum(1), 1, rtol=1e-5)
    held = curves[curves["policy"] == "found"].set_index("step")["held_out"]
    assert metrics["end_found"] == held.loc[20]
    areas = outer.set_index("epoch")["target"]  # by the sweeps; the metrics' are by runs of their own
    assert metrics["target_gain"] == pytest.approx(1 - areas[metrics["best_epoch"]] / areas[0], rel=1e-4)
    assert metrics["gain"] == pytest.approx(1 - metrics["area_found"] / metrics["area_constant"])
    assert metrics["compression_constant"] == pytest.approx(np.log(2) / metrics["area_constant"])
    start = examples[(examples["policy"] == "constant") & (examples["level"] == 1)]
    assert len(start) == start["id"].nunique() == 40
    assert picture["weight"].mean() == pytest.approx(1)
    groups = pd.read_parquet(folder.path / "groups.parquet")
    looks = groups.groupby(["policy", "step"])
    assert set(groups["group"]) == {"-1", "+1"}
    np.testing.assert_allclose(looks["weight"].sum(), 1)
    means = looks.apply(lambda look: (look["weight"] * look["ct"]).sum(), include_groups=False)  # of the groups' means
    whole = law[law["policy"] != "on the way"].groupby(["policy", "step"])["ct_mean"].first()
    np.testing.assert_allclose(means, whole.loc[means.index], rtol=1e-4)
    share = groups.groupby("group")["examples"].first()
    assert share["-1"] * metrics["lift_-1"] + share["+1"] * metrics["lift_+1"] == pytest.approx(1)
    assert 0 <= metrics["found_between_phi"] <= 1
    row = law[(law["policy"] == "constant") & (law["level"] == 0.75)].iloc[0]
    first = law[law["policy"] == "constant"].iloc[0]
    assert row["loss"] <= 0.75 * first["loss"]
    assert metrics["constant_phi_ess@0.75"] == row["phi_ess"]
    hardest = start.sort_values("difficulty")["id"].index[-10:]
    places = start.index.get_indexer(hardest)
    assert metrics["late_mass_hardest"] == pytest.approx(policy[10:, places].sum(1).mean(), rel=1e-4)


def test_the_verb_search(capsys: pytest.CaptureFixture[str], results: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "LONG", 0.0)
    monkeypatch.setattr(settings, "READABLE", 1.1)
    made = call(capsys, "search", *TINY, results, "--json")
    assert made.code == 0, made.err
    found, report = made.objects
    assert (found["phase"], report["phase"], report["metrics"]["runs"]) == ("search", "report", 1)
    assert 0 < found["metrics"]["gain"] < 1
    page = (Path(report["path"]) / "index.html").read_text()
    assert "prune-lab search task=perceptron" in page
    assert "phi under the found policy must not be read" in page
    assert found["metrics"]["phi_readable"] == 0
    assert "5 outer epochs take about" in made.err
    refused = call(capsys, "search", results)
    assert refused.code == 2
    assert "recipe=flow" in refused.err


def test_a_class_that_was_pruned_altogether_has_no_share(results: str, tmp_path: Path) -> None:
    """Scored by the label, the easiest two fifths are the first classes."""
    (run,) = compose.runs("evaluate", [*DIGITS, results])
    train = load_data(run.task).splits["train"]
    pd.DataFrame({"id": train.ids, "score": train.targets}).to_csv(tmp_path / "scores.csv", index=False)
    scored = ["scorer=file", f"scorer.path={tmp_path / 'scores.csv'}", "keep=0.4", "rule=easy"]
    folder = searched(results, *DIGITS, *scored)
    there = {str(label) for label in np.sort(train.targets)[:24]}
    assert len(there) < 6
    lifts = {name for name in folder.record["metrics"] if name.startswith("lift_")}
    assert lifts == {f"lift_{label}" for label in there}
    groups = pd.read_parquet(folder.path / "groups.parquet")
    assert set(groups["group"]) == set("0123456789")
    assert (groups.loc[~groups["group"].isin(there), "examples"] == 0).all()


def test_a_search_over_what_is_kept_and_over_the_head_alone(results: str) -> None:
    folder = searched(results, *TINY, "keep=0.5", "rule=easy", "scorer.proxies=1")
    assert folder.record["metrics"]["examples"] == 20
    assert len(set(load_file(folder.path / "policy.safetensors")["rows"])) == 20
    features = "search.features={learning_rate: 0.1, epochs: 1}"
    folder = searched(results, *DIGITS, "model.width=12", "recipe.learning_rate=0.1", features)
    assert set(folder.record["inputs"]) == {"features"}
    assert any(" 130 numbers a step" in sentence for sentence in folder.record["derived"])  # (12 + 1) x 10


def test_a_found_policy_trains_to_the_end_that_its_search_saw(capsys: pytest.CaptureFixture[str], results: str) -> None:
    """The training loop under policy=learning_law is the run that was searched over, step by step."""
    folder = searched(results, *TINY, "keep=0.5", "rule=random", "seed=3")
    given = [*TINY, "keep=0.5", "rule=random", "seed=3", results, "--json"]
    curves = pd.read_parquet(folder.path / "curves.parquet")
    ends = curves[curves["step"] == 20].set_index("policy")
    for policy, name in (("learning_law", "found"), ("uniform", "constant")):
        asked = given if policy == "learning_law" else [word for word in given if not word.startswith("search.")]
        (made,) = call(capsys, "train", *asked, f"policy={policy}").objects
        seen = (100 * ends["target"] + 50 * ends["stopping"] + 50 * ends["held_out"])[name] / 200
        assert made["metrics"]["dev_loss_last"] == pytest.approx(seen, rel=1e-5)
    assert ends.loc["found", "target"] < ends.loc["constant", "target"]
    refused = call(capsys, "train", *given)
    assert refused.code == 2
    assert "policy=learning_law" in refused.err


@pytest.mark.parametrize("call_killed", [3, 4], ids=["after an epoch that is not measured", "after one that is"])
def test_a_search_that_was_killed_goes_on_to_the_same_end(
    results: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call_killed: int
) -> None:
    whole = searched(f"results={tmp_path / 'other'}", *TINY)
    monkeypatch.setattr(searching, "CHECKPOINT_SECONDS", 0.0)
    real, calls = findings.at, []

    def killed(*given: Any) -> Any:
        calls.append(given)
        if len(calls) == call_killed:  # at outer epoch 4, or 5
            raise KeyboardInterrupt
        return real(*given)

    monkeypatch.setattr(findings, "at", killed)
    with pytest.raises(KeyboardInterrupt):
        searched(results, *TINY)
    monkeypatch.setattr(findings, "at", real)
    folder = searched(results, *TINY)
    assert folder.record["metrics"] == whole.record["metrics"]
    for name in ("law", "outer"):
        ours, theirs = (pd.read_parquet(one.path / f"{name}.parquet") for one in (folder, whole))
        pd.testing.assert_frame_equal(ours, theirs)


def test_a_target_that_is_trained_on_is_said(results: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clean = searched(results, *TINY, "search.epochs=0")
    assert not any("dev examples are among" in sentence for sentence in clean.record["derived"])
    load = perceptron.load

    def shared(**settings: Any) -> Data:
        data = load(**settings)
        known = replace(data.splits["dev"], inputs=data.splits["dev"].inputs.copy())
        known.inputs[:7] = data.splits["train"].inputs[:7]
        return replace(data, splits={**data.splits, "dev": known})

    monkeypatch.setattr(perceptron, "load", shared)
    folder = searched(results, *TINY, "search.epochs=0", "task.data_seed=1")
    assert any("warning: 7 of 200 dev examples are among the 40" in one for one in folder.record["derived"])


def test_contributions_towards_what_was_held_out_are_measured_apart(results: str) -> None:
    folder = searched(results, *TINY, "search.epochs=40")
    metrics = folder.record["metrics"]
    assert metrics["found_phi_cv"] < metrics["found_held_phi_cv"]  # it was searched on the one, and not on the other
    assert metrics["found_held_phi_cv"] < metrics["constant_held_phi_cv"]
    law = pd.read_parquet(folder.path / "law.parquet")
    assert (law["held_ct_cv"].isna() == (law["policy"] == "on the way")).all()


def test_training_past_the_least_target_loss_is_said(results: str) -> None:
    """Images with wrong labels, learnt by heart in large steps."""
    wrong = [*DIGITS, "task.label_noise=0.5", "recipe.steps=20", "recipe.learning_rate=0.5", "search.epochs=0"]
    said = [one for one in searched(results, *wrong).record["derived"] if "and rises then" in one]
    assert len(said) == 1
    least = int(said[0].split("recipe.steps=")[1].split()[0])
    assert 0 < least < 20
    earlier = searched(results, *wrong, f"recipe.steps={least}")
    assert not any("and rises then" in one for one in earlier.record["derived"])


@pytest.mark.parametrize("other", ["recipe.schedule=cosine", "recipe.momentum=0.9", "recipe.weight_decay=0.1"])
def test_phi_is_compared_with_the_loss_still_to_go_only_where_it_sums_to_it(results: str, other: str) -> None:
    folder = searched(results, *TINY, other, "search.epochs=1")
    assert "constant_phi_ratio" not in folder.record["metrics"]
    assert not any("are too large" in one for one in folder.record["derived"])
    assert any("phi is not compared" in one for one in folder.record["derived"])


@pytest.mark.parametrize(("rate", "warned"), [(0.1, False), (5, True)])
def test_a_step_too_large_for_the_adjoint_is_said(results: str, rate: float, warned: bool) -> None:
    folder = searched(results, *TINY, "recipe.steps=10", f"recipe.learning_rate={rate}", "search.epochs=0")
    assert any("are too large" in sentence for sentence in folder.record["derived"]) is warned


@pytest.mark.parametrize(
    ("words", "kind", "said"),
    [
        (["task=digits", "search.epochs=3"], ConfigError, "to mend it: recipe=flow"),
        ([*DIGITS, "model=convnet"], ConfigError, "model.norm=group"),
        ([*TINY, "task.target=8"], ConfigError, "too few for three parts"),
        ([*TINY, "recipe.clip=1"], ConfigError, "recipe=flow"),
        ([*TINY, "recipe.learning_rate=1e5"], RunFailed, "recipe.learning_rate=10000"),
        (["task=perceptron", "task.shift=0.5"], ConfigError, "task.target=4096"),
        (["task=perceptron", "task.orthogonal=true", "task.target=100"], ConfigError, "task.train=64"),
    ],
)
def test_what_cannot_be_searched_is_refused(results: str, words: list[str], kind: type[LabError], said: str) -> None:
    with pytest.raises(kind) as refused:
        searched(results, *words)
    assert said in str(refused.value)


def test_too_few_documents_to_deal_out_whole_are_refused(results: str, tmp_path: Path) -> None:
    for number in range(10):
        (tmp_path / f"{number}.txt").write_text(f"the document of number {number} " * 40)
    settings = ["task=text", f"task.path={tmp_path}", "task.dev=0.2", "task.vocabulary=257", "task.context=16"]
    with pytest.raises(ConfigError) as refused:
        searched(results, *settings, "model.width=16", "model.heads=2", "recipe=flow", "recipe.steps=2")
    assert "of 2 documents, which are dealt out whole" in str(refused.value)
    assert "more task.documents" in str(refused.value)
