"""What is read from a published folder is checked against the data: damage is a sentence, not a traceback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from prune_lab.experiments.errors import RunFailed
from prune_lab.experiments.phases.work import kept_of
from prune_lab.experiments.store import files
from prune_lab.experiments.store.folders import Folder

IDS: NDArray[np.str_] = np.array([f"train/{place}" for place in range(10)])
KEPT = np.array([1, 4, 7])


def written(path: Path, index: object = KEPT, ids: object = IDS[KEPT]) -> Folder:
    pd.DataFrame({"index": index, "id": ids}).to_parquet(path / "kept.parquet")
    return Folder(path, {})


def test_kept_places_are_those_of_the_ids(tmp_path: Path) -> None:
    np.testing.assert_array_equal(kept_of(written(tmp_path), IDS), KEPT)


@pytest.mark.parametrize(
    ("index", "ids"),
    [
        (KEPT + 1, IDS[KEPT]),
        (KEPT + 5, IDS[KEPT]),
        (KEPT - 2, IDS[KEPT - 2]),
        (KEPT[::-1], IDS[KEPT[::-1]]),
        ([1, 1, 4], IDS[[1, 1, 4]]),
        ([], []),
        (KEPT, ["other/1", "other/4", "other/7"]),
    ],
)
def test_shifted_places_are_refused(tmp_path: Path, index: object, ids: object) -> None:
    with pytest.raises(RunFailed, match=r"not those of the training pool[\s\S]*runs --clean"):
        kept_of(written(tmp_path, index, ids), IDS)


def test_a_table_is_read_by_its_ids(tmp_path: Path) -> None:
    path = tmp_path / "scores.parquet"
    pd.DataFrame({"id": IDS[::-1], "score": np.arange(10.0)}).to_parquet(path)
    assert files.rows(path, IDS[:3], ["score"])["score"].tolist() == [9, 8, 7]
    pd.DataFrame({"id": np.where(IDS[2] == IDS, IDS[3], IDS), "score": 0.0}).to_parquet(path)
    with pytest.raises(RunFailed, match="not those of the training pool"):
        files.rows(path, IDS, ["score"])


@pytest.mark.parametrize("content", [b"", b"PAR1", b"\x00" * 100, None])
@pytest.mark.parametrize("read", [files.table, files.arrays, files.tensors])
def test_a_file_that_is_none_of_its_kind_is_damage(
    tmp_path: Path, read: Callable[[Path], object], content: bytes | None
) -> None:
    path = tmp_path / "file"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(RunFailed, match="is damaged"):
        read(path)


def test_a_file_that_lacks_a_part_is_damage(tmp_path: Path) -> None:
    written(tmp_path)
    with pytest.raises(RunFailed, match="has no column score"):
        files.table(tmp_path / "kept.parquet", ["score"])
    np.savez(tmp_path / "half.npz", members=KEPT)
    with pytest.raises(RunFailed, match="has no train"):
        files.arrays(tmp_path / "half.npz", ["members", "train"])
