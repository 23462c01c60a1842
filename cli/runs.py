"""What is in the store: list, show, remove, clean."""

from __future__ import annotations

import json
import shutil

from prune_lab.experiments.errors import ConfigError, MissingInput
from prune_lab.experiments.store.folders import PHASES, Folder, Store

from .show import Show, headline


def runs(key: str | None, *, phase: str | None, results: str, remove: bool, clean: bool, as_json: bool) -> int:
    """List the store; or show, or remove, one run; or clean what killed runs left."""
    show, store = Show(as_json=as_json), Store(results)
    if phase is not None and phase not in PHASES:
        raise ConfigError(f"--phase {phase}: choose one of {', '.join(PHASES)}")
    if clean:
        return _clean(store, show)
    if remove and key is None:
        raise ConfigError("--remove needs the key of a run", "prune-lab runs")
    folders = store.folders(phase)
    for error in store.damaged(phase).values():
        show.say(f"left out: {error}")
    if key is None:
        return _list(folders, show, f"{phase or ''} results in {results}".strip())
    matching = [folder for folder in folders if folder.key.startswith(key)]
    if len(matching) != 1:
        found = ", ".join(folder.key for folder in matching) or "none"
        raise MissingInput(f"{key} names {len(matching)} runs in {results} ({found})", "prune-lab runs")
    return _remove(matching[0], store, show) if remove else _show(matching[0], show)


def _list(folders: list[Folder], show: Show, what: str) -> int:
    if show.as_json:
        for folder in folders:
            names = ("phase", "key", "name", "seconds", "created", "metrics")
            show.data({name: folder.record.get(name) for name in names})
        return 0
    if not folders:
        show.say(f"no {what} yet; to make some: prune-lab reproduce experiment=demo")
        return 0
    rows = [
        (folder.phase, folder.key, folder.record.get("name", ""), headline(folder.record["metrics"]))
        for folder in folders
    ]
    show.table(f"{len(rows)} {what}", ("phase", "key", "what", ""), rows)
    return 0


def _show(folder: Folder, show: Show) -> int:
    files = {path.name: path.stat().st_size for path in sorted(folder.path.iterdir())}
    if show.as_json:
        show.data(folder.record | {"files": files})
    else:
        print(json.dumps(folder.record, indent=2))
        show.table(str(folder.path), ("file", "bytes"), list(files.items()))
    return 0


def _remove(folder: Folder, store: Store, show: Show) -> int:
    """Remove a run and, first, everything that was made from it."""
    for other in store.folders():
        if folder.key in other.record["inputs"].values():
            _remove(other, store, show)
    if store.find(folder.phase, folder.key) is not None:
        store.remove(folder)
        show.say(f"removed {folder.path}")
    return 0


def _clean(store: Store, show: Show) -> int:
    for path in store.leftovers():
        shutil.rmtree(path)
        show.say(f"removed {path}")
    show.say("clean")
    return 0
