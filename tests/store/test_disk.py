"""A disk that is full is said to be, however a library hides it; other errors stay what they are."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import pytest
from safetensors import SafetensorError

from prune_lab.experiments.errors import DataUnavailable
from prune_lab.experiments.store import disk


def full(*_: object, **more: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def hidden(cause: BaseException) -> RuntimeError:
    error = RuntimeError("a library's own words")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        OSError(errno.EFBIG, "File too large"),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
        hidden(OSError(errno.ENOSPC, "No space left on device")),
        hidden(hidden(SafetensorError("I/O error: Disk quota exceeded (os error 122)"))),
    ],
)
def test_a_full_disk_is_found_behind_an_error(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(DataUnavailable, match=r"no space left[\s\S]*results=FOLDER"), disk.said(tmp_path, tmp_path):
        raise error


def test_a_full_disk_is_found_where_an_error_hides_all_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed")

    with pytest.raises(RuntimeError, match="Pytorch"), disk.said(tmp_path, tmp_path):
        broken()  # on a disk with space: a defect
    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with pytest.raises(DataUnavailable, match="no space left"), disk.said(tmp_path, tmp_path):
        broken()


@pytest.mark.parametrize("content", ["a folder", "a file", "a link to nothing"])
def test_whatever_has_a_name_is_erased(tmp_path: Path, content: str) -> None:
    path = tmp_path / "name"
    if content == "a folder":
        (path / "below").mkdir(parents=True)
    elif content == "a file":
        path.write_text("")
    else:
        path.symlink_to(tmp_path / "none")
    disk.erase(path)
    assert not os.path.lexists(path)


def test_names_are_exchanged_in_one_step(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for path in (one, other):
        path.mkdir()
        (path / path.name).touch()
    try:
        disk.exchange(one, other)
    except OSError as error:
        pytest.skip(f"this system cannot: {error}")
    assert (one / "other").exists()
    assert (other / "one").exists()
    with pytest.raises(OSError, match="No such file"):
        disk.exchange(one, tmp_path / "none")
