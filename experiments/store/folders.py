"""Content-addressed folders: `results/<phase>/<key>/`, published by one atomic rename.

A phase writes into a private draft beside its final place, `record.json` last. A folder that exists is whole; whoever
publishes a key first wins, and nothing that was published is ever written again. The record carries the size and hash
of every file, and a hash of itself: sizes are compared whenever a folder is found, hashes before its files are used.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import LabError, MissingInput, RunFailed
from . import disk, files

if TYPE_CHECKING:
    import pandas as pd

PHASES = ("score", "prune", "train", "evaluate", "simulate", "search")
TRACEBACK = ".traceback.txt"  # after a key: what no line expected of a run
RECORD = "record.json"
KEY_LENGTH = 16
KEY = re.compile(rf"[0-9a-f]{{{KEY_LENGTH}}}")
PARTS: dict[str, Any] = {
    "recipe": dict,
    "inputs": dict,
    "code": dict,
    "metrics": dict,
    "seconds": int | float,
}  # of every record
HOST = re.sub(r"\W", "-", socket.gethostname())
HIDDEN = re.compile(  # what a store makes beside its folders; a draft names the host and the process that fill it
    rf"\.(?P<key>{KEY.pattern})\.(resume|removed)"
    r"|\.(?P<name>.+)\.draft\.((?P<host>[^.]*)\.)?(?P<process>\d+)\.\w{8}(?P<replaced>\.replaced)?"
)


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

    @property
    def is_hashed(self) -> bool:
        """Whether the record carries hashes; older ones do not."""
        return "files" in self.record

    def has(self, name: str) -> bool:
        """Whether the run wrote this file. One that came later is not its own."""
        return name in self.record["files"] if self.is_hashed else (self.path / name).is_file()

    def check(self, *names: str) -> None:
        """Compare files, or every one, with their hashes; RunFailed where one is not as it was published."""
        known = self.record.get("files", {})
        asked = {name: known[name] for name in names if name in known} if names else known
        if wrong := files.wrong_content(self.path, asked):
            raise files.damage(self.path, wrong)

    def table(self, name: str, columns: Sequence[str] = ()) -> pd.DataFrame:
        """A parquet file of the folder, compared with its hash, with at least these columns."""
        self.check(name)
        return files.table(self.path / name, columns)


class Store:
    """The results below one root. Folders appear whole or not at all."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)

    def path(self, phase: str, key: str) -> Path:
        return self.root / phase / key

    def find(self, phase: str, key: str) -> Folder | None:
        """The published folder, or None. RunFailed where its record or the sizes of its files are wrong."""
        path = self.path(phase, key)
        try:
            record = json.loads((path / RECORD).read_text())
            if not isinstance(record, dict) or (record.get("phase"), record.get("key")) != (phase, key):
                raise ValueError(f"not of {phase} {key}")
            if missing := [name for name, kind in PARTS.items() if not isinstance(record.get(name), kind)]:
                raise ValueError(f"no {missing[0]}")
            if "digest" in record and record["digest"] != _digest(record):
                raise ValueError("not the one that was published")
        except (FileNotFoundError, NotADirectoryError):
            if os.path.lexists(path):
                raise files.damage(path, f"it has no {RECORD}") from None
            return None
        except (OSError, ValueError, RecursionError) as error:
            if getattr(error, "errno", None) == errno.ENAMETOOLONG:
                raise
            raise files.damage(path, f"{RECORD}: {error}") from None
        if wrong := files.wrong_size(path, record.get("files", {})):
            raise files.damage(path, wrong)
        return Folder(path, record)

    def get(self, phase: str, key: str) -> Folder:
        """The published folder, or MissingInput."""
        folder = self.find(phase, key)
        if folder is None:
            raise MissingInput(f"no {phase} {key} in {self.root}", f"prune-lab {phase}")
        return folder

    def folders(self, phase: str | None = None) -> list[Folder]:
        """All published folders, by phase and then by key. The `damaged` are left out."""
        return [found for _, found in self.looked_at(phase) if isinstance(found, Folder)]

    def damaged(self, phase: str | None = None) -> dict[Path, RunFailed]:
        """Folders whose record or sizes are wrong, with what is wrong and what removes them."""
        return {path: found for path, found in self.looked_at(phase) if isinstance(found, RunFailed)}

    def looked_at(self, phase: str | None = None, *, hashes: bool = False) -> Iterator[tuple[Path, Folder | RunFailed]]:
        """Every folder, or what is wrong with it; `hashes`: by the content of its files too."""
        for place in PHASES if phase is None else (phase,):
            for path in sorted(path for path in (self.root / place).glob("*") if KEY.fullmatch(path.name)):
                try:
                    folder = self.find(place, path.name)
                    if folder is None:  # removed since it was listed
                        continue
                    if hashes:
                        folder.check()
                    yield path, folder
                except RunFailed as error:
                    yield path, error

    def resume_folder(self, phase: str, key: str) -> Path:
        """Where a run in flight keeps its checkpoints; gone once it is published."""
        path = self.root / phase / f".{key}.resume"
        with disk.said(path):
            path.mkdir(parents=True, exist_ok=True)
        return path

    @contextmanager
    def draft(self, phase: str, key: str, record: dict[str, Any]) -> Iterator[Path]:
        """A private folder to fill; published with `record` when the block ends well, removed when it does not.

        `record` may be filled inside the block. Publishing a key that another process has just published keeps theirs.
        The files are on the disk before the folder has its name, and its name before the checkpoints are removed.
        """
        parent = self.root / phase
        with _filled(parent, key) as path:
            yield path
            plain = json.loads(json.dumps(record | {"files": files.measured(path)}, allow_nan=False, default=str))
            (path / RECORD).write_text(json.dumps(plain | {"digest": _digest(plain)}, indent=1) + "\n")
            _publish(path, self.path(phase, key))
        shutil.rmtree(parent / f".{key}.resume", ignore_errors=True)

    def take(self, folder: Folder) -> None:
        """Publish a copy of another store's folder once it is compared with its hashes; a key that is here stays.

        The files are those that its record names, and all of an older folder, which carries no hashes.
        """
        names = folder.record["files"] if folder.is_hashed else files.measured(folder.path)
        with _filled(self.root / folder.phase, folder.key) as path:
            for name in {*names, RECORD}:
                (path / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(folder.path / name, path / name)
            Folder(path, folder.record).check()
            _publish(path, self.path(folder.phase, folder.key))

    @contextmanager
    def page(self, name: str) -> Iterator[Path]:
        """A private folder for a report; takes the place of `report/<name>` when the block ends well."""
        final = self.path("report", name)
        with _filled(final.parent, name) as draft:
            yield draft
            disk.flush_all(draft)
            try:
                disk.exchange(draft, final)  # the old page is the draft now
            except OSError:  # there is no old page, or this disk cannot exchange names
                _replace(draft, final)
            disk.flush(final.parent)

    def remove(self, folder: Folder) -> None:
        """Remove one result: first out of sight by a rename, then from the disk."""
        hidden = folder.path.with_name(f".{folder.path.name}.removed")
        shutil.rmtree(hidden, ignore_errors=True)  # a removal that was killed
        with disk.said(folder.path):
            folder.path.rename(hidden)
        shutil.rmtree(hidden, ignore_errors=True)

    def leftovers(self) -> list[Path]:
        """Damaged folders, by hashes too; drafts, checkpoints and removals that nobody is at work on; tracebacks."""
        damaged = [path for path, found in self.looked_at(hashes=True) if isinstance(found, RunFailed)]
        found = self._hidden()
        at_work = {_subject(path, match) for path, match in found.items() if _may_run(match)}
        told = [file for phase in PHASES for file in sorted((self.root / phase).glob(f"*{TRACEBACK}"))]
        idle = [path for path, match in found.items() if _subject(path, match) not in at_work]
        return [*damaged, *idle, *(file for file in told if KEY.fullmatch(file.name.removesuffix(TRACEBACK)))]

    def elsewhere(self) -> dict[Path, str]:
        """Drafts of other hosts, and which: whether somebody is at work on them cannot be seen from here."""
        return {path: match["host"] for path, match in self._hidden().items() if match["host"] not in (None, HOST)}

    def clean(self) -> Iterator[str]:
        """Remove the leftovers, and put back the page that a killed report took away; says each."""
        for path in self.leftovers():
            match = HIDDEN.fullmatch(path.name)
            if match and match["replaced"] and not (final := path.with_name(match["name"])).exists():
                path.rename(final)
                yield f"put back {final}"
            else:
                disk.erase(path)
                yield f"removed {path}"
        for path, host in self.elsewhere().items():
            yield f"left alone {path}: a run on {host} may be at work on it; if that has ended, remove it by hand"

    def _hidden(self) -> dict[Path, re.Match[str]]:
        """What the store keeps out of sight. Hidden folders of other names are a person's own."""
        places = (path for phase in (*PHASES, "report") for path in sorted((self.root / phase).glob(".*")))
        return {path: match for path in places if (match := HIDDEN.fullmatch(path.name)) and path.is_dir()}


def _subject(path: Path, match: re.Match[str]) -> Path:
    """The folder that a hidden one is to become or was."""
    return path.with_name(match["key"] or match["name"])


def _may_run(match: re.Match[str]) -> bool:
    """Whether the process that a draft's name carries may still run: on another host it may."""
    if match["process"] is None or match["host"] not in (None, HOST):
        return match["process"] is not None
    try:
        os.kill(int(match["process"]), 0)
    except PermissionError:  # another user's
        return True
    except (OSError, OverflowError):
        return False
    return True


@contextmanager
def _filled(parent: Path, name: str) -> Iterator[Path]:
    """A private folder to fill beside its final place; gone at the end, unless it has another name by then."""
    with disk.said(parent):
        parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{name}.draft.{HOST}.{os.getpid()}.", dir=parent))
    try:
        with disk.said(parent, draft):
            draft.chmod(0o755)
            yield draft
    finally:
        with suppress(OSError, LabError):
            disk.erase(draft)


def _publish(draft: Path, final: Path) -> None:
    """Give a filled folder its name, unless another process was first."""
    disk.flush_all(draft)
    try:
        draft.rename(final)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
    disk.flush(final.parent)


def _replace(draft: Path, final: Path) -> None:
    """Put a draft in the place of a page by two renames. Killed between them, `clean` puts the page back."""
    old = draft.with_name(f"{draft.name}.replaced")
    with suppress(FileNotFoundError):
        final.rename(old)
    try:
        draft.rename(final)
    except BaseException:
        with suppress(OSError):
            old.rename(final)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _digest(record: Mapping[str, Any]) -> str:
    """A hash of the rest of a record."""
    rest = {name: value for name, value in record.items() if name != "digest"}
    return hashlib.sha256(canonical(rest).encode()).hexdigest()
