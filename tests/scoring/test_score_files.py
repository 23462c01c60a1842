from __future__ import annotations

import gzip
import os
import re
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
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


def test_a_packed_table_is_read_as_it_is(table, tmp_path: Path) -> None:
    path = table(id=IDS.tolist(), score=[1, 2, 3])
    packed = tmp_path / "scores.csv.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert read(packed, IDS)[0].tolist() == [1, 2, 3]


def test_file_names_stand_for_ids_where_they_are_unique(table) -> None:
    scores, note = read(table(image=["3.png", "cat\\1.png", "train/cat/2.png"], score=[3, 1, 2]), IDS)
    assert scores.tolist() == [1, 2, 3]
    assert "2 by file name alone" in note


def test_a_file_name_shared_by_two_ids_is_no_name(table) -> None:
    path = table(id=["1.png", "train/cat/2.png", "train/dog/1.png"], score=[1, 2, 3])
    with pytest.raises(ConfigError, match=r"1 of them share a file name with another id: 'train/cat/1\.png'"):
        read(path, np.array(["train/cat/1.png", "train/cat/2.png", "train/dog/1.png"]))


@pytest.mark.parametrize("theirs", ["test/cat/1.png", "dog\\1.png", "/train/cats/1.png"])
def test_a_file_name_in_another_folder_is_another_example(table, theirs: str) -> None:
    path = table(id=[theirs, "train/cat/2.png", "3.png"], score=[1, 2, 3])
    with pytest.raises(ConfigError) as caught:
        read(path, IDS)
    assert f"the folders of 1 contradict the file's, as in {theirs!r} and 'train/cat/1.png'" in caught.value.what
    assert "whose ids are 'train/cat/1.png'" in str(caught.value.mend)


def test_the_test_split_of_the_same_size_is_not_the_training_split(table) -> None:
    ids = np.array([f"train/{number:05}" for number in range(20)])
    path = table(id=[name.replace("train", "test") for name in ids], score=list(range(20)))
    with pytest.raises(ConfigError, match="20 of 20 training examples have no score"):
        read(path, ids)


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


def test_decimal_commas_do_not_lose_their_fractions(tmp_path: Path) -> None:
    path, ids = tmp_path / "s.csv", np.array([f"row{number:03}" for number in range(100)])
    path.write_text("id,score\n" + "".join(f"{name},{row // 10},{row % 10}\n" for row, name in enumerate(ids)))
    with pytest.raises(ConfigError, match=r"(?s)line 2: 3 values \('row000,0,0'\) for 2 columns.*a decimal point"):
        read(path, ids)
    path.write_text("id,score\n" + "".join(f'{name},"{row // 10},{row % 10}"\n' for row, name in enumerate(ids)))
    with pytest.raises(ConfigError, match=r"(?s)100 of 100 scores are not finite.*the first is '0,0'.*a decimal point"):
        read(path, ids)


def test_a_comma_at_the_end_and_a_mark_at_the_beginning_are_no_values(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("id, score,\n\na,1.5,\nb,2,\n", encoding="utf-8-sig")
    assert read(tmp_path / "s.csv", np.array(["b", "a"]))[0].tolist() == [2, 1.5]


@pytest.mark.parametrize("head", ["id,score,score", "id,score,id", "image,image,score"])
def test_a_column_twice_is_refused(tmp_path: Path, head: str) -> None:
    (tmp_path / "s.csv").write_text(f"{head}\na,1,2\nb,2,1\n")
    with pytest.raises(ConfigError, match=r"has 2 columns called (id|image|score)"):
        read(tmp_path / "s.csv", np.array(["a", "b"]))


def test_a_column_twice_in_parquet_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table([["a"], [1.0], [2.0]], names=["id", "score", "score"]), tmp_path / "s.parquet")
    with pytest.raises(ConfigError, match="has 2 columns called score"):
        read(tmp_path / "s.parquet", np.array(["a"]))


@pytest.mark.parametrize(
    "scores",
    [
        [True, False],
        [datetime(2020, 1, 1), datetime(2020, 1, 2)],
        [date(2020, 1, 1), date(2020, 1, 2)],
        [timedelta(1), timedelta(2)],
        [[1.0], [2.0]],
        [{"a": 1.0}, {"a": 2.0}],
        [b"1", b"2"],
    ],
)
def test_what_is_no_number_is_no_score(tmp_path: Path, scores: list[object]) -> None:
    pq.write_table(pa.table({"id": ["a", "b"], "score": scores}), tmp_path / "s.parquet")
    with pytest.raises(ConfigError, match=r"the column score is of .*a score is a number"):
        read(tmp_path / "s.parquet", np.array(["a", "b"]))


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["1", "2.5"]),
        pa.array(["1", "2.5"]).dictionary_encode(),
        pa.array(["1", "2.5"], pa.string_view()),
        pa.array([Decimal("1.0"), Decimal("2.5")]),
        pa.array([1, 2.5], pa.float16()),
        pa.array([1, 2.5]).dictionary_encode(),
    ],
)
def test_numbers_are_read_however_they_are_stored(tmp_path: Path, column: pa.Array) -> None:
    ids = pa.array(["b", "a"]).dictionary_encode()
    pq.write_table(pa.table({"id": ids, "score": column}), tmp_path / "s.parquet")
    assert read(tmp_path / "s.parquet", np.array(["a", "b"]))[0].tolist() == [2.5, 1]


def test_ids_that_are_the_tables_index_are_ids(tmp_path: Path) -> None:
    pd.DataFrame({"id": ["b", "a"], "score": [1, 2]}).set_index("id").to_parquet(tmp_path / "S.PARQUET")
    assert read(tmp_path / "S.PARQUET", np.array(["a", "b"]))[0].tolist() == [2, 1]


def test_labels_of_other_data_are_said(table) -> None:
    ours = np.array([0, 0, 1])
    path = table(id=list(IDS[::-1]), score=[3, 2, 1], label=[0, 0, 1])
    assert "warning: 2 of 3 labels are not the task's" in read(path, IDS, ours)[1]
    assert "warning" not in read(table(id=list(IDS[::-1]), score=[3, 2, 1], label=[1, 0, 0]), IDS, ours)[1]
    assert "warning" not in read(table(id=list(IDS), score=[3, 2, 1], label=["dog", "cat", "dog"]), IDS, ours)[1]


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
    with pytest.raises(ConfigError, match=r"(?s)training split 3 examples.*the ids are 'train/cat/1\.png', "):
        read(tmp_path / "s.npy", IDS)


def test_the_order_that_an_npy_needs_is_said(tmp_path: Path) -> None:
    np.save(tmp_path / "s.npy", np.arange(3.0))
    assert (
        "in the order of the training split: 'train/cat/1.png', 'train/cat/2.png'" in read(tmp_path / "s.npy", IDS)[1]
    )


def test_a_header_that_promises_more_than_there_is(tmp_path: Path) -> None:
    np.save(tmp_path / "s.npy", np.arange(3.0))
    content = (tmp_path / "s.npy").read_bytes()
    (tmp_path / "s.npy").write_bytes(content.replace(b"(3,), }             ", b"(9999999999999,), } "))
    with pytest.raises(DataUnavailable, match=r"s\.npy is no plain array"):
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


@pytest.mark.parametrize(
    "name",
    [
        "absent.csv",
        "damaged.parquet",
        "empty.csv",
        "empty.npy",
        "scores.pkl",
        "nul.csv",
        "line.csv",
        "utf16.csv",
        "packed.csv",
        "cut.npy",
        "cut.parquet",
        "folder.csv",
        "pipe.csv",
        "loop.csv",
        "nested.jsonl",
    ],
)
def test_other_files_are_refused(tmp_path: Path, name: str) -> None:
    path, kind = tmp_path / name, name.partition(".")[0]
    contents = {
        "empty": b"",
        "nul": b"id,score\na\0,1\n",
        "line": b"id,score\n" + b"a" * 3_000_000,
        "utf16": "id,score\na,1\n".encode("utf-16"),
        "packed": gzip.compress(b"id,score\na,1\n"),
    }
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "cut":
        write(path, IDS, SCORES, None)
        path.write_bytes(path.read_bytes()[:-8])
    elif kind != "absent":
        path.write_bytes(contents.get(kind, b"PAR1 nonsense"))
    with pytest.raises(LabError, match=re.escape(name)) as caught:
        read(path, IDS)
    assert caught.value.mend
    if name == "scores.pkl":
        with pytest.raises(ConfigError, match=name):
            write(path, IDS, SCORES, None)


def test_a_run_is_called_by_its_score_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("id,score\n")
    (run,) = compose.runs("prune", ["keep=0.5", "scorer=file", f"scorer.path={path}"])
    assert job_of("prune", run).name == "digits, 0.5 hard by mine.csv"
