"""A second text in the tokens of the first: exact bytes, own settings in errors, in evaluate's recipe and no other."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from prune_lab.cli import compose
from prune_lab.experiments.contracts import IGNORED
from prune_lab.experiments.data import second, text
from prune_lab.experiments.data.load import SHIFTED
from prune_lab.experiments.errors import ConfigError, DataUnavailable
from prune_lab.experiments.phases.plan import Job, job_of
from prune_lab.experiments.report.pruning.runs import points, table
from prune_lab.experiments.store.folders import Store

from ..command_line import call

TINY_GPT = ["model.width=16", "model.heads=2", "model.depth=1", "recipe.epochs=1"]
STRANGE = ["日本語 and naïve Straße 🌲 " * 6, "the second of two documents\n" * 5]


def corpus(folder: Path, texts: list[str]) -> str:
    folder.mkdir(parents=True)
    for number, content in enumerate(texts):
        (folder / f"{number:02}.txt").write_text(content)
    return str(folder)


def first(tmp_path: Path) -> str:
    return corpus(tmp_path / "first", [f"the cat sat on a mat and saw {number} " * 9 for number in range(30)])


def job(path: str, *words: str) -> Job:
    (run,) = compose.runs("evaluate", ["task=text", f"task.path={path}", "keep=0.5", "recipe.epochs=1", *words])
    return job_of("evaluate", run)


def test_the_windows_hold_the_second_text_in_the_tokens_of_the_first(tmp_path: Path) -> None:
    data = text.load("text", first(tmp_path), dev=0.1, vocabulary=300, context=16)
    assert data.decode is not None
    examples, notes = second.windows(
        "text", corpus(tmp_path / "second", STRANGE), tokenizer=data.tokenizer, context=16, column="text", limit=None,
        names=SHIFTED,
    )  # fmt: skip
    assert examples.inputs.shape[1] == 16
    assert examples.targets.max() < data.vocabulary
    for document, content in enumerate(STRANGE):
        own = np.char.startswith(examples.ids, f"{document:02}.txt#")
        targets = examples.targets[own]
        assert data.decode(targets[targets != IGNORED].tolist()) == content
        assert examples.units["bytes"][own].sum() == len(content.encode())
        assert examples.inputs[own][0, 0] == text.BOS
    assert "all of it: it has no parts" in notes
    assert any("shifted.path=" in note for note in notes)


def test_the_test_part_is_measured_where_there_is_one(tmp_path: Path) -> None:
    corpus(tmp_path / "set" / "train", ["learned"] * 3)
    path = corpus(tmp_path / "set" / "test", STRANGE)
    found = second.documents("text", str(Path(path).parent), "test", column="text", limit=None, names=SHIFTED)
    assert sorted(found.texts) == sorted(STRANGE)
    found = second.documents("text", str(Path(path).parent), "train", column="text", limit=2, names=SHIFTED)
    assert found.texts == ["learned"] * 2
    assert "2 of 3 documents of train drawn at random (shifted.documents)" in found.notes


def test_errors_name_the_settings_of_the_second_text(tmp_path: Path) -> None:
    missing = tmp_path / "task.path"  # a name that is no setting
    with pytest.raises(DataUnavailable, match=rf"shifted\.path={missing} does not exist\n.*shifted\.path=FOLDER"):
        second.fingerprint("text", str(missing), names=SHIFTED)
    path = corpus(tmp_path / "second", STRANGE)
    with pytest.raises(ConfigError, match=r"shifted\.column=body"):
        second.documents("text", path, "test", column="body", limit=None, names=SHIFTED)


def test_it_belongs_to_the_recipe_of_evaluate_alone(tmp_path: Path) -> None:
    path, other = first(tmp_path), corpus(tmp_path / "second", STRANGE)
    plain, shifted = job(path), job(path, f"shifted.path={other}")
    assert plain.recipe == {"split": "test"}
    assert shifted.inputs["train"].key == plain.inputs["train"].key
    assert shifted.recipe["shifted"] == {"name": "text", "column": "text", "documents": None}
    moved = corpus(tmp_path / "moved", STRANGE)
    assert job(path, f"shifted.path={moved}").key == shifted.key  # the bytes count, not where they lie
    keys = {plain.key, shifted.key}
    for words in (["shifted.documents=1", f"shifted.path={other}"], ["shifted.name=pydoc"]):
        keys.add(job(path, *words).key)
    (tmp_path / "second" / "00.txt").write_text("changed")
    keys.add(job(path, f"shifted.path={other}").key)
    assert len(keys) == 5


def test_a_text_mixed_in_counts_by_its_bytes(tmp_path: Path) -> None:
    path, other = first(tmp_path), corpus(tmp_path / "second", STRANGE)
    mixed = ["task.mixed.name=imdb", f"task.mixed.path={other}"]
    plain, both = (job(path, *words).inputs["train"] for words in ([], mixed))
    assert both.recipe["task"]["mixed"] == {"name": "imdb", "column": "text", "documents": None}
    assert both.name.startswith("text and imdb, ")
    moved = corpus(tmp_path / "moved", STRANGE)
    assert job(path, *mixed[:1], f"task.mixed.path={moved}").inputs["train"].key == both.key
    keys = {plain.key, both.key, job(path, *mixed, "task.mixed.documents=1").inputs["train"].key}
    (tmp_path / "second" / "00.txt").write_text("changed")
    assert len({*keys, job(path, *mixed).inputs["train"].key}) == 4


def test_what_would_be_ignored_or_measured_on_its_own_training_text_is_refused(tmp_path: Path) -> None:
    path = first(tmp_path)
    with pytest.raises(ConfigError, match="trained on"):
        job(path, f"shifted.path={path}")
    for words, said in (
        (["task=digits", "shifted.name=pydoc"], "leave shifted out"),
        (["task=pydoc", "shifted.documents=3"], r"shifted\.path=FOLDER_OR_FILE or shifted\.name=pydoc"),
        (["task=imdb", "shifted.name=pydoc", "shifted.path=x"], "would be ignored"),
        (["task=imdb", "shifted.name=pydco"], r"to mend it: shifted\.name=pydoc"),
        (["task=imdb", "shifted.paht=x"], r"Did you mean shifted\.path\?"),
        (["task=imdb", "task.mixed.name=imdb"], "told apart"),
        (["task=imdb", "task.mixed.column=body"], r"task\.mixed\.path=FOLDER_OR_FILE or task\.mixed\.name=pydoc"),
        (["task=pydoc", "task.mixed.name=digits_as_text", "task.mixed.path=x"], "would be ignored"),
        (["task=digits_as_text", "task.path=x"], "is embedded"),
    ):
        with pytest.raises(ConfigError, match=said):
            compose.runs("evaluate", words)


def test_the_experiment_measures_pydoc_where_it_does_not_train_on_it() -> None:
    for size, expected in (("cpu", ["pydoc", 1500]), ("paper", ["pydoc", None]), ("smoke", None)):
        _, runs = compose.experiment(["experiment=lm_pruning", f"experiment.size={size}"])
        found = [run.shifted and [run.shifted.name, run.shifted.documents] for run in runs]
        assert found == [expected] * len(runs)


def test_evaluate_measures_both_texts(capsys: pytest.CaptureFixture[str], results: str, tmp_path: Path) -> None:
    """A text of 256 kinds of bytes at random costs about 8 bits each; the cats cost less; the own numbers stay."""
    draw = np.random.default_rng(0)
    noise = "".join(chr(code) for code in draw.integers(0x4E00, 0x9FFF, 1500))
    other = corpus(tmp_path / "second", [noise])
    words = ["task=text", f"task.path={first(tmp_path)}", "task.vocabulary=300", "task.context=16", *TINY_GPT]
    (plain,) = call(capsys, "evaluate", *words, "--json", results).objects
    answer = call(capsys, "evaluate", *words, f"shifted.path={other}", "--json", results)
    (both,) = answer.objects
    assert "second text: text: read from shifted.path=" in answer.err
    assert {name: value for name, value in both["metrics"].items() if "shifted" not in name} == plain["metrics"]
    assert both["metrics"] == json.loads((Path(both["path"]) / "metrics.json").read_text())
    names = {name for name in both["metrics"] if name.startswith("shifted_")}
    assert names == {"shifted_loss", "shifted_bits_per_byte", "shifted_loss_best", "shifted_bits_per_byte_best"}
    assert both["metrics"]["shifted_bits_per_byte"] > both["metrics"]["bits_per_byte"]
    in_nats = both["metrics"]["shifted_loss"] / math.log(2)  # a token is a byte here, or nearly
    assert both["metrics"]["shifted_bits_per_byte"] == pytest.approx(in_nats, rel=0.05)
    assert len(Store(tmp_path / "results").folders("train")) == 1
    runs = table(Store(tmp_path / "results"))
    assert runs["setup"].nunique() == 2
    assert points(runs)["shifted_bits_per_byte"].notna().sum() == 1
