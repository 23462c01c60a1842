"""The kept part of people's own data, written out as it came in, and the places that other libraries count."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prune_lab.experiments.data import images, records, sources
from prune_lab.experiments.data.load import load_data
from prune_lab.experiments.data.texts import AnyText
from prune_lab.experiments.errors import ConfigError
from prune_lab.experiments.phases import export
from prune_lab.experiments.phases.settings import Run
from prune_lab.experiments.store.folders import Store

from ..command_line import call
from ..image_files import png, random_pixels, table_of

PRUNE = ["prune", "task=images", "keep=0.5", "rule=random"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRUNE_LAB_CACHE", str(tmp_path / "cache"))


def image_folder(root: Path, names: list[str]) -> Path:
    for image, name in zip(random_pixels(len(names), size=8), names, strict=True):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(png(image))
    return root


def kept_ids(capsys: pytest.CaptureFixture[str], path: Path, *words: str) -> tuple[list[str], str]:
    import pandas as pd

    answer = call(capsys, *PRUNE, f"task.path={path}", "--json", *words)
    assert answer.code == 0, answer.err
    return pd.read_parquet(Path(answer.objects[0]["path"]) / "kept.parquet")["id"].tolist(), answer.err


def export_again(results: str, path: Path, place: str, **settings: str) -> None:
    """What was pruned, written out once more."""
    store = Store(results.partition("=")[2])
    own = {"task": {"name": "images", "path": str(path)}, "model": "convnet", "recipe": {"epochs": 1}}
    run = Run.model_validate({**own, "scorer": "random", "export": place, **settings})
    export.export(store, store.folders("prune")[0], run)


def test_an_index_counts_like_torchvision(capsys: pytest.CaptureFixture[str], results: str, tmp_path: Path) -> None:
    """Its classes are sorted before the paths are: `a-b/1` is before `a/1` as a path, and the class a before a-b."""
    names = [f"train/{folder}/{row}.png" for folder in ("a", "a/z", "a-b", "a b") for row in range(5)]
    root = image_folder(tmp_path / "set", [*names, "test/a/1.png", "test/a-b/1.png", "test/a b/1.png"])
    index = tmp_path / "kept.npy"
    kept, said = kept_ids(capsys, root, f"export={index}", results)
    theirs = [
        os.path.relpath(os.path.join(folder, name), root)
        for kind in sorted(os.listdir(root / "train"))
        for folder, _, files in sorted(os.walk(root / "train" / kind))
        for name in sorted(files)
    ]  # torchvision.datasets.folder.make_dataset 0.26, whose import takes a second
    assert [theirs[place] for place in np.load(index)] == sorted(kept, key=theirs.index)
    assert f"among the 20 of torchvision.datasets.ImageFolder('{root}/train')" in said
    as_json = tmp_path / "kept.json"
    export_again(results, root, str(as_json))
    assert json.loads(as_json.read_text()) == np.load(index).tolist()


def test_a_folder_of_images_leaves_as_links_or_copies(
    capsys: pytest.CaptureFixture[str], results: str, tmp_path: Path
) -> None:
    root = image_folder(tmp_path / "set", [f"train/{row}.png" for row in range(20)])
    rows = "".join(f'{row}.png,{"cat" if row % 2 else "dog"},"a, b"\n' for row in range(20))
    (root / "train" / "metadata.csv").write_text(f"file_name,label,caption\n{rows}")
    out = tmp_path / "kept"
    kept, said = kept_ids(capsys, root, f"export={out}", results)
    assert f"{len(kept)} kept" in said
    assert {file.relative_to(out).as_posix() for file in out.rglob("*.png")} == set(kept)
    assert all((out / name).samefile(root / name) for name in kept)
    table = (out / "train" / "metadata.csv").read_text().splitlines()
    assert table[0] == "file_name,label,caption"
    assert {f"train/{line.partition(',')[0]}" for line in table[1:]} == set(kept)
    assert table[1:] == [line for line in rows.splitlines() if line in table]  # a caption with a comma stays whole
    export_again(results, root, str(out))  # to the same end
    export_again(results, root, str(tmp_path / "copies"), links="no")
    assert not any((tmp_path / "copies" / name).samefile(root / name) for name in kept)
    export_again(results, root, f"{tmp_path / 'v1.2'}/", links="symbolic")
    assert all((tmp_path / "v1.2" / name).is_symlink() for name in kept)
    (out / kept[0]).unlink()
    with pytest.raises(ConfigError, match="is there already, with other content"):
        export_again(results, root, str(out))
    (out / kept[0]).hardlink_to(root / kept[0])
    again = images.load("images", str(out), dev=0.2)  # what is written is read like what it came from
    assert again.classes == ("cat", "dog")
    load_data.cache_clear()


def test_rows_of_parquet_keep_their_columns_metadata_and_order(
    capsys: pytest.CaptureFixture[str], results: str, tmp_path: Path
) -> None:
    root = tmp_path / "set"
    for place in range(2):
        pixels = random_pixels(10, seed=place, size=8)
        file = table_of(root / f"train-{place}.parquet", pixels, [0, 1] * 5, names=["cat", "dog"])
        table = pq.read_table(file)
        more = table.append_column("who", pa.array([f"{place}-{row}" for row in range(10)]).dictionary_encode())
        pq.write_table(more, file, row_group_size=4, compression="zstd")
    whole = pa.concat_tables(pq.read_table(file) for file in sorted(root.iterdir()))
    kept, said = kept_ids(capsys, root, f"export={tmp_path / 'kept.npy'}", results)
    rows = np.load(tmp_path / "kept.npy")
    assert [f"all/{row:05}" for row in rows] == kept or sorted(kept) == [f"all/{row:05}" for row in rows]
    assert "datasets.load_dataset('parquet', data_files=[train-0.parquet, train-1.parquet], split='train')" in said
    export_again(results, root, str(tmp_path / "kept.parquet"))
    export_again(results, root, str(tmp_path / "kept"))
    for one in (tmp_path / "kept.parquet", tmp_path / "kept"):
        written = pq.read_table(one) if one.is_file() else pa.concat_tables(map(pq.read_table, sorted(one.iterdir())))
        assert written.to_pydict() == whole.take(rows).to_pydict()
        assert written.schema.equals(whole.schema, check_metadata=True)
    details = pq.read_metadata(tmp_path / "kept" / "train-0.parquet")
    assert (details.num_row_groups, details.row_group(0).column(0).compression) == (3, "ZSTD")


def test_images_named_by_a_table_are_found_without_reading_them(tmp_path: Path) -> None:
    names = [f"{name}.png" for name in "hgfedcba"]
    file = table_of(tmp_path / "x.parquet", random_pixels(8, size=8), [0, 1] * 4, paths=names)
    assert records.of(images.Images(path=str(file))).ids() == [names]


@pytest.mark.parametrize("kind", ["jsonl", "txt", "pieces"])
def test_documents_leave_as_they_came(tmp_path: Path, kind: str) -> None:
    root, out = tmp_path / "set", tmp_path / "out"
    root.mkdir()
    texts = [f"document {number}, with an é\r\nand a second line" for number in range(6)]
    if kind == "jsonl":
        lines = [json.dumps({"text": one, "who": number}, ensure_ascii=number % 2 == 0) for number, one in
                 enumerate(texts)]  # fmt: skip
        (root / "a.jsonl").write_bytes("\n".join([*lines[:3], "", *lines[3:5]]).encode("utf-8-sig"))
        (root / "b.jsonl").write_bytes(lines[5].encode())
        kept, expected = ["all/00000", "all/00004", "all/00005"], [lines[0], lines[4], lines[5]]
    elif kind == "txt":
        for number, one in enumerate(texts):
            (root / f"{number}.txt").write_bytes(one.encode())
        kept, expected = ["0.txt", "4.txt"], [texts[0], texts[4]]
    else:
        (root / "all.txt").write_bytes("\n\n\n".join(texts).encode())
        kept, expected = ["all/00001", "all/00003"], [texts[1], texts[3]]
    task = AnyText(name="text", path=str(root))
    found = records.of(task)
    records.write(found, kept, out, folder=True, linked="no")
    written = b"\n".join(file.read_bytes().rstrip(b"\n") for file in sorted(out.rglob("*.*"))).decode()
    assert written == ("\n\n" if kind == "pieces" else "\n").join(expected)
    places, number = records.index(found, kept)
    assert (places.tolist(), number) == ([0, 4, 5] if kind == "jsonl" else [int(one[-1:]) for one in kept]
                                         if kind == "pieces" else [0, 4], 6)  # fmt: skip
    if kind == "jsonl":
        records.write(found, kept, tmp_path / "one.jsonl", folder=False, linked="no")
        assert (tmp_path / "one.jsonl").read_text().splitlines() == expected


def test_packed_files_and_tables_leave_as_they_came(tmp_path: Path) -> None:
    root = tmp_path / "set"
    root.mkdir()
    texts = ['a "quoted" one', "two\nlines", "three"]
    for name in ("a.jsonl.gz", "b.jsonl.zst"):
        with sources.writing(root / name) as stream:
            stream.write("".join(json.dumps({"text": one, "from": name}) + "\n" for one in texts))
    found = records.of(AnyText(name="text", path=str(root)))
    records.write(found, ["all/00001", "all/00005"], tmp_path / "out", folder=True, linked="no")
    for name, kept in (("a.jsonl.gz", 1), ("b.jsonl.zst", 2)):
        with sources.reading(tmp_path / "out" / name) as stream:
            assert [json.loads(line) for line in stream] == [{"text": texts[kept], "from": name}]
    (tmp_path / "x.csv").write_text('n,text\n' + "".join('{},"{}"\n'.format(row, one.replace('"', '""'))
                                                        for row, one in enumerate(texts)))  # fmt: skip
    found = records.of(AnyText(name="text", path=str(tmp_path / "x.csv")))
    assert found.ids() == [["all/00000", "all/00001", "all/00002"]]
    records.write(found, ["all/00001"], tmp_path / "of_csv", folder=True, linked="no")
    assert (tmp_path / "of_csv" / "x.csv").read_text() == 'n,text\n1,"two\nlines"\n'


def test_what_cannot_be_written_is_refused_before_anything_runs(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "set", [f"{kind}/{row}.png" for kind in "ab" for row in range(2)])
    recipe = {"recipe": {"epochs": 1}, "scorer": "random"}
    own = {"task": {"name": "images", "path": str(root)}, "model": "convnet", **recipe}
    embedded = {"task": "digits", "model": "mlp", **recipe}
    text = {"task": "pydoc", "model": "gpt", **recipe}
    for phase, settings, name, said, mend in (
        ("prune", own, "x.jsonl", "the data are files of one record", "export=kept, a folder"),
        ("prune", embedded, "x", "task=digits has no files to copy from", "export=kept.npy"),
        ("prune", text, "x.npy", "task.unit=window chooses windows", "task.unit=document"),
        ("score", own, "x", "score keeps nothing", "prune-lab prune"),
    ):
        with pytest.raises(ConfigError, match=f"(?s){said}.*to mend it: .*{mend}"):
            export.check(phase, Run.model_validate({**settings, "export": str(tmp_path / name)}))
    with pytest.raises(ValueError, match=r"ends in none of .*export=x\.csv"):
        Run.model_validate({**own, "export": "x.txt"})


def test_places_of_embedded_data(capsys: pytest.CaptureFixture[str], results: str, tmp_path: Path) -> None:
    from sklearn.datasets import load_digits

    words: list[Any] = ["prune", "task.examples=50", "keep=0.2", "rule=random", f"export={tmp_path / 'x.npy'}", results]
    assert call(capsys, *words).code == 0
    from prune_lab.experiments.data.digits import Digits

    train = load_data(Digits(name="digits", examples=50)).splits["train"]
    theirs = load_digits().target[np.load(tmp_path / "x.npy")]
    known = dict(zip(train.ids.tolist(), train.targets.tolist(), strict=True))
    assert theirs.tolist() == [known[f"digits/{place:05}"] for place in np.load(tmp_path / "x.npy")]
