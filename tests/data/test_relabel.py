"""Labels from a file, by id: what differs counts as label noise, and a file that does not fit is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from prune_lab.experiments.data import images
from prune_lab.experiments.data.digits import Digits
from prune_lab.experiments.data.load import load_data
from prune_lab.experiments.errors import ConfigError, DataUnavailable
from prune_lab.experiments.phases.plan import job_of
from prune_lab.experiments.phases.settings import Run

from ..command_line import call
from ..image_files import random_pixels, table_of

NAMES = ["cat", "dog", "emu"]


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """30 training images, ten a class, and 6 of test."""
    monkeypatch.setenv("PRUNE_LAB_CACHE", str(tmp_path / "cache"))
    for part, number in (("train", 30), ("test", 6)):
        table_of(tmp_path / "set" / f"{part}.parquet", random_pixels(number, size=8), own(number)["label"].tolist(),
                 names=NAMES)  # fmt: skip
    return tmp_path / "set"


def loaded(source: Path, labels: Path, **settings: Any) -> Any:
    load_data.cache_clear()
    return load_data(images.Images(name="images", path=str(source), dev=0.2, labels=str(labels), **settings))


def own(rows: int = 30) -> pd.DataFrame:
    return pd.DataFrame({"id": [f"train/{row:05}" for row in range(rows)], "label": [row % 3 for row in range(rows)]})


def truth(data: Any) -> Any:
    train = data.splits["train"]
    return train, np.array([int(name[-5:]) for name in train.ids])


@pytest.mark.parametrize("form", ["numbers", "names", "floats", "shuffled", "npy", "npy of names"])
def test_labels_are_replaced_by_id_and_those_that_differ_are_marked(source: Path, tmp_path: Path, form: str) -> None:
    table = own()
    table.loc[[3, 4, 8], "label"] = [1, 2, 0]
    expected = table["label"].to_numpy()
    file = tmp_path / f"mine.{'npy' if form.startswith('npy') else 'csv'}"
    if "names" in form:
        table["label"] = np.array(NAMES)[expected]
    if file.suffix == ".npy":
        np.save(file, table["label"].to_numpy("U3" if "names" in form else np.int64))
    else:
        table["label"] = table["label"].astype(float) if form == "floats" else table["label"]
        table = table[::-1] if form == "shuffled" else table
        table.to_csv(file, index=False)
    data = loaded(source, file)
    train, rows = truth(data)
    assert train.targets.tolist() == expected[rows].tolist()
    assert train.noisy.tolist() == np.isin(rows, [3, 4, 8]).tolist()
    assert "they count as label noise" in " ".join(data.notes)
    assert data.splits["test"].noisy is None
    of_two = truth(loaded(source, file, classes=("dog", "emu"), examples=10))[0]
    assert of_two.noisy.sum() <= 2
    assert set(of_two.targets.tolist()) == {0, 1}


@pytest.mark.parametrize(
    ("change", "said", "mend"),
    [
        (lambda table: table.iloc[:20], "has no label for", "a row for each"),
        (lambda table: table.assign(id=table["id"].str[1:]), "30 of 30 ids that no example has; the first is 'rain/",
         "take them out"),
        (lambda table: table.replace({"label": {2: 3}}), "is 3; the classes are cat, dog, emu, or their numbers 0 to 2",
         "one of these"),
        (lambda table: table.replace({"label": {2: "gnu"}}), "is gnu; the classes", "one of these"),
        (lambda table: table.replace({"label": {2: ""}}), "the label of train/00002 is ;", "one of these"),
        (lambda table: pd.concat([table, table[:1]]), "two rows of train/00000", "one row for each id"),
        (lambda table: table.rename(columns={"label": "y"}), "of the columns id, y", "columns id and label"),
        (lambda table: table.assign(**{"class": "dog"}), "00000 has class dog and label 0", "take the column out"),
    ],
)  # fmt: skip
def test_a_file_that_does_not_fit_is_refused(source: Path, tmp_path: Path, change: Any, said: str, mend: str) -> None:
    change(own()).to_csv(tmp_path / "mine.csv", index=False)
    with pytest.raises(ConfigError, match=f"(?s){said}.*to mend it: .*{mend}"):
        loaded(source, tmp_path / "mine.csv")


def test_arrays_of_another_length_or_of_code_are_refused(source: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "mine.npy", np.zeros(24, np.int64))
    with pytest.raises(ConfigError, match=r"has shape \(24,\), and there are 30 of datasets\.load_dataset"):
        loaded(source, tmp_path / "mine.npy")
    np.save(tmp_path / "mine.npy", np.array([{"a": 1}]), allow_pickle=True)
    with pytest.raises(DataUnavailable, match="pickles are refused"):
        loaded(source, tmp_path / "mine.npy")
    with pytest.raises(DataUnavailable, match=r"the file task\.labels=.* cannot be read"):
        loaded(source, tmp_path / "none.csv")


def test_dev_and_test_are_replaced_where_the_file_has_all_of_them(source: Path, tmp_path: Path) -> None:
    more = pd.DataFrame({"id": [f"test/{row:05}" for row in range(6)], "label": ["emu"] * 6})
    both = pd.concat([own(), more])
    both.to_csv(tmp_path / "mine.csv", index=False)
    data = loaded(source, tmp_path / "mine.csv")
    assert data.splits["test"].targets.tolist() == [2] * 6
    both[:-1].to_csv(tmp_path / "mine.csv", index=False)
    with pytest.raises(ConfigError, match="no label for 1 of 6 test examples; the first is 'test/00005'"):
        loaded(source, tmp_path / "mine.csv")


def test_the_file_is_part_of_the_key_and_not_its_name(tmp_path: Path) -> None:
    def key(labels: str | None, **task: Any) -> str:
        settings = {"task": {"name": "digits", "labels": labels, **task}, "model": "mlp", "recipe": {"epochs": 1}}
        return job_of("train", Run.model_validate({**settings, "scorer": "el2n"})).key

    for name, content in (("a", "id,label\n"), ("b", "id,label\n"), ("c", "id,label\nx,1\n")):
        (tmp_path / f"{name}.csv").write_text(content)
    one, same, other = (key(str(tmp_path / f"{name}.csv")) for name in "abc")
    assert one == same
    assert len({key(None), one, other}) == 3
    with pytest.raises(ValueError, match=r"task\.labels and task\.label_noise both make labels wrong"):
        key(str(tmp_path / "a.csv"), label_noise=0.1)


def test_no_result_of_other_labels_stands_in_for_those_of_a_file_that_is_gone(
    capsys: pytest.CaptureFixture[str], source: Path, results: str, tmp_path: Path
) -> None:
    """What was made of data that are gone is found again, but labels are known by the file alone."""
    words = ["prune", "task=images", f"task.path={source}", "task.dev=0.2", "keep=0.5", "rule=random", results]
    own().to_csv(tmp_path / "mine.csv", index=False)
    labels = f"task.labels={tmp_path / 'mine.csv'}"
    assert call(capsys, *words, labels).code == 0
    (tmp_path / "mine.csv").unlink()
    gone = call(capsys, *words, labels)
    assert (gone.code, "cannot be read" in gone.err) == (4, True)
    source.rename(tmp_path / "elsewhere")
    assert call(capsys, *words).code == 4  # a result of relabelled data is none of these


def test_prune_counts_them_as_label_noise(capsys: pytest.CaptureFixture[str], results: str, tmp_path: Path) -> None:
    """The table that prune writes, with classes changed by hand, is such a file."""
    words = ["prune", "task=digits", "task.examples=100", "keep=0.5", "rule=random", results]
    train = load_data(Digits(name="digits")).splits["train"]
    names = np.array(train.targets).astype(str)
    names[:300] = "7"
    pd.DataFrame({"id": train.ids, "class": names}).to_csv(tmp_path / "mine.csv", index=False)
    answer = call(capsys, *words, f"task.labels={tmp_path / 'mine.csv'}", "--json")
    assert answer.code == 0, answer.err
    assert "of the labels kept are known to be wrong" in answer.err
    measures = pd.read_parquet(Path(answer.objects[0]["path"]) / "distribution.parquet").set_index("measure")
    assert measures.loc["noisy_labels", "pool"] > 0.1
