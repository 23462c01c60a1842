"""prune-lab inspect finds what was planted: wrong labels first, exact and near copies, and says what to do next."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits

from prune_lab.experiments import choices
from prune_lab.experiments.contracts import Data, Examples
from prune_lab.experiments.report.inspection import issues
from prune_lab.experiments.scoring.evidence import Given
from prune_lab.experiments.scoring.folds import judged

from ..command_line import call
from ..image_files import png
from ..scoring.test_scoring import Scale, proxy, three

WRONG, COPIES = 20, 6
LINEAR = ["model=linear", "recipe=digits", "recipe.precision=float32", "recipe.batch_size=50"]
FAST = [*LINEAR, "scorer.folds=2", "scorer.proxies=1"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 digits in folders of classes: 20 lie in a wrong one, and 6 more are copies of one in another's folder."""
    folder, draw = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    images, labels = load_digits(return_X_y=True)
    for number, (image, label) in enumerate(zip(images[:300], labels[:300], strict=True)):
        wrong = number < WRONG
        name = (label + draw.integers(1, 10)) % 10 if wrong else label
        content = png((image.reshape(8, 8) * 15).astype(np.uint8))
        names = [f"{name}/{number}{'_wrong' if wrong else ''}.png"]
        names += [f"{(label + 1) % 10}/{number}_copy.png"] if number >= 300 - COPIES else []
        for one in names:
            (folder / one).parent.mkdir(exist_ok=True)
            (folder / one).write_bytes(content)
    return folder


def test_wrong_labels_and_copies_of_a_folder_are_found_and_the_next_command_can_be_given(
    photos: Path, capsys: pytest.CaptureFixture[str], results: str, tmp_path: Path
) -> None:
    words = ["inspect", "task=images", f"task.path={photos}", *FAST, "recipe.epochs=10", results]
    first = call(capsys, *words, "--json")
    assert first.code == 0, first.err
    assert "85 of 306 examples are in dev or test, and not judged: task.test=0 task.dev=0 judges all" in first.err
    made = first.objects[-1]
    folder, metrics = Path(made["path"]), made["metrics"]
    labels = pd.read_csv(folder / "label_errors.csv")
    wrong = labels["id"].str.contains("_wrong|_copy")
    assert auc(labels["suspicion"], wrong) > 0.95
    assert wrong[labels["likely"]].mean() > 0.6
    assert wrong.head(10).sum() >= 8
    copies = pd.read_csv(folder / "copies.csv")
    exact = copies[copies["kind"] == "exact"]
    assert (len(exact), metrics["copies"]) == (COPIES, COPIES)
    assert (exact["id"].str.extract(r"/(\d+)")[0] == exact["of_id"].str.extract(r"/(\d+)")[0]).all()
    assert (exact["label"] != exact["of_label"]).all()
    assert metrics["copies_across_splits"] == (exact["split"] != exact["of_split"]).sum()
    assert metrics["accuracy"] > 0.7 > metrics["guessing"]
    assert pd.read_csv(folder / "classes.csv")[["train", "dev", "test"]].to_numpy().sum() == 300 + COPIES
    page = (folder / "index.html").read_text()
    assert page.count("data:image/png") > 20
    assert "hardest" in page
    exported = tmp_path / "kept.csv"
    prune = [word.replace("export=kept.csv", f"export={exported}") for word in shlex.split(metrics["commands"][0])[1:]]
    assert call(capsys, *prune).code == 0
    kept = pd.read_csv(exported, keep_default_na=False).query("split == 'train'").set_index("id")
    assert not kept.loc[labels.loc[labels["likely"], "id"], "kept"].any()
    within = exact[(exact["split"] == "train") & (exact["of_split"] == "train")]
    assert len(within) > 0
    assert all(kept.loc[[one, of], "kept"].sum() <= 1 for one, of in zip(within["id"], within["of_id"], strict=True))
    table = pd.read_csv(folder / "cleaning.csv", keep_default_na=False).set_index("id")
    assert (table["score"] == 0).equals(kept["kept"].reindex(table.index))
    assert {"", "the label is likely wrong"} <= set(table["reason"])
    assert {one["status"] for one in call(capsys, *words, "--json", "--dry-run").objects} == {"cached"}


def test_where_proxies_guess_this_is_said_first_and_what_to_set(
    photos: Path, capsys: pytest.CaptureFixture[str], results: str
) -> None:
    answer = call(capsys, "inspect", "task=images", f"task.path={photos}", *FAST, "recipe.steps=1", results, "--json")
    metrics = answer.objects[-1]["metrics"]
    assert "no better than guessing" in metrics["warnings"][0]
    assert "recipe.steps=4" in metrics["warnings"][0]
    assert metrics["commands"] == [shlex.join(["prune-lab", *suggested(photos, results)])]


def suggested(photos: Path, results: str) -> list[str]:
    return ["inspect", "task=images", f"task.path={photos}", *LINEAR, results, "recipe.steps=4"]


def test_a_text_is_looked_through_for_copies_and_has_no_labels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], results: str
) -> None:
    draw, folder = np.random.default_rng(0), tmp_path / "text"
    folder.mkdir()
    for number in range(40):
        words = " ".join("".join(draw.choice(list("abcdefgh"), 4)) for _ in range(8))
        (folder / f"{number}.txt").write_text(words)
        if number < 3:
            (folder / f"{number}_again.txt").write_text(words)
    small = [
        "task.context=16",
        "task.vocabulary=257",
        "model.width=16",
        "model.heads=2",
        "model.depth=1",
        "recipe.steps=2",
    ]
    answer = call(capsys, "inspect", "task=text", f"task.path={folder}", *small, results, "--json")
    assert answer.code == 0, answer.err
    metrics = answer.objects[-1]["metrics"]
    assert metrics["copies"] >= 3
    assert "label_errors" not in metrics


def test_what_would_be_ignored_is_refused(capsys: pytest.CaptureFixture[str], results: str) -> None:
    for words, said in ((["seed=0,1"], "one set of data"), (["export=a.csv"], "beside the page"),
                        (["scorer=el2n,aum"], "one more scorer")):  # fmt: skip
        answer = call(capsys, "inspect", *words, results, "--dry-run")
        assert (answer.code, said in answer.err) == (2, True), answer.err


def test_each_scorer_gets_the_settings_that_are_meant_for_it() -> None:
    from prune_lab.cli.inspect import _scorers

    assert _scorers(["scorer.folds=5"], text=False)["labels"] == [
        "scorer=loss", "scorer.predictions=true", "scorer.folds=5",
    ]  # fmt: skip
    assert _scorers(["scorer=aum", "scorer.proxies=1"], text=False)["difficulty"] == ["scorer=aum", "scorer.proxies=1"]
    assert _scorers(["scorer=duplicates", "scorer.clusters=3"], text=False)["nearest"][-1] == "scorer.clusters=3"
    assert list(_scorers([], text=True)) == ["difficulty", "nearest"]


def test_predictions_are_those_of_the_proxies_that_did_not_see_the_example() -> None:
    """The first fold's proxies agree on row 0; the second fold's are the identity and uniform."""
    held_out = [[True, False, False], [False, True, True]] * 2
    models = [None, None, None, Scale(0.0)]
    given = Given(three(), [proxy(one, held) for one, held in zip(models, held_out, strict=True)])
    scorer: Any = choices.get("scorer", "loss")(folds=2, predictions=True)
    judged(scorer, given)
    columns = {name: values.tolist() for name, values in given.columns.items()}
    assert columns["predicted"] == [0, 0, 0]
    assert columns["agreement"] == [1, 1, 1]
    assert columns["label_probability"] == pytest.approx([0.5, (0.25 + 1 / 3) / 2, (0.8 + 1 / 3) / 2])
    assert columns["predicted_probability"] == pytest.approx([0.5, (0.5 + 1 / 3) / 2, (0.8 + 1 / 3) / 2])


def test_a_label_is_likely_wrong_where_all_proxies_are_as_sure_of_another_as_of_its_own_examples() -> None:
    ids = np.array([f"{n}" for n in range(4)])
    train = Examples(np.zeros((4, 1), np.float32), np.array([0, 1, 0, 0]), ids)
    scored = pd.DataFrame({
        "id": ids, "label": train.targets, "score": [0.1, 0.2, 3.0, 2.0], "predicted": [0, 1, 1, 1],
        "predicted_probability": [0.9, 0.8, 0.81, 0.79], "label_probability": [0.9, 0.8, 0.1, 0.1],
        "agreement": [1.0, 1.0, 1.0, 1.0],
    })  # fmt: skip
    data = Data("tiny", "vectors", {"train": train}, ("a", "b"))
    assert issues.label_errors(data, scored)["likely"].tolist() == [True, False, False, False]
    assert issues.label_errors(data, scored.assign(agreement=[1, 1, 0.5, 1]))["likely"].sum() == 0


def test_copies_exact_and_near_within_and_between_splits() -> None:
    draw = np.random.default_rng(0)
    base = draw.normal(size=(20, 16)).astype(np.float32)
    near = base[1:2] + 1e-3

    def part(rows: np.ndarray[Any, Any], name: str) -> Examples:
        return Examples(rows, np.zeros(len(rows), np.int64), np.array([f"{name}/{n}" for n in range(len(rows))]))

    splits: Any = {"train": part(np.concatenate([base, base[:1]]), "train"), "dev": part(near, "dev"),
                   "test": part(base[2:4], "test")}  # fmt: skip
    found = issues.copies(Data("tiny", "vectors", splits, ("a",)))
    assert found[["kind", "id", "of_id"]].to_numpy().tolist() == [
        ["exact", "train/20", "train/0"], ["exact", "test/0", "train/2"], ["exact", "test/1", "train/3"],
        ["near", "dev/0", "train/1"],
    ]  # fmt: skip


def test_of_copies_the_one_with_the_right_label_is_kept() -> None:
    """Of the copies 0, 1 and 2, 0 is likely wrong; of 3 and 4, of one label, both are; 5 is a copy of one of dev.

    Where 3 and 4 have different labels, the less suspicious of them is kept.
    """
    train = Examples(np.zeros((6, 1), np.float32), np.zeros(6, np.int64), np.array([f"{n}" for n in range(6)]))
    data = Data("tiny", "vectors", {"train": train}, ("a",))
    labels = pd.DataFrame({
        "row": range(6), "likely": [True, False, False, True, True, False], "label": "a",
        "suspicion": [0.9, 0.1, 0.1, 0.9, 0.8, 0.1],
    })  # fmt: skip
    copied = pd.DataFrame({
        "split": "train", "row": [1, 2, 4, 5], "of_split": ["train", "train", "train", "dev"], "of_row": [0, 0, 3, 0],
    })  # fmt: skip
    assert issues.cleaning(data, labels, copied)["score"].tolist() == [1, 0, 1, 1, 1, 0]
    apart = labels.assign(label=["a", "a", "a", "b", "c", "a"])
    assert issues.cleaning(data, apart, copied)["score"].tolist() == [1, 0, 1, 1, 0, 0]
    assert issues.cleaning(data, None, copied)["score"].tolist() == [0, 1, 1, 0, 1, 0]


def auc(scores: pd.Series[Any], kind: pd.Series[Any]) -> float:
    ours, others = scores[kind].to_numpy(), scores[~kind].to_numpy()
    return float((ours[:, None] > others).mean())
