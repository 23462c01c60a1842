"""Show finished runs and pages to the tracker of experiments that `track=` names; after they are published."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from prune_lab.experiments.contracts import TrackChoice
from prune_lab.experiments.store.folders import Store

from .show import Show


def track(
    tracker: TrackChoice | None,
    store: Store,
    phase: str,
    keys: Iterable[str],
    show: Show,
    *,
    page: tuple[Path, str, Mapping[str, Any]] | None = None,
) -> None:
    """Send the runs of a phase, and their page (its folder, its title, what came out). A failure is a warning."""
    if tracker is None:
        return
    from prune_lab.experiments.report import sent

    group = phase if page is None else page[0].name
    try:
        runs = [sent.of_run(store, phase, key) for key in keys]
        pages = [] if page is None else [sent.of_page(*page)]
        where = tracker.send([*runs, *pages], group, store.root)
    except Exception as error:  # whatever a tracker raises: the results are published, and stay as they are
        said = next(iter(str(error).splitlines()), "")
        show.say(f"warning: track={tracker.name} failed, and results are not harmed: {type(error).__name__}: {said}")
        return
    show.say(f"tracked by {tracker.name}: {where}")
