"""Examples of one split that are byte for byte in another."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np

from ..contracts import Examples, Kind, Split

VERSION = 1
SMALL = 2**24  # bytes of inputs that are compared sooner than a cache is read
NOUNS = {"images": "images", "text": "windows", "vectors": "examples"}
PAIRS: tuple[tuple[Split, Split], ...] = (("train", "dev"), ("train", "test"), ("dev", "test"))


def between(splits: Mapping[Split, Examples], kind: Kind) -> list[str]:
    """A sentence for each two splits that share examples: how many of the later one, and how many with other labels."""
    digests = {split: _digests(splits[split], kind) for split in ("train", "dev", "test")}
    notes = []
    for first, second in PAIRS:
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


def _digests(examples: Examples, kind: Kind) -> dict[bytes, list[int]]:
    """The content of each example -> the labels of those that have it. A window's own tokens are its targets."""
    content = np.ascontiguousarray(examples.targets if kind == "text" else examples.inputs)
    labels = [0] * len(content) if kind == "text" else examples.targets.tolist()
    rows = content.reshape(len(content), -1).view(np.uint8)
    found: dict[bytes, list[int]] = {}
    for row, label in zip(rows, labels, strict=True):
        found.setdefault(hashlib.blake2b(row.data, digest_size=16).digest(), []).append(label)
    return found
