"""Content-addressed folders: `results/<phase>/<key>/`, published by one atomic rename.

A phase writes into a private draft beside its final place, `record.json` last. A folder that exists is whole; whoever
publishes a key first wins, and nothing that was published is ever written again.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import DataUnavailable, LabError, MissingInput, RunFailed

PHASES = ("score", "prune", "train", "evaluate", "simulate", "search")
RECORD = "record.json"
KEY_LENGTH = 16


def canonical(value: Any) -> str:
    """JSON with one spelling for one value: what a key hashes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def key_of(content: Mapping[str, Any]) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of the canonical JSON."""
    return hashlib.sha256(canonical(content).encode()).hexdigest()[:KEY_LENGTH]


@dataclass(frozen=True, slots=True)
class Folder:
    """One published result."""

    path: Path
    record: dict[str, Any]

    @property
    def phase(self) -> str:
        return str(self.record["phase"])

    @property
    def key(self) -> str:
        return str(self.record["key"])


class Store:
    """The results below one root. Folders appear whole or not at all."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)

    def path(self, phase: str, key: str) -> Path:
        return self.root / phase / key

    def find(self, phase: str, key: str) -> Folder | None:
        """The published folder, or None. A folder without a readable record counts as damaged and is named."""
        path = self.path(phase, key)
        try:
            record = json.loads((path / RECORD).read_text())
        except (FileNotFoundError, NotADirectoryError):
            if path.exists():
                raise self._damage(path, f"it has no {RECORD}") from None
            return None
        except ValueError as error:
            raise self._damage(path, f"{RECORD}: {error}") from None
        if not isinstance(record, dict) or (record.get("phase"), record.get("key")) != (phase, key):
            raise self._damage(path, f"{RECORD} is not of {phase} {key}")
        return Folder(path, record)

    def _damage(self, path: Path, reason: str) -> RunFailed:
        return RunFailed(
            f"{path} is damaged ({reason})", f"prune-lab runs --clean --results {shlex.quote(str(self.root))}"
        )

    def get(self, phase: str, key: str) -> Folder:
        """The published folder, or MissingInput."""
        folder = self.find(phase, key)
        if folder is None:
            raise MissingInput(f"no {phase} {key} in {self.root}", f"prune-lab {phase}")
        return folder

    def folders(self, phase: str | None = None) -> list[Folder]:
        """All published folders, by phase and then by key. The `damaged` are left out."""
        return [found for _, found in self._looked(phase) if isinstance(found, Folder)]

    def damaged(self, phase: str | None = None) -> dict[Path, RunFailed]:
        """Folders without a readable record, what is wrong with them and what removes them."""
        return {path: found for path, found in self._looked(phase) if isinstance(found, RunFailed)}

    def _looked(self, phase: str | None) -> Iterator[tuple[Path, Folder | RunFailed | None]]:
        for place in PHASES if phase is None else (phase,):
            for path in sorted((self.root / place).glob("[!.]" + "?" * (KEY_LENGTH - 1))):
                try:
                    yield path, self.find(place, path.name)
                except RunFailed as error:
                    yield path, error

    def resume_folder(self, phase: str, key: str) -> Path:
        """Where a run in flight keeps its checkpoints; gone once it is published."""
        path = self.root / phase / f".{key}.resume"
        with _disk(path):
            path.mkdir(parents=True, exist_ok=True)
        return path

    @contextmanager
    def draft(self, phase: str, key: str, record: dict[str, Any]) -> Iterator[Path]:
        """A private folder to fill; published with `record` when the block ends well, removed when it does not.

        `record` may be filled inside the block. Publishing a key that another process has just published keeps theirs.
        """
        parent = self.root / phase
        with _disk(parent):
            parent.mkdir(parents=True, exist_ok=True)
            path = Path(tempfile.mkdtemp(prefix=f".{key}.draft.{os.getpid()}.", dir=parent))
        try:
            with _disk(parent, path):
                yield path
                with (path / RECORD).open("w") as file:
                    file.write(json.dumps(record, indent=1, allow_nan=False, default=str) + "\n")
                    file.flush()
                    os.fsync(file.fileno())
                path.chmod(0o755)
                try:
                    path.rename(self.path(phase, key))
                except OSError as error:
                    if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                        raise
        finally:
            shutil.rmtree(path, ignore_errors=True)
        shutil.rmtree(self.root / phase / f".{key}.resume", ignore_errors=True)

    @contextmanager
    def page(self, name: str) -> Iterator[Path]:
        """A private folder for a report; takes the place of `report/<name>` when the block ends well."""
        final = self.path("report", name)
        with _disk(final.parent):
            final.parent.mkdir(parents=True, exist_ok=True)
            draft = Path(tempfile.mkdtemp(prefix=f".{name}.draft.{os.getpid()}.", dir=final.parent))
        try:
            with _disk(final.parent, draft):
                yield draft
                draft.chmod(0o755)
                if final.exists():
                    final.rename(draft.with_name(f"{draft.name}.replaced"))
                draft.rename(final)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
            shutil.rmtree(draft.with_name(f"{draft.name}.replaced"), ignore_errors=True)

    def remove(self, folder: Folder) -> None:
        """Remove one result: first out of sight by a rename, then from the disk."""
        hidden = folder.path.with_name(f".{folder.path.name}.removed")
        with _disk(folder.path):
            folder.path.rename(hidden)
        shutil.rmtree(hidden, ignore_errors=True)

    def leftovers(self) -> list[Path]:
        """Damaged folders; and drafts, checkpoints and removals that no process of this machine is at work on."""
        found = [p for phase in (*PHASES, "report") for p in sorted((self.root / phase).glob(".*.*")) if p.is_dir()]
        at_work = {path.name.split(".")[1] for path in found if _in_use(path)}
        return [*self.damaged(), *(path for path in found if path.name.split(".")[1] not in at_work)]


def _in_use(path: Path) -> bool:
    """Whether the process that a draft's name carries still runs."""
    _, is_draft, rest = path.name.partition(".draft.")
    try:
        os.kill(int(rest.partition(".")[0]) if is_draft else 0, 0)
    except (OSError, ValueError):
        return False
    return bool(is_draft)


@contextmanager
def _disk(path: Path, draft: Path | None = None) -> Iterator[None]:
    """Say in words what the disk refuses below `path`. While a draft is filled, a file that is gone was removed."""
    try:
        yield
    except LabError:
        raise
    except Exception as error:
        number, name = getattr(error, "errno", None), getattr(error, "filename", None)
        lost = number == errno.ENOENT and name and Path(str(name)).is_relative_to(path)
        if draft is not None and (lost or not draft.exists()):
            gone = name if lost else draft
            raise RunFailed(f"{gone} was removed while the run was being made", "the same command again") from error
        if number in (errno.ENOSPC, errno.EDQUOT):
            raise DataUnavailable(f"no space left while writing to {path}", "prune-lab runs --clean") from error
        if number in (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST, errno.ENOENT):
            at, root = Path(name or path).absolute(), path.absolute()
            ours = at.is_relative_to(root) or root.is_relative_to(at)
            mend = "results=FOLDER" if ours else f"make {name} readable"
            raise DataUnavailable(f"{name or path}: {os.strerror(number)}", mend) from error
        raise
