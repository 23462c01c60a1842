"""task.group: which group each training example is in, from a column of its record or its document's folder."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from prune_lab.experiments.contracts import Examples
from prune_lab.experiments.data import columns
from prune_lab.experiments.data.groups import groups_of
from prune_lab.experiments.data.images import Images
from prune_lab.experiments.data.load import load_data
from prune_lab.experiments.data.texts import AnyText, Pydoc
from prune_lab.experiments.errors import ConfigError, DataUnavailable

from ..image_files import png, random_pixels, table_of

FORMATS = ("prog", "words", "expr")


def documents(number: int = 30) -> list[dict[str, Any]]:
    rows = range(number)
    return [{"text": f"{FORMATS[row % 3]} " * (3 + row), "format": FORMATS[row % 3], "row": row} for row in rows]


def write(file: Path, rows: list[dict[str, Any]]) -> Path:
    if file.suffix == ".parquet":
        pd.DataFrame(rows).to_parquet(file, index=False)
    elif file.suffix == ".csv":
        pd.DataFrame(rows).to_csv(file, index=False)
    else:
        file.write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    return file


def task(file: Path, group: str = "format", **settings: Any) -> AnyText:
    return AnyText(path=str(file), group=group, vocabulary=257, context=16, **settings)


def train(file: Path, group: str = "format", **settings: Any) -> Examples:
    return load_data(task(file, group, **settings)).splits["train"]


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_each_window_is_in_the_group_of_its_own_record(ending: str, tmp_path: Path) -> None:
    rows = documents()
    rows.insert(4, {"text": "", "format": "prog", "row": -1})  # left out as empty, and counted all the same
    examples = train(write(tmp_path / f"own.{ending}", rows))
    assert examples.named is not None
    of_record = [rows[int(name.partition("#")[0].removeprefix("all/"))]["format"] for name in examples.ids]
    assert [f"format={one}" for one in of_record] == examples.named.tolist()
    names, groups = groups_of(examples, "text", ())
    assert names == ["format=expr", "format=prog", "format=words"]
    assert groups is not None
    assert [names[group] for group in groups] == examples.named.tolist()
    few = examples.take(np.array([3, 1]))
    assert few.named is not None
    assert few.named.tolist() == examples.named[[3, 1]].tolist()


def test_numbers_and_missing_values_are_groups_too(tmp_path: Path) -> None:
    rows = documents()
    for row in rows:
        row["level"] = 1.0 if row["row"] % 2 else 2
        if row["row"] % 5 == 0:
            del row["level"]
    named = train(write(tmp_path / "own.jsonl", rows), "level").named
    assert named is not None
    assert set(named) == {"level=1", "level=2", "level=none"}


def test_folders_are_groups_where_they_are_asked_for(tmp_path: Path) -> None:
    for row in documents():
        file = tmp_path / "own" / row["format"] / f"{row['row']}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(row["text"])
    examples = train(tmp_path / "own", "folder")
    assert examples.named is not None
    assert {*examples.named} == {f"folder={one}" for one in FORMATS}
    assert all(name.split("=")[1] == one.split("/")[0] for name, one in zip(examples.named, examples.ids, strict=True))
    with pytest.raises(ConfigError, match=r"names a column, and the \.txt files") as refused:
        train(tmp_path / "own", "format")
    assert refused.value.mend == "task.group=folder"


def test_a_column_that_makes_no_groups_is_refused(tmp_path: Path) -> None:
    rows = [row | {"same": "a", "inside": {"a": 1}, "real": 0.5} for row in documents()]
    file = write(tmp_path / "own.jsonl", rows)
    with pytest.raises(ConfigError, match="one group of all"):
        train(file, "same")
    with pytest.raises(ConfigError, match=r"has no formt: it has .*did you mean format") as refused:
        train(file, "formt")
    assert refused.value.mend == "task.group=format"
    with pytest.raises(DataUnavailable, match=r"line 1 of .* holds 0.5 in real, of type float"):
        train(file, "real")
    with pytest.raises(ConfigError, match="has no formt"):
        train(write(tmp_path / "own.parquet", documents()), "formt")


def test_as_many_groups_as_examples_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "MOST", 12)
    with pytest.raises(ConfigError, match="and 12 are the most"):
        train(write(tmp_path / "own.jsonl", documents()), "row")


def test_a_column_of_text_without_files_is_refused_at_once() -> None:
    with pytest.raises(ValidationError, match=r"task=pydoc is embedded: use task\.group=folder"):
        Pydoc(group="format")
    with pytest.raises(ValidationError, match="joins two sources"):
        AnyText(path="mine", group="format", mixed={"name": "pydoc"})  # type: ignore[arg-type]


def images(*, group: str) -> dict[str, Any]:
    return {"dev": 0.2, "test": 0.2, "group": group}


def test_images_have_columns_of_parquet(tmp_path: Path) -> None:
    pixels = random_pixels(30, size=8)
    file = table_of(tmp_path / "own.parquet", pixels, [row % 2 for row in range(30)])
    cameras = [("north", "south", "east")[row % 3] for row in range(30)]
    pq.write_table(pq.read_table(file).append_column("camera", pa.array(cameras)), file)
    examples = load_data(Images(path=str(tmp_path / "own.parquet"), **images(group="camera"))).splits["train"]
    assert examples.named is not None
    camera_by_pixels = {one.tobytes(): camera for one, camera in zip(pixels, cameras, strict=True)}
    found = [camera_by_pixels[one.tobytes()] for one in examples.inputs]
    assert [f"camera={one}" for one in found] == examples.named.tolist()


def test_images_have_columns_of_metadata_and_classes_have_none(tmp_path: Path) -> None:
    names = []
    for row, pixels in enumerate(random_pixels(30, size=8)):
        file = tmp_path / "cat" / f"{row}.png" if row % 2 else tmp_path / "dog" / f"{row}.png"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(png(pixels))
        names.append(file.relative_to(tmp_path).as_posix())
    with pytest.raises(ConfigError, match="names a column") as refused:
        load_data(Images(path=str(tmp_path), **images(group="camera")))
    assert "classes" in str(refused.value.mend)
    with (tmp_path / "metadata.csv").open("w") as stream:
        lines = csv.writer(stream)
        lines.writerow(["file_name", "camera"])
        lines.writerows([name, "north" if row < 12 else "south"] for row, name in enumerate(names) if row != 20)
    examples = load_data(Images(path=str(tmp_path), **images(group="camera"))).splits["train"]
    assert examples.named is not None
    place = {name: row for row, name in enumerate(names)}
    told = ["none" if place[one] == 20 else "north" if place[one] < 12 else "south" for one in examples.ids]
    assert [f"camera={one}" for one in told] == examples.named.tolist()
    assert len(Counter(told)) > 1
