"""Images of 8 to 64 pixels: CIFAR-10 in four layouts, class folders, or parquet with the images inside."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence, Sized
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field, model_validator

from ..choices import choice
from ..contracts import Count, Data, Examples, Indices, Kind, Place, Share, TaskChoice
from ..errors import ConfigError, DataUnavailable
from . import cifar, metadata, sources
from .parts import Names, divide, files_by_part, named_parts, names_of
from .pixels import Pixels, check_size, decode, resize, same_channels
from .splits import Classes, carve

VERSION = 2  # of what is made from the bytes: part of the fingerprint
ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif", ".tiff")
IMAGE_COLUMNS, LABEL_COLUMNS = ("img", "image"), ("label", "fine_label", "class")
Tables = list[tuple[Path, Any]]  # files and, as pyarrow opened them, the tables in them
ADVICE = "with a network, the same command again (torchvision downloads it)"


class ImageTask(TaskChoice):
    """Images of 8 to 64 pixels."""

    reads: ClassVar[Kind] = "images"

    path: Place | None = None
    examples: Count | None = None
    dev: Annotated[float, Field(gt=0, le=0.5)] = 0.1
    label_noise: Share = 0.0
    classes: Classes | None = None  # names of the classes used, renumbered in this order; null: all
    label: str | None = None  # the label's column in parquet; null: label or fine_label or class
    test: Annotated[float, Field(gt=0, le=0.5)] = 0.2  # share split off as test where the source has no test part
    size: Annotated[int, Field(ge=8, le=64)] | None = None  # pixels to resize to; null: as they are

    def fingerprint(self) -> str:
        return fingerprint(self.name, self.path)

    def load(self) -> Data:
        return load(self.name, self.path, dev=self.dev, test=self.test, label=self.label, size=self.size)


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


@dataclass(frozen=True, slots=True)
class Part:
    """One part as read: labels are numbers or names still."""

    pixels: Pixels
    labels: Sequence[Any]
    ids: Sequence[str]


def fingerprint(name: str, path: str | None) -> str:
    """16 hexadecimal digits: the bytes of the files and the version of their reading."""
    return _fingerprint(_find(name, path))


def _fingerprint(source: Source) -> str:
    files = [*(file for part in source.parts.values() for file in part), *source.tables]
    return sources.key_of("images", VERSION, sources.fingerprint_files(files, source.root))


def load(
    name: str, path: str | None, *, dev: float, test: float = 0.2, label: str | None = None, size: int | None = None
) -> Data:
    """`cifar10` or `images` as train, dev and test: inputs (N, C, H, W) uint8, targets (N,) classes.

    `dev` is a share of the training part; `test` one of the whole, where the source has no test part of its own.
    """
    source = _find(name, path)
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
    if "all" in parts:
        rest, held = carve(test, labels=parts["all"].targets, stream="test")
        parts = {"train": parts["all"].take(rest), "test": parts["all"].take(held)}
        notes.append(f"no test part in the source: {len(held)} of {len(rest) + len(held)} split off, by class")
    rest, held = carve(dev, labels=parts["train"].targets, stream="dev")
    notes.append(f"dev: {len(held)} of {len(rest) + len(held)} training examples, by class")
    train, developed = parts["train"].take(rest), parts["train"].take(held)
    for part, examples in (("train", train), ("dev", developed), ("test", parts["test"])):
        if not len(examples.targets):
            raise DataUnavailable(f"{source.root} has too few images: none are left for {part}", "add images")
    classes = tuple(map(str, arrays["classes"]))
    return Data(name, "images", {"train": train, "dev": developed, "test": parts["test"]}, classes, tuple(notes))


# ---- finding ---------------------------------------------------------------------------------------------------------


def _find(name: str, path: str | None) -> Source:
    """The files and their layout."""
    if name == "cifar10":
        root, found = sources.locate(name, path, download=cifar.download, advice=ADVICE)
        if root.is_dir() and (batches := cifar.batch_files(root)):
            return Source(root, *batches, (found,))
    else:
        root, found = sources.locate(name, path)
    if tables := sources.list_files(root, (".parquet",)):
        parts, notes = files_by_part(tables, root)
        return Source(root, "parquet", parts, (found, *notes))
    if name == "images" and root.is_dir() and (source := _class_folders(root, found)):
        return source
    looked = (
        f"parquet files, {cifar.PYTHON} or {cifar.BINARY}" if name == "cifar10" else "class folders or parquet files"
    )
    raise DataUnavailable(f"{root} has no {looked}", "task.path=FOLDER_OR_PARQUET")


def _class_folders(root: Path, found: str) -> Source | None:
    """Image files by part, in folders named by their classes or with labels in a metadata file."""
    listed = sources.list_files(root, (*ENDINGS, *metadata.NAMES))
    files = [file for file in listed if file.suffix.lower() in ENDINGS]
    divided = divide(files, root, by_file=False)
    if not files:
        return None
    first = next(iter(divided.parts.values()))  # train, or all
    notes = [found, *divided.notes, *_empty(root, {names_of(file, root)[:-1] for file in first}, divided.below)]
    tables = tuple(file for file in listed if file.name.lower() in metadata.NAMES)
    return Source(root, "folders", divided.parts, tuple(notes), divided.below, tables)


def _empty(root: Path, folders: set[Names], below: Mapping[Names, Names]) -> list[str]:
    """A note on the folders beside those of classes in which there is no image."""
    inside: dict[Names, set[str]] = {}  # the folder that a class's folder lies in -> its classes
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
    shape: tuple[int, int] | None = None
    for part, files in source.parts.items():
        if source.layout == "parquet":
            parts[part], names, formats = _parquet(files, part, label, size, shape)
            classes = names or classes
        elif source.layout == "folders":
            parts[part], formats = _folders(files, source, label, size, shape)
        else:
            pixels, labels = cifar.read_batches(source.layout, files)
            parts[part], formats = Part(resize(pixels, size), labels.tolist(), _ids(part, len(pixels))), set()
        if "JPEG" in formats and not notes:
            slightly = "; expect accuracies slightly below those of the original pixels" if name == "cifar10" else ""
            notes.append(f"the images are JPEG-encoded{slightly}")
        height, width = parts[part].pixels.shape[2:]
        check_size(height, width, parts[part].ids[0])
        shape = (height, width)
    if size is not None:
        notes.append(f"images resized to {size}x{size}, bilinear")
    numbered, classes = _number(parts, classes)
    arrays: sources.Arrays = {"classes": np.array(classes, np.str_), "notes": np.array(notes, np.str_)}
    for part, pixels in same_channels({part: read.pixels for part, read in parts.items()}).items():
        arrays[f"{part}_inputs"] = pixels
        arrays[f"{part}_targets"] = numbered[part]
        arrays[f"{part}_ids"] = np.array(parts[part].ids, np.str_)
    return arrays


def _parquet(
    files: tuple[Path, ...], part: str, label: str | None, size: int | None, shape: tuple[int, int] | None
) -> tuple[Part, tuple[str, ...] | None, set[str]]:
    """A part's rows, its class names where the schema has them (the data set hubs' `huggingface` metadata)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables: Tables = []
    for file in files:
        with _reading(file):
            tables.append((file, pq.ParquetFile(file)))
    number = sum(table.metadata.num_rows for _, table in tables)
    if number == 0:
        names = ", ".join(file.name for file in files)
        raise DataUnavailable(f"there are no images in {names}: 0 rows", "task.path=FOLDER_OR_PARQUET")
    rows = _ids(part, number)
    schema = tables[0][1].schema_arrow
    column = _image_column(schema, files[0])
    chosen, labels = _labels(tables, label)
    paths: list[str | None] = []

    def images() -> Iterator[tuple[str, bytes]]:
        first = 0
        for file, images in _batches(tables, column):
            if pa.types.is_struct(images.type):
                fields = [images.type.field(place).name for place in range(images.type.num_fields)]
                paths.extend(images.field("path").to_pylist() if "path" in fields else [None] * len(images))
                images = images.field("bytes")
            for row, content in enumerate(images.to_pylist(), start=first):
                if content is None:
                    raise DataUnavailable(f"image {rows[row]} is null in {file}", "take the row out")
                yield rows[row], content
            first += len(images)

    pixels, formats = decode(images(), number, size, shape)
    unique = None not in paths and len(set(paths)) == len(paths) == number
    ids = [str(path) for path in paths] if unique else rows
    return Part(pixels, labels, ids), _class_names(schema.metadata, chosen), formats


def _image_column(schema: Any, file: Path) -> str:
    import pyarrow as pa

    def encoded(column: Any) -> bool:
        if pa.types.is_struct(column):
            return any(column.field(place).name == "bytes" for place in range(column.num_fields))
        return bool(pa.types.is_binary(column) or pa.types.is_large_binary(column))

    columns = [field.name for field in schema if encoded(field.type)]
    for name in (*IMAGE_COLUMNS, *columns):
        if name in columns:
            return str(name)
    held = ", ".join(f"{field.name} ({'struct' if pa.types.is_struct(field.type) else field.type})" for field in schema)
    raise ConfigError(
        f"{file.name} has no column of encoded images (the bytes of PNG or JPEG files): it has {held}",
        "put the files' bytes into a column image, or task.path=FOLDER with a folder of image files for each class",
    )


def _labels(tables: Tables, wanted: str | None) -> tuple[str, list[Any]]:
    """The label's column and its values: integers or names, none missing."""
    import pyarrow as pa

    file, schema = tables[0][0].name, tables[0][1].schema_arrow
    tests = (pa.types.is_integer, pa.types.is_string, pa.types.is_large_string)
    fitting = [field.name for field in schema if any(test(field.type) for test in tests)]
    chosen = sources.choose(wanted, LABEL_COLUMNS, schema.names, file, "task.label", fitting)
    kind = schema.field(chosen).type
    floats = pa.types.is_floating(kind)  # what integers beside a missing value become
    labels: list[Any] = []
    if floats or chosen in fitting:
        labels = [label for _, column in _batches(tables, chosen) for label in column.to_pylist()]
    missing = [row for row, label in enumerate(labels) if label in (None, "") or label != label]  # NaN differs from NaN
    if missing:
        raise DataUnavailable(
            f"{len(missing)} of {len(labels)} rows have no label in column {chosen} of {file}; the first is row "
            f"{missing[0]}, counted from 0",
            "label them or take them out" + (", and write the labels as integers" if floats else ""),
        )
    if chosen not in fitting:
        mend = sources.offer("task.label", fitting)
        raise ConfigError(f"column {chosen} of {file} holds {kind}; labels are integers or names", mend)
    return chosen, labels


def _batches(tables: Tables, column: str) -> Iterator[tuple[Path, Any]]:
    """One column of some files, piece by piece."""
    for file, table in tables:
        with _reading(file):
            for batch in table.iter_batches(batch_size=1024, columns=[column]):
                yield file, batch.column(0)


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, KeyError) as error:
        raise DataUnavailable(f"{file} cannot be read: {error}", "copy the file again") from error


def _class_names(metadata: Mapping[bytes, bytes] | None, column: str) -> tuple[str, ...] | None:
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        return tuple(str(name) for name in features[column]["names"])
    except (KeyError, TypeError, ValueError):
        return None  # the metadata are a courtesy: names are then the numbers


def _folders(
    files: tuple[Path, ...], source: Source, label: str | None, size: int | None, shape: tuple[int, int] | None
) -> tuple[Part, set[str]]:
    """Files in class folders; or with labels in a metadata file, where folders say no classes or `label` is given."""
    places = [names_of(file, source.root) for file in files]
    names = ["/".join(place) for place in places]
    folders = [source.below[place[:-1]] for place in places]
    labels: list[Any] = [folder[0] if folder else None for folder in folders]
    if source.tables and (label is not None or None in labels or len(set(labels)) == 1):
        listed = metadata.labels(source.tables, source.root, label)
        labels = [listed.get(name) for name in names]
    if None in labels:
        raise DataUnavailable(
            f"image {names[labels.index(None)]} is in no class folder"
            + (f" and has no row in {source.tables[0].name}" if source.tables else ""),
            "put every image into a folder named by its class (train/ and test/ are no classes), or write metadata.csv "
            "beside the images, with columns file_name and label",
        )
    pixels, formats = decode(zip(names, files, strict=True), len(files), size, shape)
    return Part(pixels, labels, names), formats


def _ids(part: str, number: int) -> list[str]:
    """`train/00017`: the row's number within the source's part."""
    width = max(5, len(str(number - 1)))
    return [f"{part}/{row:0{width}}" for row in range(number)]


# ---- labels ----------------------------------------------------------------------------------------------------------


def _number(parts: Mapping[str, Part], classes: tuple[str, ...] | None) -> tuple[dict[str, Indices], tuple[str, ...]]:
    """Labels as 0..classes-1. Names of classes, where none are given, come from the training part."""
    first = next(iter(parts.values()))  # train, or all
    if classes is None:
        named = [label for label in first.labels if isinstance(label, str)]
        largest = max((label for label in first.labels if not isinstance(label, str)), default=-1)
        if largest >= len(first.labels):
            place = first.ids[list(first.labels).index(largest)]
            raise DataUnavailable(
                f"the label of {place} is {largest}, more than there are images", "number classes from 0"
            )
        classes = tuple(sorted(set(named))) if named else _numbers(range(largest + 1))
    places = {label: place for place, label in enumerate(classes)}
    numbered: dict[str, Indices] = {}
    for name, read in parts.items():
        values = [places.get(label, -1) if isinstance(label, str) else label for label in read.labels]
        row = next((row for row, value in enumerate(values) if not 0 <= value < len(classes)), None)
        if row is not None:
            allowed = f"0 to {len(classes) - 1}" if classes == _numbers(classes) else ", ".join(classes)
            raise DataUnavailable(
                f"the label of {read.ids[row]} is {read.labels[row]}; the classes are {allowed}", "correct its label"
            )
        numbered[name] = np.array(values, np.int64)
    if len(classes) < 2:
        raise DataUnavailable(f"there is one class only, {''.join(classes)}: nothing to learn", "add a second class")
    return numbered, classes


def _numbers(classes: Sized) -> tuple[str, ...]:
    """What classes without names are called."""
    return tuple(str(label) for label in range(len(classes)))
