"""The phases end to end on small data: what they write, what they reuse, and what stays the same."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from prune_lab.cli.show import Show
from prune_lab.experiments.errors import DataUnavailable
from prune_lab.experiments.phases import run as phases
from prune_lab.experiments.phases.launch import Outcome
from prune_lab.experiments.store.folders import Store

from ..command_line import TINY, call, changed
from ..image_files import random_pixels, table_of

FORMS = [
    ["scorer=random"],
    ["scorer=el2n", "scorer.proxies=2"],
    ["scorer=el2n", "scorer.convention=squared", "scorer.epoch=0"],
    ["scorer=el2n", "scorer.convention=ccs"],
    ["scorer=el2n", "scorer.convention=single"],
    ["scorer=grand", "scorer.proxies=1"],
    ["scorer=grand", "scorer.gradients=last_layer"],
    ["scorer=forgetting"],
    ["scorer=forgetting", "scorer.never_learned=zero"],
    ["scorer=margin", "scorer.measure=probabilities"],
    ["scorer=aum"],
    ["scorer=aum", "scorer.measure=probabilities"],
    ["scorer=loss"],
    ["scorer=entropy", "scorer.epoch=1"],
    ["scorer=prototypes"],
    ["scorer=prototypes", "scorer.supervised=true"],
    ["scorer=grand", "scorer.epoch=0", "scorer.proxies=1"],
    ["scorer=dyn_unc", "scorer.proxies=1"],
    ["scorer=tdds", "scorer.proxies=1"],
    ["scorer=moderate"],
    ["scorer=d2"],
    ["scorer=d2", "scorer.base=forgetting"],
    ["scorer=ensemble_disagreement", "scorer.proxies=2"],
    ["scorer=input_norm"],
]


def test_one_command_makes_what_it_needs_and_says_so(
    capsys: pytest.CaptureFixture[str], results: str, tmp_path: Path
) -> None:
    words = ["evaluate", *TINY, "--keep", "0.5", "--json", results]
    first = call(capsys, *words)
    assert first.code == 0
    assert "1 proxy run, 1 score run, 1 prune run, 1 train run first" in first.err
    (made,) = first.objects
    assert set(made) == {"phase", "key", "name", "path", "status", "seconds", "metrics"}
    assert made["status"] == "done"
    assert 0.3 < made["metrics"]["accuracy"] <= 1
    assert made["metrics"]["loss"] > 0
    again = call(capsys, *words)
    (found,) = again.objects
    assert (found["status"], found["metrics"]) == ("cached", made["metrics"])
    assert "already done" in again.err
    store = Store(tmp_path / "results")
    trained = store.get("train", store.get("evaluate", made["key"]).record["inputs"]["train"])
    assert (trained.record["metrics"]["examples"], trained.record["metrics"]["pool"]) == (100, 200)
    assert store.leftovers() == []


def test_tables_carry_the_index_and_hard_keeps_the_highest_scores(
    capsys: pytest.CaptureFixture[str], results: str, tmp_path: Path
) -> None:
    (pruned,) = call(capsys, "prune", *TINY, "keep=0.3", "--json", results).objects
    store = Store(tmp_path / "results")
    folder = store.get("prune", pruned["key"])
    scores = pd.read_parquet(store.get("score", folder.record["inputs"]["score"]).path / "scores.parquet")
    assert list(scores.columns) == ["index", "id", "score", "label", "spread"]
    assert scores["index"].tolist() == list(range(200))
    kept = pd.read_parquet(folder.path / "kept.parquet")
    assert set(kept["index"]) == set(scores["score"].nlargest(60).index)
    assert kept["id"].tolist() == scores["id"].iloc[kept["index"]].tolist()
    classes = pd.read_parquet(folder.path / "classes.parquet")
    assert (classes["kept"].sum(), classes["pool"].sum()) == (60, 200)
    gallery = pd.read_parquet(folder.path / "gallery.parquet")
    assert gallery["kept"].any()
    assert not gallery["kept"].all()
    assert gallery["png"].iloc[0].startswith(b"\x89PNG")


def test_a_pool_is_pruned_by_scores_of_its_own_or_of_everything(
    capsys: pytest.CaptureFixture[str], results: str, tmp_path: Path
) -> None:
    store = Store(tmp_path / "results")
    scored = {}
    for source in ("pool", "everything"):
        (made,) = call(
            capsys,
            "prune",
            *TINY,
            f"scored={source}",
            "--keep",
            "0.5",
            "--json",
            "scorer=loss",
            "scorer.proxies=1",
            results,
        ).objects
        folder = store.get("prune", made["key"])
        kept = pd.read_parquet(folder.path / "kept.parquet")
        table = pd.read_parquet(store.get("score", folder.record["inputs"]["score"]).path / "scores.parquet")
        table = table.set_index("id")["score"]
        scored[source] = table
        pool = scored["pool"].index
        assert set(kept["id"]) == set(table.loc[pool].nlargest(100).index)
    assert len(scored["pool"]) == 200
    assert len(scored["everything"]) > 1000
    refused = call(capsys, "prune", *TINY, "scored=everything", "task.label_noise=0.1", results)
    assert refused.code == 2
    assert "task.label_noise=0" in refused.err


def test_the_same_recipe_gives_the_same_bytes_and_another_seed_does_not(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def weights(store: str, seed: int) -> bytes:
        (made,) = call(capsys, "train", *TINY, f"seed={seed}", "--json", f"results={tmp_path / store}").objects
        return (Path(made["path"]) / "model.safetensors").read_bytes()

    first = weights("one", 0)
    assert weights("two", 0) == first
    assert weights("one", 1) != first


def test_equal_epochs_and_equal_steps(capsys: pytest.CaptureFixture[str], results: str) -> None:
    words = ["train", *TINY, "rule=random", "keep=0.25,1.0", "budget=epochs,steps", "--json", results]
    quarter_epochs, quarter_steps, full = call(capsys, *words).objects  # with keep=1 both budgets are one run
    assert [made["metrics"]["examples"] for made in (quarter_epochs, quarter_steps, full)] == [50, 50, 200]
    assert [made["metrics"]["steps"] for made in (quarter_epochs, quarter_steps, full)] == [3, 12, 12]
    assert [made["metrics"]["epochs"] for made in (quarter_epochs, quarter_steps, full)] == [3, 12, 3]
    assert full["metrics"]["examples_seen"] == 600


@pytest.mark.parametrize("form", FORMS, ids=" ".join)
def test_every_score_runs(capsys: pytest.CaptureFixture[str], results: str, form: list[str]) -> None:
    words = [*changed(*TINY, "task.examples=60", "model=mlp"), "model.width=16", *form]
    (made,) = call(capsys, "score", *words, "--json", results).objects
    scores = pd.read_parquet(Path(made["path"]) / "scores.parquet")
    assert len(scores) == 60
    assert np.isfinite(scores["score"]).all()
    if "forgetting" not in form[0]:  # a handful of events over three epochs
        assert scores["score"].nunique() > 30


@pytest.mark.parametrize(
    ("form", "values"),
    [(["scorer=dual", "rule=beta"], 60), (["scorer=class_error", "rule=quota"], 10), (["scorer=ddd"], 4)],
    ids=["dual", "class_error", "ddd"],
)
def test_a_score_with_a_rule_of_its_own(
    capsys: pytest.CaptureFixture[str], results: str, tmp_path: Path, form: list[str], values: int
) -> None:
    words = [*changed(*TINY, "task.examples=60"), "scorer.proxies=2", "keep=0.5", *form, "--json", results]
    answer = call(capsys, "prune", *words)
    (made,) = answer.objects
    assert made["metrics"]["kept"] == 30
    (scored,) = Store(tmp_path / "results").folders("score")
    scores = pd.read_parquet(scored.path / "scores.parquet")
    assert 1 < scores["score"].nunique() <= values
    assert ("probability" in scores) == (form[0] == "scorer=dual")
    if form[0] == "scorer=dual":
        assert "windows of 3 epochs over the first 3; the schedule has no more" in answer.err
        assert scores["probability"].between(0, 1).all()


def test_scores_leave_and_return_in_any_order(capsys: pytest.CaptureFixture[str], results: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    (made,) = call(capsys, "score", *TINY, "--json", f"export={path}", results).objects
    assert call(capsys, "score", *TINY, f"export={path}", results).code == 0  # again, to the same end
    table = pd.read_parquet(Path(made["path"]) / "scores.parquet")
    written = pd.read_csv(path)
    np.testing.assert_allclose(written["score"], table["score"])
    written.sample(frac=1, random_state=0).to_csv(path, index=False)
    mine = ["scorer=file", f"scorer.path={path}"]
    (returned,) = call(capsys, "score", *TINY, *mine, "--json", results).objects
    back = pd.read_parquet(Path(returned["path"]) / "scores.parquet")
    np.testing.assert_allclose(back["score"], table["score"])
    written.iloc[:50].to_csv(path, index=False)
    refused = call(capsys, "score", *TINY, *mine, results)
    assert refused.code in (2, 4)
    assert "150" in refused.err
    assert call(capsys, "train", *TINY, f"export={path}", results).code == 2
    precious = path.read_text()
    replaced = call(capsys, "score", *TINY, f"export={path}", results)
    assert (replaced.code, path.read_text() == precious) == (2, True)
    assert [file for file in tmp_path.iterdir() if file.name.startswith(".export")] == []
    assert call(capsys, "score", *TINY, f"export={tmp_path / 'none' / 'x.csv'}", results).code == 4
    several = call(capsys, "score", *TINY, "scorer=random,el2n", f"export={path}", results)
    named = sorted(file.name for file in tmp_path.glob("mine_*"))
    assert (several.code, named) == (0, ["mine_el2n.csv", "mine_random.csv"])
    np.testing.assert_allclose(pd.read_csv(tmp_path / "mine_el2n.csv")["score"], table["score"])
    rates = call(capsys, "score", *TINY, "recipe.learning_rate=0.1,0.2", f"export={path}", results)
    assert (rates.code, "not all differ in task, scorer" in rates.err) == (2, True)
    missing = call(capsys, "score", *TINY, "scorer=file", f"scorer.path={tmp_path / 'none.csv'}", results)
    assert missing.code == 4
    folder = call(capsys, "score", *TINY, "scorer=file", f"scorer.path={tmp_path}", results)
    assert (folder.code, "is a folder" in folder.err) == (4, True)


def test_what_is_kept_leaves_as_a_file(capsys: pytest.CaptureFixture[str], results: str, tmp_path: Path) -> None:
    path = tmp_path / "drop.csv"
    words = ["prune", *TINY, "keep=0.3", "rule=hard", "scorer.proxies=1", results]
    answer = call(capsys, *words, f"export={path}", "--json")
    table = pd.read_csv(path)
    assert list(table.columns) == ["id", "label", "class", "score", "kept", "split", "reason", "copy_of"]
    held_out = {"kept": 60, "dropped": 140, "held out as dev": 144, "held out as test": 359}
    assert table["reason"].value_counts().to_dict() == held_out
    assert (len(table), table["kept"].sum()) == (703, 60)
    table = table[table["split"] == "train"]
    assert table[table["kept"]]["score"].min() >= table[~table["kept"]]["score"].max()
    assert "60 kept and 140 dropped" in answer.err
    kept = pd.read_parquet(Path(answer.objects[0]["path"]) / "kept.parquet")
    assert set(table[table["kept"]]["id"]) == set(kept["id"])


def test_a_model_that_guesses_is_named(capsys: pytest.CaptureFixture[str], results: str) -> None:
    guess = call(capsys, "train", *TINY, "recipe.learning_rate=1e-9", results)
    assert "guessing gives 0.1" in guess.err
    assert "guessing" not in call(capsys, "train", *TINY, results).err


def test_equal_scores_are_said_when_they_are_made_and_when_they_are_used(
    capsys: pytest.CaptureFixture[str], results: str
) -> None:
    words = [
        *changed(*TINY, "recipe.epochs=1"),
        "scorer=forgetting",
        "scorer.never_learned=zero",
        "scorer.proxies=1",
        results,
    ]
    for verb in ("score", "prune"):
        answer = call(capsys, verb, *words, "keep=0.5")
        assert answer.code == 0
        assert "warning: all 200 scores are 0; they rank nothing" in answer.err
    assert "100 of the 100 kept (100.0%) were drawn at random among 200 examples" in answer.err


def test_too_few_to_learn_from_are_refused(capsys: pytest.CaptureFixture[str], results: str) -> None:
    for words, said in (
        (["keep=0.001", "rule=random"], "keep=0.001 leaves 1 of 200 training examples, fewer than the 10 classes"),
        (["task.examples=1", "keep=1.0"], "task.examples=1 leaves 1 of 1294"),
        (["task=perceptron", "model=linear", "keep=0.001", "rule=random"], "fewer than two"),
    ):
        answer = call(capsys, "prune", *changed(*TINY, *words), results)
        assert (answer.code, said in answer.err, "to mend it" in answer.err) == (2, True, True), answer.err


def test_text_end_to_end(capsys: pytest.CaptureFixture[str], results: str, tmp_path: Path) -> None:
    folder = tmp_path / "text"
    folder.mkdir()
    for number in range(40):
        words = ["the", "cat", "sat", "on", "a", "mat", "and", "saw", str(number)] * 12
        (folder / f"{number}.txt").write_text(" ".join(words))
    task = ["task=text", f"task.path={folder}", "task.vocabulary=300", "task.context=16"]
    model = ["model.width=16", "model.heads=2", "model.depth=1", "recipe.epochs=1"]
    made = call(capsys, "evaluate", *task, *model, "keep=0.5", "rule=middle", "--json", results).objects[0]
    assert set(made["metrics"]) >= {"loss", "bits_per_byte", "perplexity"}
    assert made["metrics"]["bits_per_byte"] < 8
    store = Store(tmp_path / "results")
    (scored,) = store.folders("score")
    assert len(scored.record["inputs"]) == 2  # one proxy a fold: a window is judged by one that never saw its document
    examples = pd.read_parquet(Path(made["path"]) / "examples.parquet")
    assert {"index", "id", "loss"} <= set(examples.columns)


def test_a_dry_run_runs_nothing_and_counts_what_other_code_made(
    capsys: pytest.CaptureFixture[str], results: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = call(capsys, "evaluate", *TINY, "seed=0,1", "--dry-run", "--json", results)
    assert [made["status"] for made in answer.objects] == ["planned", "planned"]
    assert not (tmp_path / "results").exists()
    call(capsys, "prune", *TINY, "keep=0.25,0.5", "rule=random", results)
    monkeypatch.setattr("prune_lab.cli.run.code_version", lambda: {"commit": "another"})
    dry = call(capsys, "prune", *TINY, "keep=0.25,0.5,0.75", "rule=random", "--dry-run", results)
    assert dry.err.count("made by other code") == 1
    assert "2 of 2 runs that are there were made by other code" in dry.err


def test_the_line_of_a_run_and_its_own_seconds(
    capsys: pytest.CaptureFixture[str], results: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(phases, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(phases, "_start_up", lambda job: clock.__setitem__(0, clock[0] + 100))
    answer = call(capsys, "prune", "keep=1.0", "rule=random", "--json", results)
    assert answer.objects[0]["seconds"] == 0
    assert "prune done in 0.0 s: digits: kept 1,294 " in answer.err


def test_a_run_that_fails_is_named_and_the_others_finish(capsys: pytest.CaptureFixture[str], results: str) -> None:
    words = [
        "evaluate",
        *changed(*TINY, "model=mlp"),
        "recipe.learning_rate=1e38,0.1",
        "recipe.warmup=0",
        "--json",
        results,
    ]
    answer = call(capsys, *words)
    assert answer.code == 1
    assert "recipe.learning_rate" in answer.err
    assert "defect" not in answer.err
    one_step = ["model=mlp", "recipe.learning_rate=1e30", "recipe.epochs=1", "recipe.batch_size=200", "recipe.warmup=0"]
    last_step = call(capsys, "train", *changed(*TINY, *one_step), results)
    assert last_step.code == 1
    assert "recipe.learning_rate" in last_step.err
    assert "defect" not in last_step.err
    assert sorted(made["status"] for made in answer.objects) == ["blocked", "done"]


def test_runs_lists_shows_removes_and_cleans(capsys: pytest.CaptureFixture[str], results: str, tmp_path: Path) -> None:
    (made,) = call(capsys, "evaluate", *TINY, "--json", results).objects
    at = ["--results", str(tmp_path / "results")]
    listed = call(capsys, "runs", "--json", *at).objects
    assert {folder["phase"] for folder in listed} == {"train", "evaluate"}
    (shown,) = call(capsys, "runs", made["key"][:6], "--json", *at).objects
    assert shown["recipe"] == {"split": "test"}
    train = shown["inputs"]["train"]
    assert call(capsys, "runs", train, "--remove", *at).code == 0
    assert call(capsys, "runs", "--json", *at).objects == []  # what was made from it went with it
    (tmp_path / "results" / "train" / f".{train}.resume").mkdir()
    assert call(capsys, "runs", "--clean", *at).code == 0
    assert list((tmp_path / "results" / "train").iterdir()) == []
    assert call(capsys, "runs", "abcdef", *at).code == 3
    (again,) = call(capsys, "train", *TINY, "--json", results).objects
    for words in (["", "--remove"], [""], ["--remove"], [again["key"], "--clean"], ["--verify", "--clean"]):
        assert call(capsys, "runs", *words, *at).code == 2
    assert Path(again["path"]).exists()


def test_damage_is_found_before_use_and_by_verify_and_its_mend_mends(
    capsys: pytest.CaptureFixture[str], results: str, tmp_path: Path
) -> None:
    at = ["--results", str(tmp_path / "results")]
    train, other = (Path(made["path"]) for made in call(capsys, "train", *TINY, "seed=0,1", "--json", results).objects)
    assert call(capsys, "runs", "--verify", *at).code == 0
    (train / "best.safetensors").write_text("a file that the run did not write")
    assert not Store(tmp_path / "results").get("train", train.name).has("best.safetensors")
    old = json.loads((other / "record.json").read_text())
    (other / "record.json").write_text(json.dumps({name: old[name] for name in {*old} - {"files", "digest"}}))
    (train / "model.safetensors").write_bytes((other / "model.safetensors").read_bytes())
    found = call(capsys, "runs", "--verify", "--json", *at)
    assert found.code == 1
    assert {Path(one["path"]): one["status"] for one in found.objects} == {train: "damaged", other: "no hashes"}
    assert f"{train} is damaged (model.safetensors is not the file" in found.err
    used = call(capsys, "evaluate", *TINY, "seed=0,1", "--json", results)
    assert (used.code, [made["status"] for made in used.objects]) == (1, ["failed", "done"])
    assert "some inputs carry no hashes" in used.err
    (mend,) = {line for line in used.err.splitlines() if "to mend it" in line}
    command = mend.partition("prune-lab ")[2].partition(", ")[0]
    assert call(capsys, *command.split()).code == 0
    assert call(capsys, "evaluate", *TINY, "seed=0,1", results).code == 0


def test_a_damaged_record_is_left_out_and_named(
    capsys: pytest.CaptureFixture[str], results: str, tmp_path: Path
) -> None:
    at = ["--results", str(tmp_path / "results")]
    empty = call(capsys, "runs", *at)
    assert (empty.code, "prune-lab reproduce experiment=demo" in empty.err) == (0, True)
    first, second = call(capsys, "evaluate", *TINY, "seed=0,1", "--json", results).objects
    trained = Store(tmp_path / "results").get("evaluate", first["key"]).record["inputs"]["train"]
    (tmp_path / "results" / "train" / trained / "record.json").write_text("{")
    listed = call(capsys, "runs", "--json", *at)
    assert (listed.code, len(listed.objects)) == (0, 3)
    assert f"train/{trained} is damaged" in listed.err
    assert "to mend it: prune-lab runs --clean" in listed.err
    reported = call(capsys, "report", "--json", results)
    assert f"train/{trained} is damaged" in reported.err
    assert reported.objects[0]["metrics"]["runs"] == 1
    page = (Path(reported.objects[0]["path"]) / "index.html").read_text()
    assert "Left out: 1 evaluated run whose training" in page
    assert call(capsys, "runs", "--clean", *at).code == 0
    assert "left out" not in call(capsys, "runs", *at).err
    assert Path(second["path"]).exists()


def test_a_record_says_where_a_result_comes_from(
    capsys: pytest.CaptureFixture[str], results: str, tmp_path: Path
) -> None:
    (made,) = call(capsys, "train", *TINY, "--json", results).objects
    record = json.loads((Path(made["path"]) / "record.json").read_text())
    assert record["recipe"]["task"]["examples"] == 200
    assert record["code"]["version"]
    assert record["machine"]["torch"]
    assert any("to train: 12 steps" in sentence for sentence in record["derived"])
    assert str(tmp_path) not in json.dumps(record["recipe"])


def test_doctor_says_what_this_machine_can_do(capsys: pytest.CaptureFixture[str]) -> None:
    answer = call(capsys, "doctor", "--json")
    assert answer.code == 0
    assert {"torch", "device", "cores", "data", "disk"} <= {found["check"] for found in answer.objects}


def test_a_table_shows_square_brackets_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    Show(as_json=False).table("t", ("", ""), [("cluster", "pip install 'prune-lab[cluster]'")])
    assert "prune-lab[cluster]" in capsys.readouterr().out


def test_an_error_that_runs_share_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    show = Show(as_json=True)
    for number, reason in enumerate(["no file a.png", "no file a.png", "no file a.png", "another"]):
        show.outcome(Outcome("train", str(number), "", "failed", error=DataUnavailable(reason)), asked_for=True)
    show.stop()
    said = capsys.readouterr()
    assert said.err.count("no file a.png") == 1
    assert "2 more runs failed for the same reason" in said.err
    assert said.out.count("no file a.png") == 3  # an object a run


def test_what_is_made_needs_no_data_folder(capsys: pytest.CaptureFixture[str], results: str, tmp_path: Path) -> None:
    file = table_of(tmp_path / "data" / "train.parquet", random_pixels(60, size=8), [0, 1] * 30)
    words = ["prune", "task=images", f"task.path={file.parent}", "rule=random", results]
    assert call(capsys, *words, "keep=0.5").code == 0
    shutil.rmtree(file.parent)
    again = call(capsys, *words, "keep=0.5")
    assert (again.code, "already done" in again.err) == (0, True)
    assert f"what was made of them is in {tmp_path / 'results'}" in again.err
    more = call(capsys, *words, "keep=0.5,0.25")
    assert (more.code, "to mend it" in more.err, "already done" in more.err) == (4, True, False)
    assert call(capsys, *words, "keep=0.5", "task.dev=0.2").code == 4  # made of nothing with these settings
