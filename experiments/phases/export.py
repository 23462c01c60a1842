"""What score and prune found, as a file to read elsewhere: scores, or which examples go."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from ..contracts import TaskChoice
from ..data.load import load_data
from ..errors import ConfigError, DataUnavailable
from ..scoring.files import write
from ..store import files
from ..store.folders import Folder, Store
from .work import kept_of


def export(store: Store, folder: Folder, task: TaskChoice, path: Path) -> str:
    """Write a score or prune folder to `path`, in the training split's order; says what was written.

    A score is id, score and label (.npy: scores alone); a prune is id, label, class, score and kept. A file of other
    content is not replaced.
    """
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export") as draft:
            written = Path(draft, path.name)
            pruned = folder.record["phase"] == "prune"
            said = _kept(store, folder, task, written) if pruned else _scores(folder, written)
            if path.exists() and path.read_bytes() != written.read_bytes():
                raise ConfigError(f"export={path} is there already, with other content", "another name, or remove it")
            written.replace(path)
    except OSError as error:
        raise DataUnavailable(f"export={path}: {error.strerror or error}", "export=scores.csv") from error
    return f"{said} written to {path}"


def _scores(folder: Folder, path: Path) -> str:
    table = folder.table("scores.parquet", ["id", "score"])
    labels = table["label"].to_numpy(np.int64) if "label" in table else None
    write(path, table["id"].to_numpy(str), table["score"].to_numpy(np.float64), labels)
    return f"{len(table)} scores"


def _kept(store: Store, folder: Folder, task: TaskChoice, path: Path) -> str:
    data = load_data(task)
    train = data.splits["train"]
    table = pd.DataFrame({"id": train.ids})
    if data.classes:
        table["label"], table["class"] = train.targets, np.array(data.classes)[train.targets]
    if "score" in folder.record["inputs"]:
        scored = store.get("score", folder.record["inputs"]["score"])
        scored.check("scores.parquet")
        table["score"] = files.rows(scored.path / "scores.parquet", train.ids, ["score"])["score"].to_numpy()
    kept = kept_of(folder, train.ids)
    table["kept"] = np.isin(np.arange(len(table)), kept)
    if path.suffix == ".csv":
        table.to_csv(path, index=False)
    else:
        table.to_parquet(path, index=False)
    apart = " and ".join(f"{len(part.ids)} of {name}" for name, part in data.splits.items() if name != "train")
    return f"{len(kept)} kept and {len(table) - len(kept)} dropped ({apart} are judged by nothing, and left out),"
