"""What is in the store: list, show, remove, merge, verify, clean."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from prune_lab.experiments.errors import ConfigError, MissingInput, RunFailed
from prune_lab.experiments.store.folders import PHASES, Folder, Store

from .show import Show, headline
from .stdout import stdout

MOST_COLUMNS = 8  # of settings that a terminal shows
SHORT = 8  # letters of a key that a terminal shows
LONGEST_CELL = 20  # letters of a setting that a terminal shows
GAP = 2  # letters between columns


def runs(
    words: Sequence[str], *, phase: str | None, results: str, merge: str | None, remove: bool, clean: bool,
    verify: bool, dry_run: bool, as_json: bool, as_csv: bool,
) -> int:  # fmt: skip
    """List the runs of a store that the words name; or show the one named; or remove them, or merge another store.

    `verify`: RunFailed where a folder is damaged. `clean`: remove what killed runs left.
    """
    show, store = Show(as_json=as_json), Store(results)
    flags = {"--clean": clean, "--verify": verify, "--remove": remove, "--merge": merge is not None, "--csv": as_csv}
    _check(words, phase, results, [flag for flag, given in flags.items() if given], dry_run=dry_run, as_json=as_json)
    if clean:
        for sentence in store.clean():
            show.say(sentence)
        show.say("clean")
        return 0
    if verify:
        return _verify(store, phase, show)
    if merge is not None:
        return _merge(store, Store(merge), show, dry_run=dry_run)
    every = store.folders()
    for error in store.damaged(phase).values():
        show.say(f"left out: {error}")
    chosen, rows = _named(words, every, phase, results)
    if remove:
        return _remove(chosen, every, store, show, dry_run=dry_run)
    if len(words) == len(chosen) == 1 and "=" not in words[0] and not as_csv:
        return _show(chosen[0], show)
    if as_csv:
        from prune_lab.experiments.report.table import write

        write(rows, stdout())
        return 0
    return _list(chosen, rows, show, f"{phase or ''} results in {results}".strip())


def _check(
    words: Sequence[str], phase: str | None, results: str, asked: Sequence[str], *, dry_run: bool, as_json: bool
) -> None:
    """Refuse words and flags that do not belong together."""
    if phase is not None and phase not in PHASES:
        raise ConfigError(f"--phase {phase}: choose one of {', '.join(PHASES)}")
    if not all(words):
        raise ConfigError("an empty key names no run", "prune-lab runs")
    if "--remove" in asked and not words:
        raise ConfigError("--remove needs keys of runs, or settings", "prune-lab runs")
    if dry_run and not {"--remove", "--merge"} & {*asked}:
        raise ConfigError("--dry-run says what --remove or --merge would do", "prune-lab runs KEY --remove --dry-run")
    whole_store = {"--clean", "--verify", "--merge"} & {*asked}
    more = [f"the key {word}" if "=" not in word else word for word in words if whole_store]
    more += ["--phase"] if phase and whole_store - {"--verify"} else []
    more += ["--json"] if as_json and "--csv" in asked else []
    if len(asked) > 1 or more:
        what = " and ".join([*asked, *more])
        raise ConfigError(f"{what} do not belong together", f"prune-lab runs {asked[0]} --results {results}")


def _named(words: Sequence[str], every: Sequence[Folder], phase: str | None, results: str) -> tuple[list[Folder], Any]:
    """The folders that keys and settings name, and the table of their settings."""
    from prune_lab.experiments import read

    keys = [word for word in words if "=" not in word]
    where = dict(_setting(word) for word in words if "=" in word)
    rows = read.listed(every, phase=phase)
    found: list[str] = []
    for key in keys:
        matching = [one for one in rows["key"] if one.startswith(key)]
        if len(matching) != 1:
            said = ", ".join(matching) or "none"
            raise MissingInput(f"{key} names {len(matching)} runs in {results} ({said})", "prune-lab runs")
        found += matching
    if keys:
        rows = rows[rows["key"].isin(found)]
    if where:
        rows = read.chosen(rows, where, f"no {phase or 'run'} in {results}", "prune-lab runs")
    known = {folder.key: folder for folder in every}
    return [known[key] for key in rows["key"]], rows


def _setting(word: str) -> tuple[str, Any]:
    """`keep=0.5,1` as a setting and its values; `task.classes=[cat,dog]` is one value."""
    name, _, value = word.partition("=")
    several = [value[1:-1]] if value.startswith("[") else [_value(one) for one in value.split(",")]
    return name, several if len(several) > 1 else several[0]


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _list(chosen: Sequence[Folder], rows: Any, show: Show, what: str) -> int:
    from prune_lab.experiments.read import SETTINGS

    if show.as_json:
        settings = json.loads(rows[[*SETTINGS]].to_json(orient="records"))
        for folder, own in zip(chosen, settings, strict=True):
            names = ("phase", "key", "name", "seconds", "created", "metrics")
            show.data({name: folder.record.get(name) for name in names} | own)
        return 0
    if not chosen:
        show.say(f"no {what} yet; to make some: prune-lab reproduce experiment=demo")
        return 0
    columns = [str(name) for name in rows if name in SETTINGS or "." in name]
    values = {name: {_cell(value) for value in rows[name]} - {""} for name in columns}
    differing = [name for name in columns if len(values[name]) > 1]
    alike = " ".join(f"{name}={min(values[name])}" for name in SETTINGS if len(values[name]) == 1)
    length = SHORT if len({folder.key[:SHORT] for folder in chosen}) == len(chosen) else None  # as `runs KEY` takes it
    ends: list[tuple[str, ...]] = [
        (folder.phase, folder.key[:length], headline(folder.record["metrics"])) for folder in chosen
    ]
    cells = {name: [_cell(value) for value in rows[name]] for name in differing[:MOST_COLUMNS] or ["name"]}
    if show.width is not None:
        cells = {name: [_short(one) for one in own] for name, own in cells.items()}
        shown = _fitting(cells, ends, show.width)
        if len(shown) < len(cells):  # one measure leaves room for settings
            ends = [(*one[:2], " ".join(one[2].split()[:2])) for one in ends]
            shown = _fitting(cells, ends, show.width)
        cells = {name: cells[name] for name in shown}
    table = [(*one[:2], *own, one[2]) for one, *own in zip(ends, *cells.values(), strict=True)]
    show.table(f"{len(table)} {what}", ("phase", "key", *cells, ""), table, whole=True)
    show.say(alike and f"all of them: {alike}")
    if more := [name for name in differing if name not in cells]:
        listed = f"{', '.join(more[:3])}{', ...' if more[3:] else ''}"
        show.say(f"they differ in {len(more)} more, not shown here ({listed}): prune-lab runs --csv")
    return 0


def _short(cell: str) -> str:
    return cell if len(cell) <= LONGEST_CELL else f"{cell[: LONGEST_CELL - 1]}…"


def _fitting(columns: Mapping[str, Sequence[str]], ends: Sequence[tuple[str, ...]], width: int) -> list[str]:
    """The settings that fit on a line beside phase, key and measures, in their order; a wide one is left out."""
    room = width - sum(max(map(len, column)) + GAP for column in zip(("phase", "key", ""), *ends, strict=True)) + GAP
    shown = []
    for name, cells in columns.items():
        wide = max(map(len, (name, *cells))) + GAP
        if wide <= room:
            shown.append(name)
            room -= wide
    return shown


def _cell(value: Any) -> str:
    """A setting as words; nothing where a phase has none."""
    if value is None or str(value) in ("nan", "<NA>"):
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _show(folder: Folder, show: Show) -> int:
    if show.as_json:
        show.data(folder.record)
    else:
        files = {path.name: path.stat().st_size for path in sorted(folder.path.iterdir())}
        rest = {name: value for name, value in folder.record.items() if name != "files"}
        print(json.dumps(rest, indent=2), file=stdout())
        show.table(str(folder.path), ("file", "bytes"), list(files.items()), whole=True)
    return 0


def _remove(named: Sequence[Folder], every: Sequence[Folder], store: Store, show: Show, *, dry_run: bool) -> int:
    """Remove runs and, before each, everything that was made from it; a dry run lists them."""
    going = list(_with_what_was_made_from(named, every))
    along = Counter(folder.phase for folder in going if folder not in named)
    made = f" and {along.total()} made from {'it' if len(named) == 1 else 'them'}" if along else ""
    by_phase = f" ({', '.join(f'{number} {phase}' for phase, number in along.items())})" if along else ""
    show.say(f"{'would remove' if dry_run else 'removing'} {len(named)} named{made}{by_phase}")
    for folder in going:
        if not dry_run and store.find(folder.phase, folder.key) is not None:
            store.remove(folder)
        done = "would be removed" if dry_run else "removed"
        show.say(f"{done} {folder.path}  {folder.record.get('name', '')}")
        if show.as_json:
            show.data({"phase": folder.phase, "key": folder.key, "path": str(folder.path), "status": done})
    return 0


def _with_what_was_made_from(named: Sequence[Folder], every: Sequence[Folder]) -> Iterator[Folder]:
    """Each folder once, after all that was made from it."""
    made_from: dict[str, list[Folder]] = {}
    for folder in every:
        for key in folder.record["inputs"].values():
            made_from.setdefault(str(key), []).append(folder)
    seen: set[str] = set()

    def visit(folder: Folder) -> Iterator[Folder]:
        if folder.key not in seen:
            seen.add(folder.key)
            for other in made_from.get(folder.key, ()):
                yield from visit(other)
            yield folder

    for folder in named:
        yield from visit(folder)


def _merge(store: Store, other: Store, show: Show, *, dry_run: bool) -> int:
    """Copy what another store has and this one has not. Damaged folders, there or here, are said and left alone."""
    if not other.root.is_dir() or other.root.resolve() == store.root.resolve():
        raise ConfigError(f"--merge {other.root} is not the folder of another store", "--merge FOLDER")
    counts: Counter[str] = Counter()
    for path, found in other.looked_at(hashes=True):
        try:
            if isinstance(found, RunFailed):
                raise found
            status = "already there" if store.find(found.phase, found.key) else "would be copied"
            if status == "would be copied" and not dry_run:
                store.take(found)
                status = "copied"
        except RunFailed as error:
            status = "damaged"
            show.say(str(error))
        counts[status] += 1
        if show.as_json:
            show.data({"path": str(path), "status": status})
    told = ", ".join(f"{number} {status}" for status, number in counts.items()) or f"no runs in {other.root}"
    show.say(f"{told}; a page is not copied, and drawn of both by: prune-lab report --results {store.root}")
    return RunFailed.exit_code if counts["damaged"] else 0


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
