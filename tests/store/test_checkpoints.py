"""A checkpoint is whole or the run starts over and says so; it never blocks its run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from prune_lab.experiments.errors import RunFailed
from prune_lab.experiments.store import checkpoints, disk


def read(path: Path) -> tuple[object, list[str]]:
    said: list[str] = []
    return checkpoints.read(path, lambda sentence, _: said.append(sentence)), said


def test_what_was_written_is_read_and_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[str] = []
    monkeypatch.setattr(disk, "flush", lambda path: flushed.append(f"{path.name} {path_of.exists()}"))
    path_of = tmp_path / "resume" / "checkpoint.pt"
    assert read(path_of) == (None, [])
    checkpoints.write(path_of, {"step": 3, "weight": torch.ones(2)})
    content, said = read(path_of)
    assert (str(content), said) == ("{'step': 3, 'weight': tensor([1., 1.])}", [])
    assert [words.split(".")[-1] for words in flushed] == ["draft False", "resume True"]
    assert [path.name for path in path_of.parent.iterdir()] == ["checkpoint.pt"]


def test_a_disk_that_is_full_leaves_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "checkpoint.pt"
    checkpoints.write(path, {"step": 3})
    with monkeypatch.context() as patch:
        patch.setattr(disk, "flush", lambda path: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(OSError, match="No space"):
            checkpoints.write(path, {"step": 4})
    assert read(path) == ({"step": 3}, [])
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("how", ["empty", "half", "one byte", "a folder", "of an older version"])
def test_an_unreadable_checkpoint_is_said_and_the_run_starts_over(tmp_path: Path, how: str) -> None:
    path = tmp_path / "checkpoint.pt"
    checkpoints.write(path, {"weight": torch.arange(1000.0)})
    data = bytearray(path.read_bytes())
    if how == "of an older version":
        torch.save({"step": 3}, path)
    elif how == "a folder":
        path.unlink()
        path.mkdir()
    else:
        data[len(data) // 2] ^= 1  # torch.load itself takes this
        path.write_bytes({"empty": b"", "half": data[: len(data) // 2], "one byte": data}[how])
    content, said = read(path)
    assert content is None
    assert len(said) == 1
    assert "unreadable" in said[0]
    assert "starts over" in said[0]
    assert not path.exists()


def test_a_checkpoint_that_does_not_fit_is_met_once(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    checkpoints.write(path, {"step": 3})
    content, _ = read(path)
    with pytest.raises(RunFailed, match="does not fit"), checkpoints.taken(path):
        content["epoch"]  # type: ignore[index]
    assert not path.exists()
