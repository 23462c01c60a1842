"""Examples of one split that are byte for byte in another."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..contracts import Examples, Indices, Kind, Split

VERSION = 1
ALIKE = 0.98  # correlation of pixels from which two images are near copies
BLOCK = 1024  # rows of correlations at once
SMALL = 2**24  # bytes of inputs that are compared sooner than a cache is read
SPLITS: tuple[Split, ...] = ("train", "dev", "test")
Place = tuple[Split, int]  # a split, and a row of it
NOUNS = {"images": "images", "text": "windows", "vectors": "examples"}
_NAMED = {False: "group", True: "near"}  # task.copies
PAIRS: tuple[tuple[Split, Split], ...] = (("train", "dev"), ("train", "test"), ("dev", "test"))


def between(splits: Mapping[Split, Examples], kind: Kind) -> list[str]:
    """A sentence for each two splits that share examples: how many of the later one, and how many with other labels."""
    digests = {split: _digests(splits[split], kind) for split in SPLITS}
    notes = []
    for first, second in PAIRS:
        if np.isin(splits[second].ids, splits[first].ids).any():
            continue  # some training examples serve as dev (task.dev=0)
        shared = digests[first].keys() & digests[second].keys()
        number = sum(len(digests[second][digest]) for digest in shared)
        if not number:
            continue
        other = sum(label not in digests[first][digest] for digest in shared for label in digests[second][digest])
        labelled = f", {other} of them with another label" if other else ""
        notes.append(
            f"copies: {number} of {len(splits[second].ids)} {second} {NOUNS[kind]} are byte for byte in {first}"
            + labelled
        )
    return notes


def grouped(parts: Mapping[str, Examples], *, near: bool = False) -> tuple[dict[str, Examples], list[str]]:
    """The parts, with equal images in one group, which splits and folds keep together; and a note.

    `near`: so are images whose pixels correlate by `ALIKE` or more (resized, compressed anew), and what these are near.
    """
    keys = np.concatenate([_keys(part) for part in parts.values()])
    if near:
        keys = _joined(keys, np.concatenate([part.inputs.reshape(len(part.ids), -1) for part in parts.values()]))
    ends = np.cumsum([len(part.ids) for part in parts.values()])[:-1]
    own = zip(parts.items(), np.split(keys, ends), strict=True)
    copied = len(keys) - len(np.unique(keys))
    called = f"{'copies or near copies' if near else 'copies'} of another, and no split shares them"
    notes = [f"{copied} images are {called} (task.copies={_NAMED[near]})"] if copied else []
    return {name: replace(part, groups=groups) for (name, part), groups in own}, notes


def _joined(keys: Indices, pixels: NDArray[np.uint8]) -> Indices:
    """(N,) the least key of all images that are near copies of one another, directly or by others between."""
    names, first, member = np.unique(keys, return_index=True, return_inverse=True)
    shape = pixels[first].astype(np.float32)
    shape -= shape.mean(1, keepdims=True)
    shape /= np.maximum(np.linalg.norm(shape, axis=1, keepdims=True), 1e-6)
    pairs = [np.empty((2, 0), np.int64)]
    for start in range(0, len(shape), BLOCK):
        pairs.append(np.stack(np.nonzero(shape[start : start + BLOCK] @ shape[start:].T >= ALIKE)) + start)
    component = components(np.concatenate(pairs, axis=1).T, len(names))
    least = np.full(component.max() + 1, names[-1])
    np.minimum.at(least, component, names)
    joined: Indices = least[component][member]
    return joined


def components(pairs: Indices, number: int) -> Indices:
    """(number,) the group of each row: rows that a chain of pairs (M, 2) connects are in one."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    graph = coo_matrix((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(number, number))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def apart(train: Examples, test: Examples, *, near: bool = False) -> tuple[Examples, list[str]]:
    """The test examples that are no copies of training examples, and a note; both have groups."""
    assert train.groups is not None
    assert test.groups is not None
    copied = np.isin(test.groups, train.groups)
    if not copied.any():
        return test, []
    are = "are near copies of training images" if near else "are byte for byte in train"
    said = f"{copied.sum()} of {len(copied)} test images {are}, and are left out (task.copies={_NAMED[near]})"
    return test.take(np.flatnonzero(~copied)), [said]


def originals(splits: Mapping[Split, Examples], kind: Kind) -> dict[str, str]:
    """id -> id of the first example that has the same content, for the examples that are copies; train comes first."""

    def name(place: Place) -> str:
        return str(splits[place[0]].ids[place[1]])

    return {name(copy): name(original) for copy, original in listed(splits, kind)}


def listed(splits: Mapping[Split, Examples], kind: Kind) -> list[tuple[Place, Place]]:
    """Every example that is byte for byte an earlier one, and the first of those; train comes before dev and test."""
    rows = {split: _rows(splits[split], kind) for split in SPLITS}
    first: dict[bytes, Place] = {}
    found: list[tuple[Place, Place]] = []
    for split, row in places(splits):
        digest = hashlib.blake2b(rows[split][row].data, digest_size=16).digest()
        if (original := first.setdefault(digest, (split, row))) != (split, row):
            found.append(((split, row), original))
    return found


def places(splits: Mapping[Split, Examples]) -> list[Place]:
    """Every example once: those of dev that train also has (task.dev=0) are in train."""
    known, found = set[str](), list[Place]()
    for split in SPLITS:
        own = splits[split].ids.tolist()
        found += [(split, row) for row, name in enumerate(own) if name not in known]
        known.update(own)
    return found


def _keys(examples: Examples) -> Indices:
    """(N,) a number for the content of each example."""
    hashes = (hashlib.blake2b(row.data, digest_size=8).digest() for row in _rows(examples, "images"))
    return np.frombuffer(b"".join(hashes), np.int64)


def _rows(examples: Examples, kind: Kind) -> NDArray[np.uint8]:
    """(N, bytes) the content of each example. A window's own tokens are its targets."""
    content = np.ascontiguousarray(examples.targets if kind == "text" else examples.inputs)
    return content.reshape(len(content), int(np.prod(content.shape[1:]))).view(np.uint8)


def _digests(examples: Examples, kind: Kind) -> dict[bytes, list[int]]:
    """The content of each example -> the labels of those that have it."""
    rows = _rows(examples, kind)
    labels = [0] * len(rows) if kind == "text" else examples.targets.tolist()
    found: dict[bytes, list[int]] = {}
    for row, label in zip(rows, labels, strict=True):
        found.setdefault(hashlib.blake2b(row.data, digest_size=16).digest(), []).append(label)
    return found
