from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prune_lab.cli import compose
from prune_lab.experiments.errors import ConfigError, DataUnavailable, LabError
from prune_lab.experiments.phases.plan import job_of
from prune_lab.experiments.scoring.files import read, write

IDS = np.array(["train/cat/1.png", "train/cat/2.png", "train/dog/3.png"])
SCORES = np.array([0.1, 1 / 3, -2.5e-300])


@pytest.fixture
def table(tmp_path: Path):
    """Writes columns to scores.csv and returns its path."""

    def save(**columns: list[object]) -> Path:
        path = tmp_path / "scores.csv"
        pd.DataFrame(columns).to_csv(path, index=False)
        return path

    return save


@pytest.mark.parametrize("suffix", [".npy", ".csv", ".parquet"])
@pytest.mark.parametrize("labels", [None, np.array([0, 0, 1])])
def test_what_is_written_is_read_back_to_the_bit(tmp_path: Path, suffix: str, labels: np.ndarray | None) -> None:
    path = tmp_path / f"scores{suffix}"
    write(path, IDS, SCORES, labels)
    scores, note = read(path, IDS)
    assert scores.tolist() == SCORES.tolist()
    assert scores.dtype == np.float64
    assert "3 scores" in note


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1), size=st.integers(1, 30))
def test_the_order_of_the_file_does_not_matter(tmp_path: Path, suffix: str, seed: int, size: int) -> None:
    generator = np.random.default_rng(seed)
    ids = np.array([f"row{n:03d}" for n in range(size)])
    scores, order = generator.normal(size=size), generator.permutation(size)
    path = tmp_path / f"scores{suffix}"
    write(path, ids[order], scores[order], None)
    assert read(path, ids)[0].tolist() == scores.tolist()


def test_file_names_stand_for_ids_where_they_are_unique(table) -> None:
    scores, note = read(table(image=["3.png", "elsewhere\\1.png", "train/cat/2.png"], score=[3, 1, 2]), IDS)
    assert scores.tolist() == [1, 2, 3]
    assert "2 by file name alone" in note


def test_a_file_name_shared_by_two_ids_is_no_name(table) -> None:
    path = table(id=["1.png", "train/cat/2.png", "train/dog/1.png"], score=[1, 2, 3])
    with pytest.raises(ConfigError, match=r"1 of 3 training examples have no score.*1 of them share a file name"):
        read(path, np.array(["train/cat/1.png", "train/cat/2.png", "train/dog/1.png"]))


def test_one_file_name_does_not_serve_two_examples(table) -> None:
    path = table(id=["1.png", "train/cat/2.png"], score=[1, 2])
    with pytest.raises(ConfigError, match=r"2 of 3 training examples have no score.*2 of them share a file name"):
        read(path, np.array(["train/cat/1.png", "train/cat/2.png", "train/dog/1.png"]))


def test_more_ids_are_accepted_and_counted(table) -> None:
    path = table(id=["test/9.png", *IDS, "test/8.png"], score=["", 1, 2, 3, "nan"])  # theirs need not be numbers
    scores, note = read(path, IDS)
    assert scores.tolist() == [1, 2, 3]
    assert "2 more ids" in note


def test_ids_are_text(table) -> None:
    scores, _ = read(table(id=["007", "NA", "7"], score=[1, 2, 3]), np.array(["7", "007", "NA"]))
    assert scores.tolist() == [3, 1, 2]


def test_integer_ids_in_parquet(tmp_path: Path) -> None:
    pd.DataFrame({"id": [2, 0, 1], "score": np.float32([2, 0, 1])}).to_parquet(tmp_path / "s.parquet")
    assert read(tmp_path / "s.parquet", np.array(["0", "1", "2"]))[0].tolist() == [0, 1, 2]


def test_missing_ids_are_refused(table) -> None:
    with pytest.raises(ConfigError, match=r"2 of 3 training .* have no score.*missing 'train/cat/2\.png'"):
        read(table(id=["train/cat/1.png", "x"], score=[1, 2]), IDS)


def test_another_data_sets_ids_are_refused(table) -> None:
    with pytest.raises(ConfigError, match=r"3 of 3 training .*first id in the file is 'n01440764_10026'"):
        read(table(id=["n01440764_10026", "n01440764_10027"], score=[1, 2]), IDS)


def test_a_beginning_more_or_less_is_said_and_not_guessed(table) -> None:
    ids = np.array(["train/cat/1.png", "train/dog/1.png"])
    with pytest.raises(
        ConfigError, match=r"(?s)'/data/train/cat/1\.png'.*to mend it: take '/data/' off the file's ids"
    ):
        read(table(id=[f"/data/{name}" for name in ids], score=[1, 2]), ids)
    with pytest.raises(ConfigError, match=r"to mend it: put 'train/' before the file's ids"):
        read(table(id=["cat/1.png", "dog/1.png"], score=[1, 2]), ids)
    with pytest.raises(ConfigError, match="in the form that"):
        read(table(id=["/a/train/cat/1.png", "/b/train/dog/1.png"], score=[1, 2]), ids)


@pytest.mark.parametrize("separator", [";", "\t"])
def test_another_separator_is_named(tmp_path: Path, separator: str) -> None:
    (tmp_path / "s.csv").write_text(f"id{separator}score\na{separator}0,5\nb{separator}0,7\n")
    with pytest.raises(ConfigError, match=f"separated by {re.escape(repr(separator))}.*not by commas"):
        read(tmp_path / "s.csv", np.array(["a", "b"]))


def test_equal_scores_rank_nothing_and_are_refused(table) -> None:
    with pytest.raises(ConfigError, match=r"(?s)all 3 scores are 0\.5.*rule=random"):
        read(table(id=list(IDS), score=[0.5] * 3), IDS)


def test_every_refusal_says_what_mends_it(table) -> None:
    for columns in ({"id": [*IDS, IDS[0]], "score": [1, 2, 3, 4]}, {"id": list(IDS), "score": [1, "nan", 3]}):
        with pytest.raises(ConfigError, match="to mend it"):
            read(table(**columns), IDS)


def test_duplicates_are_refused(table) -> None:
    with pytest.raises(ConfigError, match=r"1 ids occur more than once, e\.g\. 'train/cat/1\.png'"):
        read(table(id=[*IDS, IDS[0]], score=[1, 2, 3, 4]), IDS)


@pytest.mark.parametrize("wrong", ["nan", "inf", "-inf", "", "high"])
def test_scores_that_are_no_numbers_are_refused(table, wrong: str) -> None:
    with pytest.raises(ConfigError, match=r"1 of 3 scores are not finite numbers, e\.g\. 'train/cat/2\.png'"):
        read(table(id=list(IDS), score=[1, wrong, 3]), IDS)


@pytest.mark.parametrize(
    "columns", [{"name": ["a"], "score": [1]}, {"id": ["a"], "EL2N": [1]}, {"id": [], "score": []}]
)
def test_absent_columns_are_refused(table, columns: dict[str, list[object]]) -> None:
    with pytest.raises(ConfigError, match=r"it needs id \(or image\) and score"):
        read(table(**columns), IDS)


@pytest.mark.parametrize("content", [np.zeros(2), np.zeros(4), np.zeros((3, 1))])
def test_npy_of_the_wrong_length_is_refused(tmp_path: Path, content: np.ndarray) -> None:
    np.save(tmp_path / "s.npy", content)
    with pytest.raises(ConfigError, match="training split 3 examples"):
        read(tmp_path / "s.npy", IDS)


def test_npy_without_numbers_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "s.npy", np.array(["a", "b", "c"]))
    with pytest.raises(ConfigError, match="array of numbers"):
        read(tmp_path / "s.npy", IDS)
    np.save(tmp_path / "s.npy", np.array([1.0, np.nan, 2.0]))
    with pytest.raises(ConfigError, match="1 of 3 scores"):
        read(tmp_path / "s.npy", IDS)


def test_pickles_are_refused_unread(tmp_path: Path) -> None:
    np.save(tmp_path / "s.npy", np.array([1.0, None, 2.0], dtype=object), allow_pickle=True)
    with pytest.raises(DataUnavailable, match="pickles are refused"):
        read(tmp_path / "s.npy", IDS)


@pytest.mark.parametrize("name", ["absent.csv", "damaged.parquet", "empty.csv", "empty.npy", "scores.pkl"])
def test_other_files_are_refused(tmp_path: Path, name: str) -> None:
    if not name.startswith("absent"):
        (tmp_path / name).write_bytes(b"" if name.startswith("empty") else b"PAR1 nonsense")
    with pytest.raises(LabError, match=name):
        read(tmp_path / name, IDS)
    if name == "scores.pkl":
        with pytest.raises(ConfigError, match=name):
            write(tmp_path / name, IDS, SCORES, None)


def test_a_run_is_called_by_its_score_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("id,score\n")
    (run,) = compose.runs("prune", ["keep=0.5", "scorer=file", f"scorer.path={path}"])
    assert job_of("prune", run).name == "digits, 0.5 hard by mine.csv"
