"""The disk below a store: what must be on it before a name appears, and what it refuses, said in words."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import DataUnavailable, LabError, RunFailed

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
REFUSED = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOENT)
PROBE = 1 << 20  # bytes


def flush(path: Path) -> None:
    """Wait until a file's content, or a folder's names, are on the disk and survive a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        if not path.is_dir():  # some file systems cannot flush a folder
            raise
    finally:
        os.close(descriptor)


def flush_all(folder: Path) -> None:
    """The same for all files below a folder, and for its names."""
    for path in (*folder.rglob("*"), folder):
        flush(path)


def exchange(one: Path, other: Path) -> None:
    """Exchange two names in one step, so that both are always there. Raises OSError where the system cannot."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2  # Linux
    except (AttributeError, OSError, TypeError):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS)) from None
    here, swap = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    if renameat2(here, os.fsencode(one), here, os.fsencode(other), swap):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(one))


def erase(path: Path) -> None:
    """Remove a folder with all that it holds, or what has its name."""
    with said(path):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


@contextmanager
def said(path: Path, draft: Path | None = None) -> Iterator[None]:
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
        if _is_full(error, draft or path):
            raise DataUnavailable(
                f"no space left while writing to {name or path}",
                "space on that disk (prune-lab runs --clean frees some), or results=FOLDER on another",
            ) from error
        if number in REFUSED:
            at, root = Path(name or path).absolute(), path.absolute()
            ours = at.is_relative_to(root) or root.is_relative_to(at)
            mend = "results=FOLDER" if ours else f"make {name} readable"
            raise DataUnavailable(f"{name or path}: {os.strerror(number)}", mend) from error
        raise


def _is_full(error: BaseException | None, folder: Path) -> bool:
    """Whether a disk without space is behind an error. Libraries hide its number: then a few bytes are tried."""
    told: BaseException | None = error
    while told is not None:
        rust = re.search(r"os error (\d+)", str(told))  # as safetensors says it
        if getattr(told, "errno", None) in FULL or (rust and int(rust[1]) in FULL):
            return True
        told = told.__cause__ or told.__context__
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(PROBE))
            file.flush()
    except OSError as refused:
        return refused.errno in FULL
    return False
