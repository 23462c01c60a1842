"""Where data comes from, what identifies it, and the cache of what was made from it. Never a pickle."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import json
import lzma
import os
import re
import shutil
import stat
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, TextIO

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, DataUnavailable

Arrays = dict[str, NDArray[Any]]
MANIFEST = "arrays.json"
PACKED = (".gz", ".bz2", ".xz", ".zst")
HIDDEN = (".", "__MACOSX")  # how the names of folders begin that are not data
RACE = 2.0  # seconds: the coarsest clock of a file system


def cache_folder() -> Path:
    """`$PRUNE_LAB_CACHE`, else `prune-lab` in the user's cache. It need not exist, and all of it may be deleted."""
    if given := os.environ.get("PRUNE_LAB_CACHE"):
        return Path(given).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "prune-lab"
    if sys.platform == "win32" and (local := os.environ.get("LOCALAPPDATA")):
        return Path(local) / "prune-lab"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "prune-lab"


def locate(
    name: str, path: str | None, *, download: Callable[[Path], None] | None = None, advice: str | None = None
) -> tuple[Path, str]:
    """The data's place, and a sentence that says how it was found.

    In this order: the path given, `$PRUNE_LAB_DATA/<name>`, an earlier download, a download now (`download(folder)`
    fills an empty folder and raises DataUnavailable where it cannot).
    """
    if path is not None:
        try:
            given = Path(path).expanduser()
            there = given.exists()
        except (OSError, RuntimeError) as error:  # a name that is longer than any; no home
            shown = path if len(path) < 80 else f"{path[:80]}…"
            what = f"task.path={shown} cannot be read ({getattr(error, 'strerror', error)})"
            raise DataUnavailable(what, "task.path=FOLDER_OR_FILE") from error
        if not there:
            raise DataUnavailable(f"task.path={path} does not exist", "task.path=FOLDER_OR_FILE")
        return given, f"{name}: read from task.path={path}"
    if root := os.environ.get("PRUNE_LAB_DATA"):
        shared = Path(root).expanduser() / name
        if shared.exists():
            return shared, f"{name}: found at $PRUNE_LAB_DATA/{name}"
    cached = cache_folder() / "downloads" / name
    if cached.exists():
        return cached, f"{name}: downloaded earlier, in the cache"
    if download is None:
        raise DataUnavailable(f"{name} was not found", _mend(name, advice))
    draft = _draft(cached)
    if draft is None:
        raise DataUnavailable(
            f"{name} was not found, and the cache {cache_folder()} to download it into cannot be written",
            f"PRUNE_LAB_CACHE=FOLDER, or {_mend(name, advice)}",
        )
    try:
        try:
            download(draft)
        except DataUnavailable as error:
            raise DataUnavailable(f"{name} was not found; {error.what}", _mend(name, error.mend or advice)) from error
        _publish(draft, cached)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return cached, f"{name}: downloaded now, to the cache"


def _mend(name: str, advice: str | None) -> str:
    ways = f"task.path=FOLDER_OR_FILE, or PRUNE_LAB_DATA=FOLDER with {name} inside"
    return f"{ways}, or {advice}" if advice else ways


def list_files(root: Path, endings: Iterable[str], hidden: list[str] | None = None) -> list[Path]:
    """The files below a folder (or the file itself) with one of these endings, sorted by name; nothing hidden.

    Folders that are hidden, or that macOS packs beside the files of an archive, are added to `hidden`.
    Links are followed. DataUnavailable where one leads to nothing or to a folder that holds it, where a folder cannot
    be read, and where a name is not UTF-8.
    """
    wanted = tuple(endings)
    if root.is_file():
        return [root] if root.name.lower().endswith(wanted) else []
    found: list[str] = []
    inside: dict[str, tuple[str, ...]] = {os.fspath(root): (os.path.realpath(root),)}  # real folders
    for folder, folders, names in os.walk(root, onerror=_unreadable, followlinks=True):
        if hidden is not None:
            hidden += sorted(name for name in folders if name.startswith(HIDDEN))
        folders[:] = sorted(name for name in folders if not name.startswith(HIDDEN))
        above = inside.pop(folder)
        for place in (os.path.join(folder, name) for name in folders):
            real = (
                os.path.realpath(place) if os.path.islink(place) else os.path.join(above[-1], os.path.basename(place))
            )
            if real in above:
                raise DataUnavailable(f"{place} is a link to a folder that contains it", "take the link out")
            inside[place] = (*above, real)
        for name in names:
            if name.lower().endswith(wanted) and name[0] != ".":
                found.append(os.path.join(folder, name))
            elif "." not in name and not os.path.exists(os.path.join(folder, name)):
                raise _link_to_nothing(os.path.join(folder, name))
    try:
        "".join(found).encode()
    except UnicodeEncodeError:
        name = next(name for name in found if name.encode(errors="ignore").decode() != name)
        raise DataUnavailable(f"the name of the file {name!a} is not UTF-8", "rename it") from None
    return [Path(name) for name in sorted(found)]


def ending(file: Path) -> str:
    """`.jsonl` of `a.jsonl.gz`: the ending of what may be packed, in small letters."""
    name = file.name.lower()
    packed = next((one for one in PACKED if name.endswith(one)), "")
    return os.path.splitext(name.removesuffix(packed))[1]


@contextmanager
def reading(file: Path, *, newline: str = "\n") -> Iterator[TextIO]:
    """The text of a file, unpacked where its name says that it is packed; DataUnavailable where it cannot be read."""
    try:
        with _stream(file, "r") as raw, io.TextIOWrapper(raw, "utf-8-sig", newline=newline) as stream:
            yield stream
    except UnicodeDecodeError as error:
        unpack = "unpack it; " if file.suffix.lower() in PACKED else ""
        mend = f"{unpack}iconv -f ENCODING -t UTF-8 writes it anew"
        raise DataUnavailable(f"{file} is not UTF-8 ({error})", mend) from error
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        why = getattr(error, "strerror", None) or error
        raise DataUnavailable(f"{file} cannot be read ({why})", "copy the file again") from error


@contextmanager
def writing(file: Path) -> Iterator[TextIO]:
    """A new text file, packed where its name says so; the same text gives the same bytes."""
    with _stream(file, "w") as raw, io.TextIOWrapper(raw, "utf-8", newline="") as stream:
        yield stream


@contextmanager
def _stream(file: Path, mode: Literal["r", "w"]) -> Iterator[Any]:
    """The bytes of a file, unpacked or packed. zstd is what pyarrow has of it."""
    kind = file.suffix.lower()
    if kind == ".zst":
        import pyarrow as pa

        with (pa.input_stream if mode == "r" else pa.output_stream)(str(file), compression="zstd") as stream:
            yield stream
        return
    with file.open(f"{mode}b") as raw:
        if kind == ".gz":
            with gzip.GzipFile("", f"{mode}b", fileobj=raw, mtime=0) as stream:
                yield stream
        elif kind in (".bz2", ".xz"):
            with (bz2.BZ2File if kind == ".bz2" else lzma.LZMAFile)(raw, mode) as stream:
                yield stream
        else:
            yield raw


def _unreadable(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        what = f"the folder {error.filename} cannot be read ({error.strerror})"
        raise DataUnavailable(what, "make it readable") from error


def _link_to_nothing(path: str) -> DataUnavailable:
    return DataUnavailable(f"{path} is a link to nothing", "mend the link or take it out")


def choose(
    wanted: str | None,
    candidates: Sequence[str],
    names: Sequence[str],
    what: str,
    setting: str,
    offered: Sequence[str] | None = None,
    can: str = "",
) -> str:
    """The column to read: the one wanted, or the first candidate there is.

    ConfigError names the columns, and suggests those that are `offered` (None: all).
    """
    for name in candidates if wanted is None else (wanted,):
        for one in names:
            if one == name or (wanted is None and one.lower() == name):
                return one
    offered = names if offered is None else offered
    near = get_close_matches(wanted or candidates[0], offered, n=1)
    meant = f"; did you mean {near[0]}?" if near else ""
    asked = wanted or " or ".join(candidates[:3])
    raise ConfigError(
        f"{what} has no {asked}: it has {', '.join(names) or 'no columns'}{meant}", offer(setting, near or offered, can)
    )


def offer(setting: str, names: Sequence[str], can: str = "") -> str:
    """How to mend a wrong column where one of these would do; `can`: of what types such a column is."""
    if len(names) == 1:
        return f"{setting}={names[0]}"
    one = f"add such a column, {can}" if can else "add such a column"
    return f"{setting}=COLUMN, one of {', '.join(names)}" if names else f"{one}: none here could be it"


# ---- identity --------------------------------------------------------------------------------------------------------


def key_of(*content: object) -> str:
    """16 hexadecimal digits of the SHA-256 of some plain values."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def fingerprint_files(files: Sequence[Path], root: Path | None = None) -> str:
    """16 hexadecimal digits of the SHA-256 of contents and of names below `root` (by default what all share).

    Remembered in the cache by path, size, inode and times: the second call only looks at the directory. The time of the
    status (ctime) is the system's own: no program sets it back. Files changed within RACE of now are not remembered,
    for a second change in the same tick of the file system's clock would not show.
    """
    paths = sorted(name if os.path.isabs(name) else os.path.abspath(name) for name in map(os.fspath, files))
    if not paths:
        raise DataUnavailable("there are no files to read")
    base = os.path.abspath(root) if root is not None else os.path.commonpath([os.path.dirname(path) for path in paths])
    if base in paths:
        base = os.path.dirname(base)
    names = [path[len(base) :].lstrip(os.sep).replace(os.sep, "/") for path in paths]
    listing, newest = hashlib.sha256(), 0.0
    for path, name in zip(paths, names, strict=True):
        try:
            status = os.stat(path)
        except OSError as error:
            if os.path.islink(path):
                raise _link_to_nothing(path) from error
            raise DataUnavailable(f"{path} cannot be read ({error.strerror})") from error
        if not stat.S_ISREG(status.st_mode):
            raise DataUnavailable(f"{path} is no file that can be read: a pipe or a device", "take it out")
        newest = max(newest, status.st_ctime)
        told = (path, name, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        listing.update("\0".join(map(str, (*told, "\n"))).encode(errors="surrogateescape"))
    memory = cache_folder() / "fingerprints" / listing.hexdigest()
    try:
        remembered = memory.read_text()
        if re.fullmatch(r"[0-9a-f]{16}", remembered):
            return remembered
    except (OSError, UnicodeDecodeError):
        pass
    total = hashlib.sha256()
    for path, name in zip(paths, names, strict=True):
        try:
            with open(path, "rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise DataUnavailable(f"{path} cannot be read ({error.strerror})") from error
        total.update(f"{name}\0{content}\n".encode(errors="surrogateescape"))
    digest = total.hexdigest()[:16]
    if newest > time.time() - RACE:
        return digest
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        memory.with_suffix(f".{os.getpid()}").write_text(digest)
        memory.with_suffix(f".{os.getpid()}").replace(memory)
    except OSError:
        pass  # a cache that cannot be written costs time, nothing else
    return digest


# ---- the cache of arrays ---------------------------------------------------------------------------------------------


def cached_arrays(key: str, build: Callable[[], Mapping[str, NDArray[Any]]]) -> Arrays:
    """Named arrays that are built once and then opened from the cache, memory-mapped copy-on-write.

    A damaged entry is built again; where the cache cannot be written, the arrays stay in memory.
    """
    place = cache_folder() / "arrays" / key
    opened = _open(place)
    if opened is not None:
        return opened
    arrays = dict(build())
    draft = _draft(place)
    if draft is None:
        return arrays
    try:
        for name, values in arrays.items():
            np.save(draft / f"{name}.npy", values, allow_pickle=False)
        sizes = {name: (draft / f"{name}.npy").stat().st_size for name in arrays}
        (draft / MANIFEST).write_text(json.dumps(sizes))
        if _open(place) is None:  # nobody was faster
            shutil.rmtree(place, ignore_errors=True)
            _publish(draft, place)
    except OSError:
        return arrays
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return _open(place) or arrays


def _open(place: Path) -> Arrays | None:
    """The arrays of an entry, or None where it is missing or not whole."""
    try:
        sizes = json.loads((place / MANIFEST).read_text())
        arrays: Arrays = {}
        for name, size in sizes.items():
            file = place / f"{name}.npy"
            if file.stat().st_size != size:
                return None
            arrays[name] = _open_array(file)
        return arrays
    except (OSError, ValueError, EOFError, AttributeError, MemoryError):
        return None


def _open_array(file: Path) -> NDArray[Any]:
    try:
        return np.asarray(np.load(file, mmap_mode="c", allow_pickle=False))
    except ValueError:
        return np.asarray(np.load(file, allow_pickle=False))  # an array of no elements cannot be mapped


def _draft(place: Path) -> Path | None:
    """A private folder beside `place`, or None where nothing can be written."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
    except OSError:
        return None


def _publish(draft: Path, place: Path) -> None:
    """Rename a finished draft to its place; another process that was faster wins."""
    try:
        draft.rename(place)
    except OSError:
        if not place.exists():
            raise
