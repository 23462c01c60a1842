"""CIFAR-10 as its authors distribute it (Krizhevsky 2009): the python batches, the binary batches, the download."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..contracts import Indices
from ..errors import DataUnavailable
from .pixels import Pixels

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
PYTHON, BINARY = "cifar-10-batches-py", "cifar-10-batches-bin"
ROW = 1 + 3 * 32 * 32  # bytes of a binary record: the label, then the red, green and blue planes


def batch_files(root: Path) -> tuple[str, dict[str, tuple[Path, ...]]] | None:
    """`python` or `binary` and the files of train and test, where `root` is such a folder or has one inside."""
    for layout, folder, ending in (("python", PYTHON, ""), ("binary", BINARY, ".bin")):
        for place in (root, root / folder):
            train = tuple(place / f"data_batch_{number}{ending}" for number in range(1, 6))
            test = place / f"test_batch{ending}"
            if not any(file.is_file() for file in (*train, test)):
                continue
            if missing := [file.name for file in (*train, test) if not file.is_file()]:
                raise DataUnavailable(f"{place} has no {', '.join(missing)}", "copy the data set again, all of it")
            return layout, {"train": train, "test": (test,)}
    return None


def read_batches(layout: str, files: tuple[Path, ...]) -> tuple[Pixels, Indices]:
    """(N, 3, 32, 32) pixels and (N,) labels of some batch files."""
    batches = [(_python if layout == "python" else _binary)(file) for file in files]
    return np.concatenate([pixels for pixels, _ in batches]), np.concatenate([labels for _, labels in batches])


def _binary(file: Path) -> tuple[Pixels, Indices]:
    content = np.fromfile(file, np.uint8)
    if len(content) == 0 or len(content) % ROW:
        raise DataUnavailable(f"{file} is damaged: {len(content)} bytes are no whole number of {ROW}-byte images")
    rows = content.reshape(-1, ROW)
    return rows[:, 1:].reshape(-1, 3, 32, 32), rows[:, 0].astype(np.int64)


def _python(file: Path) -> tuple[Pixels, Indices]:
    try:
        with file.open("rb") as stream:
            batch = _BatchReader(stream, encoding="bytes").load()
    except Exception as error:  # a damaged pickle raises nearly anything
        raise DataUnavailable(f"{file} is no CIFAR-10 batch, or a damaged one ({error})") from error
    fields: Mapping[Any, Any] = batch if isinstance(batch, dict) else {}
    pixels, labels = (fields.get(name.encode(), fields.get(name)) for name in ("data", "labels"))
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape[1:] != (ROW - 1,):
        raise DataUnavailable(f"{file} holds no uint8 pixels of shape (N, {ROW - 1})")
    if not isinstance(labels, list) or len(labels) != len(pixels) or not all(type(label) is int for label in labels):
        raise DataUnavailable(f"{file} does not hold one label an image")
    return pixels.reshape(-1, 3, 32, 32), np.array(labels, np.int64)


def _encode(text: str, encoding: str) -> bytes:
    """What protocol 2 calls to make bytes. The real codecs.encode would run any registered codec."""
    if encoding not in ("latin1", b"latin1"):
        raise pickle.UnpicklingError(f"encoding {encoding!r} has no place in a CIFAR-10 batch")
    return text.encode("latin1")


class _BatchReader(pickle.Unpickler):
    """Rebuilds NumPy arrays, their types and bytes, beside the containers that need no name; refuses all else."""

    def find_class(self, module: str, name: str) -> Any:
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name in ("_reconstruct", "scalar"):
            return super().find_class("numpy._core.multiarray", name)
        admitted = {("numpy", "ndarray"): np.ndarray, ("numpy", "dtype"): np.dtype, ("_codecs", "encode"): _encode}
        if (module, name) not in admitted:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no CIFAR-10 batch needs")
        return admitted[module, name]


def download(folder: Path) -> None:
    """Fetch the python batches into `folder` by torchvision, which knows the address and the checksum."""
    try:
        from torchvision.datasets import CIFAR10
        from torchvision.datasets.utils import download_and_extract_archive

        download_and_extract_archive(CIFAR10.url, str(folder), filename=CIFAR10.filename, md5=CIFAR10.tgz_md5)
    except (ImportError, RuntimeError, OSError) as error:
        raise DataUnavailable(f"downloading it by torchvision failed ({type(error).__name__}: {error})") from error
    (folder / CIFAR10.filename).unlink(missing_ok=True)
    if not (folder / PYTHON).is_dir():
        shutil.rmtree(folder, ignore_errors=True)
        raise DataUnavailable("what torchvision downloaded has no " + PYTHON)
