"""Which rows belong to which split, which to the training pool, and which labels are wrong on purpose.

All of it is drawn from a fixed seed of its own: the data stay the same whatever the seed of a run. Documents, copies
and folds are dealt by what they are. Parts and pools by class, and wrong labels, are random draws of rows: none prefers
a row by its place, but the same rows in another order are other data, with another fingerprint, and drawn anew. Files
of a folder are in the order of their names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BeforeValidator, Field

from ..contracts import Data, Examples, Indices
from ..errors import ConfigError, DataUnavailable
from ..seeds import derive, numpy_stream


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise ValueError(f"a class is named twice: {', '.join(names)}")
    return names


WATCHED = 0.1  # share of the training examples that serve as dev where none is set apart (task.dev=0)
Classes = Annotated[
    tuple[Annotated[str, BeforeValidator(str)], ...], Field(min_length=2), AfterValidator(_distinct)
]  # [0,1,2] are names of digits


def carve(
    fraction: float,
    *,
    labels: Indices | None = None,
    groups: Indices | None = None,
    sizes: Indices | None = None,
    seed: int = 0,
    stream: str = "dev",
) -> tuple[Indices, Indices]:
    """Rows in two parts, `(rest, part)`, both sorted, with `fraction` of them in the second.

    By `labels` (N,): stratified, and a class of two rows or more has at least one on each side. By `groups` (N,) with
    `sizes` (N,): whole groups, `fraction` of the total size.
    """
    assert 0 < fraction < 1, fraction
    assert (labels is None) != (groups is None), "by labels or by groups"
    if labels is None:
        assert groups is not None
        assert sizes is not None
        if len(np.unique(groups)) < 2:
            raise DataUnavailable(
                f"there is only {len(np.unique(groups))} document: too few to split off {stream}",
                "more documents: a .txt file is one (alone it is divided at blank lines), and copies count once",
            )
        chosen = deal(groups, sizes, (1 - fraction, fraction), seed=seed, stream=f"carve {stream}") == 1
    else:
        order = numpy_stream(seed, f"carve {stream}")
        classes, counts = np.unique(labels, return_counts=True)
        chosen = np.zeros(len(labels), bool)
        for name, number in zip(classes, _apportion(fraction, counts), strict=True):
            rows = np.flatnonzero(labels == name)
            chosen[order.permutation(rows)[:number]] = True
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


def carve_whole(fraction: float, examples: Examples, *, stream: str) -> tuple[Indices, Indices]:
    """`carve` by labels, where examples of one group stay together: the first of each is dealt, by its label."""
    if fraction == 0:
        return np.arange(len(examples.ids)), np.empty(0, np.int64)
    if examples.groups is None:
        return carve(fraction, labels=examples.targets, stream=stream)
    first = np.sort(np.unique(examples.groups, return_index=True)[1])
    _, held = carve(fraction, labels=examples.targets[first], stream=stream)
    chosen = np.isin(examples.groups, examples.groups[first[held]])
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


def deal(groups: Indices, sizes: Indices, shares: Sequence[float], *, seed: int = 0, stream: str) -> Indices:
    """(N,) the part of each row: whole groups (N,), so that the parts' sizes (N,) are near `shares` of the total.

    The groups are laid end to end in a random order, and each belongs to the part in which its middle falls: a part's
    size is wrong by half a group at either end at most, unless it needs more for its one group at least (fewer groups
    than parts leave the last parts empty). The order depends on the groups' keys, not on that of the rows.
    """
    names, member = np.unique(groups, return_inverse=True)
    order = numpy_stream(seed, stream).permutation(len(names))
    size = np.bincount(member, sizes)[order]
    ends = np.cumsum(shares) / np.sum(shares) * size.sum()
    part = np.searchsorted(ends[:-1], np.cumsum(size) - size / 2, side="right")
    place = np.arange(len(names))
    part = np.maximum(part, place - (len(names) - len(shares)))  # as many groups as parts are left at the end
    part[0] = 0
    part = place + np.minimum.accumulate(part - place)  # no part is skipped
    dealt = np.empty(len(names), np.int64)
    dealt[order] = part
    return dealt[member]


def units_of(examples: Examples) -> Indices:
    """(N,) what is dealt as a whole: an example's group, or itself by a hash of its id."""
    if examples.groups is not None:
        return examples.groups
    return np.array([derive(0, f"example {name}") for name in examples.ids.tolist()], np.int64)


def fold_of(examples: Examples, folds: int, *, seed: int) -> Indices:
    """(N,) the fold of each example, near-equal in tokens; they keep together what the splits keep together."""
    groups, number = units_of(examples), len(examples.ids)
    if (there := len(np.unique(groups))) < folds:
        raise ConfigError(
            f"scorer.folds={folds} needs as many documents or images, and the {number} training examples are of "
            f"{there} (those of one module, and copies, count once)",
            "more of them, or a larger task.examples" + (f", or scorer.folds={there}" if there > 1 else ""),
        )
    return deal(
        groups, examples.units.get("tokens", np.ones(number, np.int64)), [1 / folds] * folds, seed=seed, stream="folds"
    )


def _apportion(fraction: float, counts: Indices) -> Indices:
    """How many rows of each class: the largest remainders round up, so that the total is as exact as classes allow."""
    exact = fraction * counts
    taken = np.floor(exact).astype(np.int64)
    missing = round(fraction * int(counts.sum())) - int(taken.sum())
    taken[np.argsort(taken - exact, kind="stable")[:missing]] += 1
    return np.where(counts < 2, 0, np.clip(taken, 1, np.maximum(counts - 1, 1)))


def pool(examples: Examples, size: int | None, *, seed: int = 0) -> Examples:
    """The training pool: the first `size` rows of one fixed permutation, sorted; all of them where `size` is None.

    Pools are nested (100 in 200), and with classes (targets (N,)) each holds them in proportion.
    """
    number = len(examples.targets)
    if size is None or size == number:
        return examples
    if size > number:
        raise ConfigError(
            f"task.examples={size}, and the training split has {number} examples", f"task.examples={number}"
        )
    check_enough(size, examples.targets, f"task.examples={size}")
    order = _stratified_order(examples.targets, seed)
    return examples.take(np.sort(order[:size]))


def of_classes(data: Data, names: Sequence[str]) -> Data:
    """The examples of these classes alone, renumbered in the order given."""
    unknown = [name for name in names if name not in data.classes]
    if unknown:
        raise ConfigError(
            f"{data.name} has no class {', '.join(unknown)}; there is: {', '.join(data.classes)}",
            f"task.classes=[{','.join(data.classes[:2])}]",
        )
    number = np.full(len(data.classes), -1)
    number[[data.classes.index(name) for name in names]] = np.arange(len(names))
    splits = {}
    for split, examples in data.splits.items():
        part = examples.take(np.flatnonzero(number[examples.targets] >= 0))
        splits[split] = replace(part, targets=number[part.targets])
    return replace(data, splits=splits, classes=tuple(names), notes=(*data.notes, f"classes: {', '.join(names)}"))


def check_enough(number: int, targets: NDArray[np.int64], setting: str) -> None:
    """Refuse to learn from fewer than two examples, or from fewer than there are classes among `targets`."""
    classes = len(np.unique(targets)) if targets.ndim == 1 else 0
    if number < max(2, classes):
        least = f"the {classes} classes" if classes > 2 else "two"
        raise ConfigError(
            f"{setting} leaves {number} of {len(targets)} training examples, fewer than {least}",
            f"a larger {setting.partition('=')[0]}",
        )


def _stratified_order(targets: NDArray[np.int64], seed: int) -> Indices:
    """A permutation of the rows whose every prefix has the classes in proportion."""
    draw = numpy_stream(seed, "pool")
    shuffled = draw.permutation(len(targets))
    if targets.ndim > 1:
        return shuffled
    place = np.empty(len(targets))
    for name in np.unique(targets):
        rows = shuffled[targets[shuffled] == name]
        place[rows] = (np.arange(len(rows)) + 0.5) / len(rows)
    return shuffled[np.argsort(place[shuffled], kind="stable")]


def sample(ids: NDArray[np.str_], number: int, stream: str) -> Indices:
    """(min(N, number),) rows, drawn and ordered by a hash of their ids: the same examples however the rows lie.

    Samples of one stream are nested.
    """
    key = derive(0, stream).to_bytes(8, "big")
    turns = b"".join(hashlib.blake2b(name.encode(), digest_size=8, key=key).digest() for name in ids.tolist())
    return np.argsort(np.frombuffer(turns, ">u8"), kind="stable")[:number]


def flip_labels(examples: Examples, share: float, *, seed: int = 0) -> Examples:
    """The training split with exactly `round(share * N)` labels replaced by another class that it has."""
    if share == 0:
        return examples
    there = np.unique(examples.targets)
    if examples.targets.ndim != 1 or len(there) < 2:
        raise ConfigError("task.label_noise needs at least two classes", "task.label_noise=0")
    draw = numpy_stream(seed, "label noise")
    rows = draw.permutation(len(examples.targets))[: round(share * len(examples.targets))]
    targets = np.array(examples.targets)
    places = np.searchsorted(there, targets[rows])
    targets[rows] = there[(places + draw.integers(1, len(there), len(rows))) % len(there)]
    noisy = np.zeros(len(targets), bool)
    noisy[rows] = True
    return replace(examples, targets=targets, noisy=noisy)
