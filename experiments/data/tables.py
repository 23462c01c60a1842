"""Images inside parquet files, with a column of labels."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import ConfigError, DataUnavailable
from . import sources
from .labels import CAN, COLUMNS, Part, meant, numbered_ids
from .pixels import decode

IMAGE_COLUMNS = ("img", "image")
Tables = list[tuple[Path, Any]]  # files and, as pyarrow opened them, the tables in them
MEND = (
    "put the files' bytes into a column image; or task.path=FOLDER with a folder of image files for each class, or "
    "with the image files and a metadata.csv of their names (file_name) and labels (label)"
)


def read(
    files: tuple[Path, ...], part: str, label: str | None, size: int | None, shape: tuple[int, int] | None
) -> tuple[Part, str, tuple[str, ...] | None, set[str]]:
    """A part's rows, the label's column, its classes' names where a schema has them, and the images' formats."""
    tables = _opened(files)
    number = sum(table.metadata.num_rows for _, table in tables)
    if number == 0:
        names = ", ".join(file.name for file in files)
        raise DataUnavailable(f"there are no images in {names}: 0 rows", "task.path=FOLDER_OR_PARQUET")
    rows = numbered_ids(part, number)
    column = _image_column(tables[0][1].schema_arrow, files[0])
    chosen, labels, classes = _labels(tables, label)
    _alike(tables, column, chosen)
    paths: list[str | None] = []
    pixels, formats = decode(_images(tables, column, rows, paths), number, size, shape)
    return Part(pixels, labels, _named(paths, rows)), chosen, classes, formats


def ids(files: tuple[Path, ...], part: str) -> list[str]:
    """What `read` calls each row, found without reading an image."""
    tables = _opened(files)
    rows = numbered_ids(part, sum(table.metadata.num_rows for _, table in tables))
    column = _image_column(tables[0][1].schema_arrow, files[0])
    if not _has_paths(tables[0][1].schema_arrow.field(column).type):
        return rows
    found = _batches(tables, f"{column}.path")
    return _named([path for file, images in found for path in _values(file, images.field("path"))], rows)


def _opened(files: tuple[Path, ...]) -> Tables:
    tables: Tables = []
    for file in files:
        with _reading(file):
            import pyarrow.parquet as pq

            tables.append((file, pq.ParquetFile(file)))
    return tables


def _named(paths: list[str | None], rows: list[str]) -> list[str]:
    """The images' own paths where each has one of its own, else their rows' numbers."""
    unique = None not in paths and len(set(paths)) == len(paths) == len(rows)
    return [str(path) for path in paths] if unique else rows


def _has_paths(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_struct(kind) and kind.get_field_index("path") >= 0)


def _images(tables: Tables, column: str, rows: list[str], paths: list[str | None]) -> Iterator[tuple[str, bytes]]:
    """(id, encoded bytes) of every row; `paths` is filled where the column has them."""
    import pyarrow as pa

    first = 0
    for file, images in _batches(tables, column):
        given: list[str | None] = [None] * len(images)
        if pa.types.is_struct(images.type):
            given = _values(file, images.field("path")) if _has_paths(images.type) else given
            paths.extend(given)
            images = images.field("bytes")
        for row, (content, path) in enumerate(zip(images.to_pylist(), given, strict=True), start=first):
            if content is None and path is not None:
                raise DataUnavailable(f"image {rows[row]} of {file} is given by its path alone, {path}", MEND)
            if content is None:
                raise DataUnavailable(f"image {rows[row]} is null in {file}", "take the row out")
            yield rows[row], content
        first += len(images)


def hold_images(file: Path) -> bool:
    """Whether a parquet file has a column of encoded images."""
    import pyarrow.parquet as pq

    with _reading(file):
        schema = pq.read_schema(file)
    return any(_encoded(field.type) for field in schema)


def _encoded(kind: Any) -> bool:
    """Whether a type is of bytes, or of the struct with `bytes` that data set hubs write."""
    import pyarrow as pa

    if pa.types.is_struct(kind):
        fields = [kind.field(place) for place in range(kind.num_fields)]
        return any(
            field.name == "bytes" and not pa.types.is_struct(field.type) and _encoded(field.type) for field in fields
        )
    return any(test(kind) for test in (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view))


def _image_column(schema: Any, file: Path) -> str:
    import pyarrow as pa

    columns = [field.name for field in schema if _encoded(field.type)]
    for name in (*IMAGE_COLUMNS, *columns):
        if name in columns:
            return str(name)
    held = ", ".join(f"{field.name} ({'struct' if pa.types.is_struct(field.type) else field.type})" for field in schema)
    raise ConfigError(
        f"{file.name} has no column of encoded images (the bytes of PNG or JPEG files): it has {held}", MEND
    )


def _alike(tables: Tables, *columns: str) -> None:
    """Refuse files of which one lacks a column that the first has, or has it twice."""
    for file, table in tables:
        names = table.schema_arrow.names
        for column in columns:
            if (times := names.count(column)) != 1:
                raise DataUnavailable(
                    f"{file} has {'no column' if times == 0 else f'{times} columns called'} {column}"
                    + (f", which {tables[0][0].name} has; it has {', '.join(names)}" if times == 0 else ""),
                    "give every file the same columns, each once",
                )


def _labels(tables: Tables, wanted: str | None) -> tuple[str, list[int | str], tuple[str, ...] | None]:
    """The label's column, its values, none missing, and the classes' names as the first file that has them says.

    A file's own names say what its numbers mean: another may have them in another order.
    """
    import pyarrow as pa

    first, schema = tables[0][0].name, tables[0][1].schema_arrow
    tests = (pa.types.is_boolean, pa.types.is_integer, pa.types.is_string, pa.types.is_large_string,
             pa.types.is_string_view)  # fmt: skip
    fitting = [one.name for one in schema if any(test(_plain(one.type)) for test in tests) or _whole(tables[:1], one)]
    chosen = sources.choose(wanted, COLUMNS, schema.names, first, "task.label", fitting, CAN)
    _alike(tables, chosen)
    own = {file: _class_names(table.schema_arrow.metadata, chosen) for file, table in tables}
    classes = next(filter(None, own.values()), None)
    labels: list[Any] = []
    for file, column in _batches(tables, chosen):
        names = own[file] or classes or ()
        for value in _values(file, column):
            label = meant(value)
            if label is None and value is not None and value == value and value != "":  # NaN differs from NaN
                raise ConfigError(
                    f"column {chosen} of {file.name} holds {column.type}, such as {value!s:.40}; labels are whole "
                    "numbers or names",
                    sources.offer("task.label", [name for name in fitting if name != chosen], CAN),
                )
            labels.append(names[label] if isinstance(label, int) and 0 <= label < len(names) else label)
    if missing := labels.count(None):
        raise DataUnavailable(
            f"{missing} of {len(labels)} rows have no label in column {chosen} of {first}; the first is row "
            f"{labels.index(None)}, counted from 0",
            "label them or take them out",
        )
    return chosen, labels, classes


def _whole(tables: Tables, column: Any) -> bool:
    """Whether a column is of floats or decimals that are whole numbers, as far as its first rows say."""
    import pyarrow as pa

    if not (pa.types.is_floating(column.type) or pa.types.is_decimal(column.type)):
        return False
    file, first = next(_batches(tables, column.name), (None, None))
    return file is not None and all(value is None or meant(value) is not None for value in _values(file, first))


def _plain(kind: Any) -> Any:
    """The type of the values that a dictionary encodes, or the type itself."""
    import pyarrow as pa

    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _batches(tables: Tables, column: str) -> Iterator[tuple[Path, Any]]:
    """One column of some files, piece by piece."""
    for file, table in tables:
        with _reading(file):
            for batch in table.iter_batches(batch_size=1024, columns=[column]):
                yield file, batch.column(0)


def _values(file: Path, column: Any) -> list[Any]:
    with _reading(file):  # text that is not UTF-8 shows here
        found: list[Any] = column.to_pylist()
    return found


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, KeyError, UnicodeDecodeError) as error:
        raise DataUnavailable(f"{file} cannot be read: {error}", "copy the file again") from error


def _class_names(metadata: Mapping[bytes, bytes] | None, column: str) -> tuple[str, ...] | None:
    """Of the metadata that data set hubs write (`huggingface`)."""
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        return tuple(str(name) for name in features[column]["names"])
    except (KeyError, TypeError, ValueError):
        return None  # the metadata are a courtesy: names are then the numbers
