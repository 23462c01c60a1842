"""Every test has its own cache and no outside data; torch stays on one thread so that tests do not fight for cores."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from matplotlib.figure import Figure

from prune_lab.cli import stdout
from prune_lab.experiments import choices
from prune_lab.experiments.figures import hover, panels
from prune_lab.experiments.store import disk

settings.register_profile("same", derandomize=True)  # the same examples in every run
settings.load_profile("same")


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The cache of data; what one worker has read, the others have."""
    base = tmp_path_factory.getbasetemp()
    return str((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache")


@pytest.fixture(autouse=True)
def own_world(shared_cache: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRUNE_LAB_CACHE", shared_cache)
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


@pytest.fixture(autouse=True)
def quick_figures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Panels are drawn, but laid out and written (seconds a page) only for a test that asks for `real_figures`."""

    def inline(drawing: panels.Drawing, prefix: str) -> tuple[str, str]:
        axes = Figure().subplots()
        drawing.draw(axes)
        data = hover.readings(axes) if drawing.data is None else drawing.data
        return f"<svg id='{prefix}'>{drawing.title}</svg>", data.to_csv(index=False)

    if "real_figures" not in request.fixturenames:
        monkeypatch.setattr(panels, "inline", inline)
        monkeypatch.setattr(panels, "save", lambda drawings, stem, **_: None)


@pytest.fixture
def real_figures() -> None:
    """See `quick_figures`."""


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture
def results(tmp_path: Path) -> str:
    return f"results={tmp_path / 'results'}"
