"""Images of 8 to 64 pixels: CIFAR-10 in four layouts, class folders, or parquet with the images inside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from ..choices import choice
from ..contracts import Count, Data, Examples, Kind, Place, Share, TaskChoice
from ..errors import ConfigError, DataUnavailable
from . import cifar, copies, documents, metadata, relabel, sources, tables
from .labels import Part, number, numbered_ids, said_of_classes
from .parts import Names, divide, files_by_part, named_parts, names_of
from .pixels import check_size, decode, resize, same_channels
from .splits import WATCHED, Classes, carve_whole

VERSION = 2  # of what is made from the bytes: part of the fingerprint
TEST = 0.2  # share split off as test, by default
LISTED = 5  # hidden folders that a note names
ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif", ".tiff")
ADVICE = "with a network, the same command again (torchvision downloads it)"


class ImageTask(TaskChoice):
    """Images of 8 to 64 pixels."""

    reads: ClassVar[Kind] = "images"

    path: Place | None = None  # folder or file with the data
    examples: Count | None = None  # size of the training pool; null: all of it
    dev: Annotated[float, Field(ge=0, le=0.5)] = 0.1  # share of the training data carved out as dev
    label_noise: Share = 0.0  # share of training labels replaced by another class
    labels: Place | None = None  # a file with other labels, by id; those that differ count as label noise
    classes: Classes | None = None  # names of the classes used, renumbered in this order; null: all
    label: str | None = None  # the label's column in parquet; null: label or fine_label or class
    test: Annotated[float, Field(ge=0, le=0.5)] = TEST  # share split off as test where the source has no test part
    copies: Literal["group", "near"] | None = None  # equal or near-equal images stay in one split; null: not held so
    size: Annotated[int, Field(ge=8, le=64)] | None = None  # pixels to resize to; null: as they are
    group: str | None = (
        None  # a column of parquet or metadata.csv whose groups prune counts and balances; null: classes
    )

    def fingerprint(self) -> str:
        return relabel.fingerprint(fingerprint(self.name, self.path), self.labels)

    def load(self) -> Data:
        return load(
            self.name,
            self.path,
            dev=self.dev,
            test=self.test,
            label=self.label,
            size=self.size,
            grouped=self.copies is not None,
            near=self.copies == "near",
        )


@choice("task", "cifar10", source="Krizhevsky 2009")
class Cifar10(ImageTask):
    """CIFAR-10: task.path, $PRUNE_LAB_DATA/cifar10, or the download."""


@choice("task", "images")
class Images(ImageTask):
    """Anybody's images: task.path=FOLDER with class folders, or parquet with a label column."""

    @model_validator(mode="after")
    def _path(self) -> Images:
        if self.path is None:
            raise ValueError("task=images needs task.path=FOLDER_OR_PARQUET")
        return self


@dataclass(frozen=True, slots=True)
class Source:
    """Files found, by part: `train` and `test`, or `all` where the source has no such parts."""

    root: Path
    layout: str  # python, binary, parquet, folders
    parts: Mapping[str, tuple[Path, ...]]
    notes: tuple[str, ...]
    below: Mapping[Names, Names] = field(default_factory=dict)  # of folders with images, those from the class on
    tables: tuple[Path, ...] = ()  # metadata.csv, metadata.jsonl: labels of images in folders


def fingerprint(name: str, path: str | None) -> str:
    """16 hexadecimal digits: the bytes of the files and the version of their reading."""
    return _fingerprint(find(name, path))


def _fingerprint(source: Source) -> str:
    files = [*(file for part in source.parts.values() for file in part), *source.tables]
    return sources.key_of("images", VERSION, sources.fingerprint_files(files, source.root))


def load(
    name: str,
    path: str | None,
    *,
    dev: float,
    test: float = TEST,
    label: str | None = None,
    size: int | None = None,
    grouped: bool = False,
    near: bool = False,
) -> Data:
    """`cifar10` or `images` as train, dev and test: inputs (N, C, H, W) uint8, targets (N,) classes.

    `dev` is a share of the training part; `test` one of the whole, where the source has no test part of its own. With
    test=0 there is no test split, and with dev=0 some of the training images serve as dev. `grouped`: equal images are
    in one split; `near`: so are images that look nearly the same.
    """
    source = find(name, path)
    if label is not None and source.layout != "parquet" and not source.tables:
        raise ConfigError(
            f"task.label={label} names a column of a table, and {source.root} holds {source.layout}", "task.label=null"
        )
    key = sources.key_of("images", name, _fingerprint(source), source.layout, label, size)
    arrays = sources.cached_arrays(key, lambda: _read(source, name, label, size))
    parts = {
        part: Examples(arrays[f"{part}_inputs"], arrays[f"{part}_targets"], arrays[f"{part}_ids"])
        for part in source.parts
    }
    notes = [*source.notes, *map(str, arrays["notes"])]
    if grouped:
        parts, said = copies.grouped(parts, near=near)
        notes += said
    if "all" in parts:
        rest, held = carve_whole(test, parts["all"], stream="test")
        parts = {"train": parts["all"].take(rest), "test": parts["all"].take(held)}
        what = f"{len(held)} of {len(rest) + len(held)} split off, by class"
        notes.append(f"no test part in the source: {what if test else 'all images are for training (task.test=0)'}")
    elif test != TEST:
        raise ConfigError(f"task.test={test:g} splits a test part off, and {source.root} has one", f"task.test={TEST}")
    elif grouped:
        parts["test"], said = copies.apart(parts["train"], parts["test"], near=near)
        notes += said
    rest, held = carve_whole(dev or WATCHED, parts["train"], stream="dev")
    notes.append(f"dev: {len(held)} of {len(rest) + len(held)} training examples, by class")
    train, developed = parts["train"].take(rest), parts["train"].take(held)
    if not dev:
        train, notes[-1] = parts["train"], f"{notes[-1]}, which are also trained on (task.dev=0)"
    for part, examples in (("train", train), ("dev", developed), ("test", parts["test"])):
        if not len(examples.targets) and (part != "test" or test):
            raise DataUnavailable(f"{source.root} has too few images: none are left for {part}", "add images")
    classes = tuple(map(str, arrays["classes"]))
    if name != "cifar10":
        everything = [*parts["train"].targets, *parts["test"].targets]
        notes += said_of_classes(np.bincount(everything, minlength=len(classes)), classes)
    return Data(name, "images", {"train": train, "dev": developed, "test": parts["test"]}, classes, tuple(notes))


# ---- finding ---------------------------------------------------------------------------------------------------------


def find(name: str, path: str | None) -> Source:
    """The files and their layout."""
    if name == "cifar10":
        root, found = sources.locate(name, path, download=cifar.download, advice=ADVICE)
        if root.is_dir() and (batches := cifar.batch_files(root)):
            return Source(root, *batches, (found,))
    else:
        root, found = sources.locate(name, path)
    wanted = (".parquet",) if name == "cifar10" or root.is_file() else (".parquet", *ENDINGS, *metadata.NAMES)
    hidden: list[str] = []
    listed = sources.list_files(root, wanted, hidden)
    found += f"; left out as hidden: {', '.join(hidden[:LISTED])}" if hidden else ""
    labelled = tuple(file for file in listed if file.name.lower() in metadata.NAMES)
    inside = [file for file in listed if file.suffix.lower() == ".parquet" and file not in labelled]
    pictures = [file for file in listed if file.suffix.lower() in ENDINGS]
    if inside and (not pictures or tables.hold_images(inside[0])):
        parts, notes = files_by_part(inside, root)
        notes += [f"{len(pictures)} image files beside the parquet files were not read"] if pictures else []
        return Source(root, "parquet", parts, (found, *notes))
    if pictures:
        notes = [found, *([f"{inside[0].name} was not read: it holds no images"] if inside else [])]
        return _class_folders(root, pictures, labelled, notes)
    looked = (
        f"parquet files, {cifar.PYTHON} or {cifar.BINARY}" if name == "cifar10" else "class folders or parquet files"
    )
    texts = sources.list_files(root, documents.ENDINGS)
    if name == "images" and (root.is_file() or {*map(documents.kind, texts)}.difference(documents.BESIDE)) and texts:
        raise DataUnavailable(f"{root} has no {looked}, and has text ({texts[0].name})", "task=text")
    raise DataUnavailable(f"{root} has no {looked}", "task.path=FOLDER_OR_PARQUET")


def _class_folders(root: Path, files: list[Path], labelled: tuple[Path, ...], notes: list[str]) -> Source:
    """Image files by part, in folders named by their classes or with labels in a metadata file."""
    divided = divide(files, root, by_file=False)
    first = next(iter(divided.parts.values()))  # train, or all
    empty = _empty(root, {names_of(file, root)[:-1] for file in first}, divided.below)
    return Source(root, "folders", divided.parts, (*notes, *divided.notes, *empty), divided.below, labelled)


def _empty(root: Path, folders: set[Names], below: Mapping[Names, Names]) -> list[str]:
    """A note on the folders beside those of classes in which there is no image."""
    inside: dict[Names, set[str]] = {}  # the folder that holds a class's folder -> its classes
    for place in folders:
        rest = below[place]
        if rest and place[-len(rest) :] == rest:
            inside.setdefault(place[: -len(rest)], set()).add(rest[0])
    empty = [
        name
        for place, classes in sorted(inside.items())
        for name in sorted(found.name for found in root.joinpath(*place).iterdir() if found.is_dir())
        if name[0] != "." and name not in classes and not named_parts([name])
    ]
    return [f"no classes, since there is no image inside: {', '.join(empty)}"] if empty else []


# ---- reading ---------------------------------------------------------------------------------------------------------


def _read(source: Source, name: str, label: str | None, size: int | None) -> sources.Arrays:
    """Every part decoded, its labels checked and numbered."""
    parts: dict[str, Part] = {}
    notes: list[str] = []
    classes: tuple[str, ...] | None = cifar.CLASSES if name == "cifar10" else None
    column = label
    shape: tuple[int, int] | None = None
    for part, files in source.parts.items():
        if source.layout == "parquet":
            parts[part], column, names, formats = tables.read(files, part, column, size, shape)
            classes = (names if len(parts) == 1 else None) or classes  # those of the training part
        elif source.layout == "folders":
            parts[part], formats, said = _folders(files, source, label, size, shape)
            notes += [note for note in said if note not in notes]
        else:
            pixels, labels = cifar.read_batches(source.layout, files)
            parts[part], formats = Part(resize(pixels, size), labels.tolist(), numbered_ids(part, len(pixels))), set()
        if (modes := sorted(mode for mode in formats if mode.startswith("mode "))) and name != "cifar10":
            notes.append(f"{part}: images of {', '.join(modes)} are converted, to RGB or to gray, without transparency")
        if "JPEG" in formats and not any("JPEG" in note for note in notes):
            slightly = "; expect accuracies slightly below those of the original pixels" if name == "cifar10" else ""
            notes.append(f"the images are JPEG-encoded{slightly}")
        height, width = parts[part].pixels.shape[2:]
        check_size(height, width, parts[part].ids[0])
        shape = (height, width)
    if size is not None:
        notes.append(f"images resized to {size}x{size}, bilinear")
    numbered, classes, said = number(parts, classes)
    notes += said
    if len({read.pixels.shape[1] for read in parts.values()}) > 1:
        notes.append("one part is gray and another in colour: gray images are repeated in three channels")
    arrays: sources.Arrays = {"classes": np.array(classes, np.str_), "notes": np.array(notes, np.str_)}
    for part, pixels in same_channels({part: read.pixels for part, read in parts.items()}).items():
        arrays[f"{part}_inputs"] = pixels
        arrays[f"{part}_targets"] = numbered[part]
        arrays[f"{part}_ids"] = np.array(parts[part].ids, np.str_)
    return arrays


def _folders(
    files: tuple[Path, ...], source: Source, label: str | None, size: int | None, shape: tuple[int, int] | None
) -> tuple[Part, set[str], list[str]]:
    """Files in class folders; or with labels in a metadata file, where folders say no classes or `label` is given."""
    places = [names_of(file, source.root) for file in files]
    names = ["/".join(place) for place in places]
    folders = [source.below[place[:-1]] for place in places]
    labels: list[Any] = [folder[0] if folder else None for folder in folders]
    if source.tables and (label is not None or None in labels or len(set(labels)) == 1):
        listed = metadata.labels(source.tables, source.root, label)
        labels = [listed.get(name) for name in names]
        notes = [f"labels are read from {source.tables[0].name}"]
    else:
        notes = [f"{source.tables[0].name} was not read: folders name the classes"] if source.tables else []
    if None in labels:
        raise DataUnavailable(
            f"image {names[labels.index(None)]} is in no class folder"
            + (f" and has no row in {source.tables[0].name}" if source.tables else ""),
            "put every image into a folder named by its class (train/ and test/ are no classes), or write metadata.csv "
            "beside the images, with columns file_name and label",
        )
    pixels, formats = decode(zip(names, files, strict=True), len(files), size, shape)
    return Part(pixels, labels, names), formats, notes
