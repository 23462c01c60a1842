"""scikit-learn's 1,797 handwritten digits of 8x8 pixels (UCI, Alpaydin and Kaynak 1998): data that are always there."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from ..choices import choice
from ..contracts import Count, Data, Examples, Indices, Kind, Place, Share, Split, TaskChoice
from ..errors import DataUnavailable
from . import relabel
from .sources import fingerprint_files, key_of
from .splits import Classes, carve

VERSION = 2
TEST = 0.2  # share of the whole
NUMBER = 1797
BRIGHTEST = 16  # the file's pixels count 0..16


@choice("task", "digits", source="UCI, Alpaydin and Kaynak 1998")
class Digits(TaskChoice):
    """scikit-learn's 1,797 handwritten digits, 8x8, embedded: runs anywhere."""

    reads: ClassVar[Kind] = "images"
    embedded: ClassVar[bool] = True

    examples: Count | None = None  # size of the training pool; null: all of it
    dev: Annotated[float, Field(gt=0, le=0.5)] = 0.1  # share of the training data carved out as dev
    label_noise: Share = 0.0  # share of training labels replaced by another class
    labels: Place | None = None  # a file with other labels, by id; those that differ count as label noise
    classes: Classes | None = None  # names of the classes used, renumbered in this order; null: all

    def fingerprint(self) -> str:
        return relabel.fingerprint(fingerprint(), self.labels)

    def load(self) -> Data:
        return load(dev=self.dev)


def fingerprint() -> str:
    """16 hexadecimal digits of the file and of the version of its reading; scikit-learn is not imported."""
    return key_of("digits", VERSION, fingerprint_files([_file()]))


def load(*, dev: float) -> Data:
    """Digits as train, dev and test: inputs (N, 1, 8, 8) uint8 scaled to 0..255, targets (N,) 0..9."""
    table = np.loadtxt(_file(), delimiter=",")
    images = np.rint(table[:, :-1] * (255 / BRIGHTEST)).astype(np.uint8).reshape(-1, 1, 8, 8)
    labels = table[:, -1].astype(np.int64)
    everything = Examples(images, labels, np.array(names()))
    rest, held = carve(TEST, labels=labels, stream="test")
    train, test = everything.take(rest), everything.take(held)
    kept, developed = carve(dev, labels=train.targets, stream="dev")
    notes = (
        "digits: embedded in scikit-learn",
        f"test: {len(held)} of {len(labels)} split off, by class",
        f"dev: {len(developed)} of {len(rest)} training examples, by class",
    )
    splits: dict[Split, Examples] = {"train": train.take(kept), "dev": train.take(developed), "test": test}
    return Data("digits", "images", splits, tuple("0123456789"), notes)


def names() -> list[str]:
    """The ids, in the order of the file."""
    return [f"digits/{row:05}" for row in range(NUMBER)]


def pixels() -> Indices:
    """(1797, 64) all digits row by row, 0..16 as in the file."""
    return np.loadtxt(_file(), delimiter=",")[:, :-1].astype(np.int64)


def _file() -> Path:
    spec = find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise DataUnavailable("scikit-learn, which holds the digits, is not installed", "pip install scikit-learn")
    file = Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz"
    if not file.is_file():
        raise DataUnavailable(f"this scikit-learn has no digits: {file} is missing", "pip install -U scikit-learn")
    return file
