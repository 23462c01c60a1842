"""Which part of a data set a file belongs to, by its name: one table of names for images, parquet and text."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

PARTS = {
    "train": ("train", "training"),
    "test": ("test", "testing"),
    "validation": ("val", "valid", "validation", "dev"),
}
PART = {word: part for part, words in PARTS.items() for word in words}
WORD = re.compile(rf"(?<![a-z])({'|'.join(PART)})(?![a-z])")
NUMBERS = re.compile(r"[-_. ]?\d+([-_.]of[-_.]\d+)?(-[0-9a-f]{16})?")  # of shards: train-00000-of-00002
FILE = re.compile(
    r"\.(parquet|jsonl|ndjson|json|csv|txt)(\.(gz|bz2|xz|zst))?$"
)  # also of folders: train.parquet/part-0.parquet

Names = tuple[str, ...]  # what a path is made of, below the root


@dataclass(frozen=True, slots=True)
class Division:
    """Files by the part of the data that their names say: `train` and `test`, or `all`; with notes on the choice."""

    parts: Mapping[str, tuple[Path, ...]]
    notes: list[str]
    below: Mapping[Names, Names]  # of the folders of a place, those that are neither around the parts nor name one


def files_by_part(files: Sequence[Path], root: Path) -> tuple[dict[str, tuple[Path, ...]], list[str]]:
    """The parts of tables or texts, and notes. Folders may be named like a part, and files."""
    found = divide(files, root, by_file=True)
    return dict(found.parts), found.notes


def divide(files: Sequence[Path], root: Path, *, by_file: bool) -> Division:
    """The files by part. `by_file`: a file's own name counts, as in `train-0.parquet`; else its folders' names alone.

    Folders around all of it are passed over. Parts are what folders (and files) of the first level below are called, or
    those of the second where each folder of the first holds parts: `cat/train/1.png`, whose class is `cat`, also in
    folders below, unless no file is in `train` itself. Where there are no test files,
    those of validation serve as test; where there are no train files, those beside the other parts serve as train.
    """
    start = len(os.path.join(root, ""))
    spelled = [os.fspath(file)[start:] if file != root else file.name for file in files]
    if not by_file:
        spelled = [name.rpartition(os.sep)[0] for name in spelled]
    places: dict[str, Names] = {name: tuple(name.split(os.sep)) if name else () for name in dict.fromkeys(spelled)}
    levels = zip(*(place[:-1] for place in places.values()), strict=False)
    around = sum(1 for _ in takewhile(lambda names: len(set(names)) == 1, levels))
    level, named, notes = _level({place[around:] for place in places.values()}, by_file)
    sorts: dict[str, list[Path]] = {"train": [], "test": [], "validation": [], "": []}
    part, rests = {}, dict[Names, Names]()
    for place in places.values():
        names = place[around:]
        part[place] = named.get(names[level], "") if len(names) > level else ""
        rest = names[level + 1 :] if part[place] else names
        while part[place] and rest and (rest[0] in named or named_parts(rest[:1])):
            rest = rest[1:]  # seg_train/seg_train/cat
        rests[place] = rest
    outer = level == 1 and any(part[place] and not rest for place, rest in rests.items())
    below = {place: (place[around:][:level] if outer and part[place] else ()) + rest for place, rest in rests.items()}
    if level == 1 and not outer and not by_file:
        listed = ", ".join(sorted({place[around] for place in places.values() if part[place]}))
        notes.append(f"classes are the folders below train and test, not those around them: {listed}")
    sort_of = {name: sorts[part[place]] for name, place in places.items()}
    for file, name in zip(files, spelled, strict=True):
        sort_of[name].append(file)
    if not sorts["train"] and level == 0 and sorts[""] and (sorts["test"] or sorts["validation"]):
        sorts["train"], sorts[""] = sorts[""], []
        notes.append("the source has no train part: what is beside its other parts serves as train")
    if not sorts["train"]:
        return Division({"all": tuple(files)} if files else {}, notes, below)
    if not sorts["test"] and sorts["validation"]:
        sorts["test"], sorts["validation"] = sorts["validation"], []
        notes.append("the source's validation part serves as test")
    if unread := len(sorts["validation"]) + len(sorts[""]):
        left = {place[around:][: level + 1] for place, said in part.items() if said in ("validation", "")}
        beside = sorted("/".join(names) for names in left if names)
        listed = ", ".join(beside[:5]) + (", …" if len(beside) > 5 else "")
        files_are = "1 file that belongs" if unread == 1 else f"{unread} files that belong"
        notes.append(f"{files_are} to neither train nor test not read{listed and ': '}{listed}")
    if not sorts["test"]:
        return Division({"all": tuple(sorts["train"])}, notes, below)
    return Division({"train": tuple(sorts["train"]), "test": tuple(sorts["test"])}, notes, below)


def names_of(file: Path, root: Path) -> Names:
    """The names that a file's path has below `root`; of `root` itself its name."""
    return (file.name,) if file == root else tuple(os.fspath(file)[len(os.path.join(root, "")) :].split(os.sep))


def named_parts(names: Iterable[str]) -> dict[str, str]:
    """Those of some names beside each other that name a part: `Train`, `testing`, `val-00000-of-00002`.

    A name with more in it needs another part beside it that has the same: `seg_train` and `seg_test`; `bullet_train`
    beside `car` is none.
    """
    read: dict[str, tuple[str, str]] = {}
    parts: dict[str, set[str]] = defaultdict(set)
    for name in names:
        bare = NUMBERS.sub("", FILE.sub("", name.lower()))
        if word := WORD.search(bare):
            read[name] = PART[word[0]], f"{bare[: word.start()]}*{bare[word.end() :]}"
            parts[read[name][1]].add(read[name][0])
    return {name: part for name, (part, rest) in read.items() if rest == "*" or len(parts[rest]) > 1}


def _level(places: set[Names], by_file: bool) -> tuple[int, dict[str, str], list[str]]:
    """How deep the names of parts stand, these names, and notes on those that are none."""
    names = {place[0] for place in places if place}
    files = {place[0] for place in places if len(place) == 1} if by_file else set()
    named, notes = named_parts(names), []
    spoken = files & named.keys()
    whole = files == spoken or all(named_parts([name]) for name in spoken)
    if spoken and not (whole and "train" in named.values() and len(set(named.values())) > 1):
        if files > spoken:
            notes.append(f"read like the other files, for a part needs another beside it: {', '.join(sorted(spoken))}")
        named = {name: part for name, part in named.items() if name not in spoken}
    if named:
        return 0, named, notes
    inside: dict[str, set[str]] = {place[0]: set() for place in places if len(place) > 1}
    for place in places:
        if len(place) > 1:
            inside[place[0]].add(place[1])
    second = {folder: named_parts(names) for folder, names in inside.items()}
    named = {name: part for found in second.values() for name, part in found.items()}
    if all(second.values()) and "train" in named.values():
        return 1, named, notes
    return 0, {}, notes
