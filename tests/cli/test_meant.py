"""What a word that is no setting, no choice, no option and no value was meant as: the mend is what a person types."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from prune_lab.cli import compose, meant, words
from prune_lab.experiments.data import images, text
from prune_lab.experiments.errors import ConfigError, DataUnavailable

from ..command_line import call

PLUGIN = "--plugin FILE.py"


@pytest.mark.parametrize(
    ("word", "mend"),
    [
        ("recipe.lr=0.1", "recipe.learning_rate=0.1"),
        ("recipe.wd=0.01", "recipe.weight_decay=0.01"),
        ("recipe.bs=64", "recipe.batch_size=64"),
        ("recipe.batch=64", "recipe.batch_size=64"),
        ("recipe.num_epochs=3", "recipe.epochs=3"),
        ("recipe.mom=0.9", "recipe.momentum=0.9"),
        ("recip.epochs=3", "recipe.epochs=3"),
        ("lr=0.1", "recipe.learning_rate=0.1"),
        ("epochs=3", "recipe.epochs=3"),
        ("dataset=digits", "task=digits"),
        ("score=el2n", "scorer=el2n"),
        ("scorers=el2n", "scorer=el2n"),
        ("keep_fraction=0.5", "keep=0.5"),
        ("recipe.epoch='a b'", "recipe.epochs=..."),
        ("drop=0.1", "keep=0.9"),
        ("drop=10%", "keep=0.9"),
        ("prune_ratio=0.25", "keep=0.75"),
        ("scorer=torn", PLUGIN),
        ("policy=curriculum", PLUGIN),
        ("model=cnn", "model=convnet"),
        ("model=resnet50", "model=resnet18"),
        ("task=imagefolder", "task=images"),
        ("rule=hardest", "rule=hard"),
        ("finetune.task.name=torn", PLUGIN),
        ("mine.yaml", "prune-lab reproduce experiment=mine.yaml"),
        ("mine.py", "--plugin mine.py"),
        ("0.5", "keep=0.5"),
        ("device=gpu", "device=cuda"),
        ("device=gpu:1", "device=cuda:1"),
        ("device=0", "device=cuda:0"),
        ("export=out/k.xlsx", "export=out/k.csv"),
        ("policy=rs2 keep=0.5", "keep=1"),
    ],
)
def test_the_mend_is_what_was_meant(word: str, mend: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose.runs("train", word.split(" ") if "'" not in word else [word])
    assert (caught.value.mend or "").startswith(mend), str(caught.value)


def test_a_range_and_a_device_are_said_with_the_values_that_there_are() -> None:
    with pytest.raises(ConfigError, match=r"a range of whole numbers is written seed=range\(0,5\) or seed=0,1,2,3,4\n"):
        compose.runs("train", ["seed=0-4"])
    with pytest.raises(ConfigError, match="none of auto, cpu, mps, cuda and cuda:N"):
        compose.runs("train", ["device=gpu"])


@pytest.mark.parametrize(
    ("given", "mend"),
    [
        (["rule=hard,", "random", "keep=0.5"], "rule=hard,random"),
        (["keep=0.5", "rule=hard", ",random"], "rule=hard,random"),
        (["rule=hard", ",", "random"], "rule=hard,random"),
        (["keep", "=", "0.5"], "keep=0.5"),
        (["keep=", "0.5"], "keep=0.5"),
    ],
)
def test_a_space_makes_no_other_setting_of_one(given: list[str], mend: str) -> None:
    with pytest.raises(ConfigError, match="a space makes several words") as caught:
        words.check_spaces(given)
    assert caught.value.mend == mend
    words.check_spaces(["rule=hard,", "keep=0.5", "title=a,", "b"])


@pytest.mark.parametrize(
    ("verb", "given", "mend"),
    [
        ("train", ["--kepp", "0.5"], "--keep 0.5"),
        ("train", ["--kepp=0.5"], "--keep 0.5"),
        ("train", ["--jsn"], "--json"),
        ("train", ["--rule", "hard"], "rule=hard"),
        ("train", ["--lr=0.1"], "recipe.learning_rate=0.1"),
        ("train", ["--drop", "0.1"], "keep=0.9"),
        ("train", ["--zzz"], "prune-lab train --help"),
        ("claims", ["--rule", "hard"], "prune-lab claims --help"),
    ],
)
def test_an_option_that_is_none(capsys: pytest.CaptureFixture[str], verb: str, given: list[str], mend: str) -> None:
    answer = call(capsys, verb, *given)
    assert (answer.code, answer.err.endswith(f"to mend it: {mend}\n")) == (2, True), answer.err


def test_letters_that_are_far_from_all_names_name_none() -> None:
    assert meant.choice("torn", ["tracin", "random"]) is None
    assert meant.settings("recipe.zzz", ["recipe.flip", "recipe.clip"], []) == []
    assert meant.kept("drop", "1.0") is None


@pytest.mark.parametrize(
    ("find", "names", "mend"),
    [
        (images.find, ["docs.jsonl"], "task=text"),
        (images.find, ["notes/a.txt", "notes/b.txt"], "task=text"),
        (images.find, ["a.csv"], "task.path=FOLDER_OR_PARQUET"),
        (text.find, ["cat/1.png", "dog/2.jpg"], "task=images"),
        (text.find, ["a.bin"], "task.path=FOLDER_OR_FILE"),
    ],
)
def test_data_of_the_other_kind_are_said(tmp_path: Path, find: Any, names: list[str], mend: str) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    with pytest.raises(DataUnavailable) as caught:
        find("text" if find is text.find else "images", str(tmp_path))
    assert caught.value.mend == mend


def test_an_export_whose_place_is_taken_is_refused_before_anything_runs(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "clean.csv").write_text("mine")
    store = tmp_path / "store"
    answer = call(capsys, "score", "task=digits", f"export={tmp_path / 'clean.csv'}", f"results={store}")
    assert (answer.code, "is there already, and is not replaced" in answer.err) == (2, True)
    assert "clean_2.csv" in answer.err
    assert not [*store.glob("*/*")]
