"""What score and prune found, to use elsewhere: scores, which examples go, and the kept part of the data themselves."""

from __future__ import annotations

import filecmp
import json
import tempfile
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from ..contracts import Data
from ..data import copies, records
from ..data.load import load_data
from ..errors import ConfigError, DataUnavailable
from ..pruning.units import documents_of, mean_over_tokens
from ..scoring.files import write
from ..store import files
from ..store.folders import Folder, Store
from .plan import by_document
from .settings import Run, is_folder
from .work import kept_of

INDEX = (".npy", ".json")
Form = Literal["table", "index", "data"]


def check(phase: str, run: Run) -> None:
    """Refuse what could not be exported, before anything runs."""
    export = str(run.export)
    if phase not in ("score", "prune"):
        raise ConfigError("export= writes what score or prune found", "the same words after prune-lab prune")
    path, folder = Path(export), is_folder(export)
    if not path.parent.is_dir() or (path.is_dir() and not folder):
        raise DataUnavailable(f"export={export} is not in a folder that is there", "export=scores.csv")
    if phase == "score":
        if folder or path.suffix not in (".csv", ".parquet", ".npy"):
            raise ConfigError(f"export={export} holds what is kept, and score keeps nothing", "prune-lab prune")
    elif (form := _form(run)) != "table":
        if _by_window(run):
            what = f"export={export} would hold whole documents, and task.unit=window chooses windows"
            raise ConfigError(what, "task.unit=document")
        source = records.of(run.task)
        if form == "data":
            records.check(source, run.task, export, folder=folder)


def export(store: Store, folder: Folder, run: Run) -> str:
    """Write a score or prune folder to `run.export`, in the training split's order; says what was written.

    A score is id, score and label (.npy: scores alone). A prune is id, label, class, score and kept (.csv), the places
    of what is kept (.npy, .json), or the kept records as they were read: one file, or a folder of files. What is there
    already with other content is not replaced.
    """
    path = Path(str(run.export))
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export") as draft:
            written = Path(draft, path.name)
            pruned = folder.record["phase"] == "prune"
            said = _kept(store, folder, run, written) if pruned else _scores(folder, run, written)
            if _is_new(path):
                written.replace(path)
            elif not _same(path, written):
                raise ConfigError(f"export={path} is there already, with other content", "another name, or remove it")
    except OSError as error:
        raise DataUnavailable(f"export={path}: {error.strerror or error}", "export=scores.csv") from error
    return f"{said} written to {path}"


def _scores(folder: Folder, run: Run, path: Path) -> str:
    table = folder.table("scores.parquet", ["id", "score"])
    if by_document(run):
        train = load_data(run.task).splits["train"]
        windows = files.rows(folder.path / "scores.parquet", train.ids, ["score"])["score"].to_numpy(np.float64)
        names, member = documents_of(train.ids)
        table = pd.DataFrame({"id": names, "score": mean_over_tokens(windows, member, train.units["tokens"])})
    labels = table["label"].to_numpy(np.int64) if "label" in table else None
    write(path, table["id"].to_numpy(str), table["score"].to_numpy(np.float64), labels)
    return f"{len(table)} scores"


def _kept(store: Store, folder: Folder, run: Run, path: Path) -> str:
    data, form = load_data(run.task), _form(run)
    table = folder.table("documents.parquet", ["id", "kept"]) if by_document(run) else _examples(store, folder, data)
    names, whole = table["id"][table["kept"]].tolist(), _with_held_out(table, data, documents=by_document(run))
    in_split = whole["split"].value_counts()
    held = [f"{in_split[split]} of {split}" for split in ("dev", "test") if split in in_split]
    apart = f"{' and '.join(held)} were not judged" if held else ""
    said = f"{len(names)}{' documents' if by_document(run) else ''} kept and {len(table) - len(names)} dropped"
    if form == "table":
        whole.to_csv(path, index=False) if path.suffix == ".csv" else whole.to_parquet(path, index=False)
        return f"{said}{f'; {apart}' if apart else ''}: a table of all"
    said += f" ({apart}, and are left out)" if apart else ""
    source = records.of(run.task)
    if form == "data":
        records.write(source, names, path, folder=is_folder(str(run.export)), linked=run.links)
        links = {"hard": " (hard links to the same files)", "symbolic": " (symbolic links)", "no": ""}[run.links]
        return f"{said}: what is kept, as it was read,{'' if source.ending else links}"
    places, number = records.index(source, names)
    if path.suffix == ".npy":
        np.save(path, places)
    else:
        path.write_text(json.dumps(places.tolist()))
    return f"{said}: the places of what is kept, among the {number} of {source.reader},"


def _examples(store: Store, folder: Folder, data: Data) -> pd.DataFrame:
    """Id, label, class, score and kept of the training pool."""
    train = data.splits["train"]
    table = pd.DataFrame({"id": train.ids})
    if data.classes:
        table["label"], table["class"] = train.targets, np.array(data.classes)[train.targets]
    if "score" in folder.record["inputs"]:
        scored = store.get("score", folder.record["inputs"]["score"])
        scored.check("scores.parquet")
        table["score"] = files.rows(scored.path / "scores.parquet", train.ids, ["score"])["score"].to_numpy()
    table["kept"] = np.isin(np.arange(len(table)), kept_of(folder, train.ids))
    return table


def _with_held_out(table: pd.DataFrame, data: Data, *, documents: bool) -> pd.DataFrame:
    """The training pool, and below it dev and test: every example with its split, the reason, and its original.

    What is held out has no score and is not kept: the reason tells it from what was dropped. The original of copies is
    the first that is kept, or else the first.
    """
    parts = [table.assign(split="train", reason=np.where(table["kept"], "kept", "dropped"))]
    pool = set(table["id"])
    for name in ("dev", "test"):
        split = data.splits[name]
        ids = documents_of(split.ids)[0] if documents else split.ids
        rows = pd.DataFrame({"id": ids, "kept": False, "split": name, "reason": f"held out as {name}"})
        if data.classes:
            rows["label"], rows["class"] = split.targets, np.array(data.classes)[split.targets]
        parts.append(rows[~rows["id"].isin(pool)])
    whole = pd.concat([part for part in parts if len(part)], ignore_index=True)
    if documents:
        return whole
    first = copies.originals(data.splits, data.kind)
    root = whole["id"].map(first).fillna(whole["id"])
    kept = whole[whole["kept"]].assign(root=root).drop_duplicates("root").set_index("root")["id"]
    original = root.map(kept).fillna(root)
    return whole.assign(copy_of=original.where(original != whole["id"], ""))


def _form(run: Run) -> Form:
    """What a prune is written out as: `.parquet` is the data where they are parquet, else a table."""
    path = Path(str(run.export))
    if is_folder(str(run.export)) or path.suffix == ".jsonl":
        return "data"
    if path.suffix == ".parquet" and not _by_window(run) and records.are_parquet(run.task):
        return "data"
    return "index" if path.suffix in INDEX else "table"


def _by_window(run: Run) -> bool:
    return run.task.reads == "text" and not by_document(run)


def _is_new(path: Path) -> bool:
    """Whether there is nothing to lose: no file, or an empty folder."""
    return not path.exists() or (path.is_dir() and not any(path.iterdir()))


def _same(one: Path, other: Path) -> bool:
    """Whether two files have the same content, or two folders the same files."""
    if one.is_file() or other.is_file():
        return one.is_file() and other.is_file() and filecmp.cmp(one, other, shallow=False)
    mine, theirs = ({file.relative_to(root) for file in root.rglob("*") if file.is_file()} for root in (one, other))
    return mine == theirs and all(filecmp.cmp(one / name, other / name, shallow=False) for name in mine)
