"""Labels of images, numbers or names, as classes numbered from 0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from ..contracts import Indices
from ..errors import DataUnavailable
from .pixels import Pixels

LISTED = 12  # classes that an error lists
COLUMNS = (
    "label",
    "fine_label",
    "class",
    "labels",
    "cls",
    "class_label",
    "target",
    "targets",
    "category",
    "y",
)  # hubs'
CAN = "of whole numbers, strings or booleans"  # what a column of labels is


def allowed(label: int | str, classes: Sequence[str]) -> str:
    """What an error says of the classes that a label may be of."""
    listed = ", ".join(classes[:LISTED]) + (", …" if len(classes) > LISTED else "")
    numbers = isinstance(label, int) and any(not name.isdecimal() for name in classes)
    return f"the classes are {listed}" + (f", or their numbers 0 to {len(classes) - 1}" if numbers else "")


@dataclass(frozen=True, slots=True)
class Part:
    """One part as read: labels are whole numbers or names still."""

    pixels: Pixels
    labels: Sequence[int | str]
    ids: Sequence[str]


def meant(value: Any) -> int | str | None:
    """A label that is a whole number or a name, whatever type holds it; None for what is neither.

    `1.0` is 1, and `True` is the name true.
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float | Decimal):
        return int(value) if value == value // 1 else None  # NaN and infinity equal nothing
    return value if isinstance(value, int | str) and value != "" else None


def number(
    parts: Mapping[str, Part], classes: tuple[str, ...] | None
) -> tuple[dict[str, Indices], tuple[str, ...], list[str]]:
    """Labels as 0..classes-1, the classes' names, and notes.

    A number is its class's place in `classes`. Where these are not given, they are the labels of the training part:
    -1 and 1, or 1 to 10, are as many classes, and there is no class without an image.
    """
    first = next(iter(parts.values()))  # train, or all
    if derived := classes is None:
        classes = _classes_of(first)
    places = {name: place for place, name in enumerate(classes)}
    numbered: dict[str, Indices] = {}
    for name, read in parts.items():
        found = [places.get(str(label), -1) if derived or isinstance(label, str) else label for label in read.labels]
        row = next((row for row, place in enumerate(found) if not 0 <= place < len(classes)), None)
        if row is not None:
            raise DataUnavailable(
                f"the label of {read.ids[row]} is {read.labels[row]}; {allowed(read.labels[row], classes)}",
                "give it the label of one of these, or take it out"
                + ("" if read is first else "; a class needs training images"),
            )
        numbered[name] = np.array(found, np.int64)
    if len(classes) < 2:
        what = f"there is one class only, {''.join(classes)}: nothing to learn"
        raise DataUnavailable(
            what, "a second class; where one folder has images of several, a metadata.csv with file_name and label"
        )
    there = np.bincount(numbered[next(iter(parts))], minlength=len(classes)) > 0
    absent = [name for name, some in zip(classes, there, strict=True) if not some]
    return numbered, classes, [f"classes without a training image: {', '.join(absent)}"] if absent else []


def said_of_classes(counts: Indices, classes: Sequence[str]) -> list[str]:
    """Notes on how many images (classes,) each class has; a class of one image cannot be in two splits."""
    listed = ", ".join(f"{name} {count}" for name, count in list(zip(classes, counts.tolist(), strict=True))[:LISTED])
    notes = [f"{len(classes)} classes, {counts.sum()} images: {listed}{', …' if len(classes) > LISTED else ''}"]
    if single := [name for name, count in zip(classes, counts.tolist(), strict=True) if count == 1]:
        names = ", ".join(single[:LISTED]) + (", …" if len(single) > LISTED else "")
        notes.append(f"warning: one image only of {names}: such a class cannot be both learned and measured")
    return notes


def numbered_ids(part: str, number: int) -> list[str]:
    """`train/00017`: the row's number within the source's part."""
    width = max(5, len(str(number - 1)))
    return [f"{part}/{row:0{width}}" for row in range(number)]


def _classes_of(part: Part) -> tuple[str, ...]:
    """The labels that a part has, numbers in their order and names in theirs."""
    values = set(part.labels)
    named = any(isinstance(value, str) for value in values)
    classes = tuple(map(str, sorted(map(str, values) if named else values)))
    if len(classes) > max(2, len(part.labels) // 2):
        raise DataUnavailable(
            f"there are {len(classes)} different labels among {len(part.labels)} images, fewer than two images a class",
            "task.label=COLUMN with a class for each image, or more images",
        )
    return classes
