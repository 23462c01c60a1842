"""The files of a published folder: the size and hash of each, and what is said where one is not as it was published."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import RunFailed

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray
    from torch import Tensor

Files = Mapping[str, Mapping[str, Any]]  # name -> {bytes, sha256}


def measured(folder: Path) -> Files:
    """Every file below a folder, by its path there: {bytes, sha256}."""
    return {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": _sha256(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def wrong_size(folder: Path, files: Files) -> str | None:
    """What is wrong with a folder by the sizes of its files; None: nothing."""
    for name, said in files.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if (size := path.stat().st_size) != said["bytes"]:
            return f"{name} has {size:,} bytes, and was published with {said['bytes']:,}"
    return None


def wrong_content(folder: Path, files: Files) -> str | None:
    """What is wrong with it by their content; None: nothing."""
    for name, said in files.items():
        if _sha256(folder / name) != said["sha256"]:
            return f"{name} is not the file that was published"
    return None


def damage(folder: Path, reason: str) -> RunFailed:
    """The error that names a damaged folder of a store, and what mends it."""
    results = shlex.quote(str(folder.parent.parent))
    mend = f"prune-lab runs --clean --results {results}, and then the same command again"
    return RunFailed(f"{folder} is damaged ({reason})", mend)


def table(path: Path, columns: Sequence[str] = ()) -> pd.DataFrame:
    """A published parquet file with at least these columns; RunFailed where it is not that."""
    import pandas as pd

    try:
        with path.open("rb") as file:  # a folder is refused, not read as a data set
            found = pd.read_parquet(file)
    except (OSError, ValueError) as error:  # ValueError: it is no parquet
        raise damage(path.parent, f"{path.name}: {error}") from error
    if missing := [column for column in columns if column not in found]:
        raise damage(path.parent, f"{path.name} has no column {missing[0]}")
    return found


def rows(path: Path, ids: NDArray[np.str_], columns: Sequence[str]) -> pd.DataFrame:
    """The rows of these ids (N,) in a published table, in their order; RunFailed where an id has not one row."""
    found = table(path, ["id", *columns]).set_index("id")
    if not found.index.is_unique or not set(ids) <= set(found.index):
        raise damage(path.parent, f"the ids in {path.name} are not those of the training pool")
    return found.loc[list(ids)]


def arrays(path: Path, names: Sequence[str] = ()) -> dict[str, NDArray[Any]]:
    """A published npz file with at least these arrays; RunFailed where it is not that."""
    import zipfile

    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as archive:
            found = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise damage(path.parent, f"{path.name}: {error}") from error
    if missing := [name for name in names if name not in found]:
        raise damage(path.parent, f"{path.name} has no {missing[0]}")
    return found


def tensors(path: Path, names: Sequence[str] = (), *, device: str = "cpu") -> dict[str, Tensor]:
    """A published safetensors file with at least these tensors; RunFailed where it is not that."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        found = load_file(path, device=device)
    except (OSError, SafetensorError) as error:
        raise damage(path.parent, f"{path.name}: {error}") from error
    if missing := [name for name in names if name not in found]:
        raise damage(path.parent, f"{path.name} has no {missing[0]}")
    return found


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
