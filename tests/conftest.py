"""Every test has its own cache and no outside data; torch stays on one thread so that tests do not fight for cores."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from prune_lab.cli import stdout
from prune_lab.experiments import choices
from prune_lab.experiments.store import disk

settings.register_profile("same", derandomize=True)  # the same examples in every run
settings.load_profile("same")


@pytest.fixture(autouse=True)
def own_world(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base  # what one worker has read, the others have
    monkeypatch.setenv("PRUNE_LAB_CACHE", str(base / "cache"))
    monkeypatch.delenv("PRUNE_LAB_DATA", raising=False)
    monkeypatch.delenv("PRUNE_LAB_PLUGINS", raising=False)


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test loses its power; a test of what is flushed replaces this."""
    monkeypatch.setattr(disk, "flush", lambda path: None)


@pytest.fixture(autouse=True)
def no_plugins() -> Iterator[None]:
    """What a test plugs in is gone after it."""
    yield
    stdout.release()
    for key in [key for key, known in choices._classes.items() if known.plugin is not None]:
        del choices._classes[key]
    choices._plugins.clear()


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture
def results(tmp_path: Path) -> str:
    return f"results={tmp_path / 'results'}"
