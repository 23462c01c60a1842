"""What is in the store: list, show, remove, verify, clean."""

from __future__ import annotations

import json
from collections import Counter

from prune_lab.experiments.errors import ConfigError, MissingInput, RunFailed
from prune_lab.experiments.store.folders import PHASES, Folder, Store

from .show import Show, headline
from .stdout import stdout


def runs(
    key: str | None, *, phase: str | None, results: str, remove: bool, clean: bool, verify: bool, as_json: bool
) -> int:
    """List the store; or show, or remove, one run; or compare files with their hashes; or clean what killed runs left.

    `verify`: RunFailed where a folder is damaged.
    """
    show, store = Show(as_json=as_json), Store(results)
    if phase is not None and phase not in PHASES:
        raise ConfigError(f"--phase {phase}: choose one of {', '.join(PHASES)}")
    if remove and not key:
        raise ConfigError("--remove needs the key of a run", "prune-lab runs")
    if key is not None and not key:
        raise ConfigError("an empty key names no run", "prune-lab runs")
    asked = [f"--{name}" for name, given in (("clean", clean), ("verify", verify), ("remove", remove)) if given]
    if len(asked) > 1 or (key and (clean or verify)) or (phase and clean):
        what = " and ".join([*asked, *([f"the key {key}"] if key else []), *(["--phase"] if phase else [])])
        raise ConfigError(f"{what} do not belong together", f"prune-lab runs {asked[0]} --results {results}")
    if clean:
        for sentence in store.clean():
            show.say(sentence)
        show.say("clean")
        return 0
    if verify:
        return _verify(store, phase, show)
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
    if show.as_json:
        show.data(folder.record)
    else:
        files = {path.name: path.stat().st_size for path in sorted(folder.path.iterdir())}
        rest = {name: value for name, value in folder.record.items() if name != "files"}
        print(json.dumps(rest, indent=2), file=stdout())
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


def _verify(store: Store, phase: str | None, show: Show) -> int:
    """Read every file of every run; with `--json` an object a run. Those of an older version carry no hashes."""
    counts: Counter[str] = Counter()
    for path, found in store.looked_at(phase, hashes=True):
        wrong = found if isinstance(found, RunFailed) else None
        status = "damaged" if wrong else "whole" if isinstance(found, Folder) and found.is_hashed else "no hashes"
        counts[status] += 1
        if show.as_json:
            show.data({"path": str(path), "status": status, "error": wrong and str(wrong)})
        if wrong:
            show.say(str(wrong))
    show.say(f"{counts.total()} runs: {', '.join(f'{number} {status}' for status, number in counts.items()) or 'none'}")
    if counts["no hashes"]:
        show.say("those without hashes were made by an older version; to have them checked: remove and make them again")
    return RunFailed.exit_code if counts["damaged"] else 0
