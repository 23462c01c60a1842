"""Encoded images to one uint8 array (N, C, H, W), each decoded once."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, DataUnavailable

if TYPE_CHECKING:
    from PIL.Image import Image as Encoded

Pixels = NDArray[np.uint8]
SMALLEST, LARGEST = 8, 64  # pixels a side
GRAY = ("1", "L", "LA", "La", "I;16", "I;16B", "I;16L")


def decode(
    images: Iterable[tuple[str, bytes | Path]], number: int, size: int | None, shape: tuple[int, int] | None = None
) -> tuple[Pixels, set[str]]:
    """`number` images (id, file or its bytes) as (N, C, H, W), and the formats and converted modes met.

    C is 1 where all are grayscale.

    All must have one height and width (`shape`, where another part has set it) unless `size` resizes them to a square.
    """
    from PIL import Image, UnidentifiedImageError

    pixels: Pixels = np.empty((0, 3, 0, 0), np.uint8)
    formats: set[str] = set()
    gray = True
    met: dict[tuple[int, ...], list[str]] = {}  # height and width -> the images that have them
    for row, (name, content) in enumerate(images):
        try:
            with Image.open(io.BytesIO(content) if isinstance(content, bytes) else content) as image:
                formats.add(image.format or "")
                if image.mode not in ("RGB", "L"):
                    formats.add(f"mode {image.mode}")
                frame, single = _frame(image, size)
        except Exception as error:  # a damaged image raises nearly anything
            why = "it is no image" if isinstance(error, UnidentifiedImageError) else error
            raise DataUnavailable(f"image {name} cannot be read ({why})", "repair it or take it out") from error
        if row == 0:
            check_size(frame.shape[0], frame.shape[1], name)
            pixels = np.empty((number, 3, *frame.shape[:2]), np.uint8)
        met.setdefault(frame.shape[:2], []).append(name)
        if len(met) == 1:
            pixels[row] = frame if single else frame.transpose(2, 0, 1)
        gray &= single
    usual = shape or max(met, key=lambda size: len(met[size]), default=(0, 0))
    odd = {size: names for size, names in met.items() if size != usual}
    if odd:
        (height, width), (first, *_) = next(iter(odd.items()))
        raise ConfigError(
            f"the images differ in size: {sum(map(len, odd.values()))} of {number} are not {usual[1]}x{usual[0]}, "
            f"{'the size of the training images' if shape else 'the commonest size'}; the first is {first}, "
            f"{width}x{height}",
            "task.size=32 (resizes all)",
        )
    return (np.ascontiguousarray(pixels[:, :1]) if gray else pixels), formats


def resize(pixels: Pixels, size: int | None) -> Pixels:
    """(N, C, H, W) to (N, C, size, size), bilinear with antialiasing."""
    if size is None or pixels.shape[2:] == (size, size):
        return pixels
    from PIL import Image

    resized = np.empty((*pixels.shape[:2], size, size), np.uint8)
    for row, channels in enumerate(pixels):
        for channel, plane in enumerate(channels):
            resized[row, channel] = Image.fromarray(plane).resize((size, size), Image.Resampling.BILINEAR)
    return resized


def same_channels(parts: dict[str, Pixels]) -> dict[str, Pixels]:
    """All parts with the largest number of channels among them: gray repeated three times beside colour."""
    channels = max(pixels.shape[1] for pixels in parts.values())
    return {part: np.repeat(p, channels, 1) if p.shape[1] < channels else p for part, p in parts.items()}


def check_size(height: int, width: int, name: str) -> None:
    """Refuse what the networks here are not made for."""
    if not (SMALLEST <= height <= LARGEST and SMALLEST <= width <= LARGEST):
        raise ConfigError(
            f"image {name} is {width}x{height} pixels; the models here take {SMALLEST} to {LARGEST} a side",
            "task.size=32 (resizes all)",
        )


def _frame(image: Encoded, size: int | None) -> tuple[Pixels, bool]:
    """One image as (H, W) if it is gray, else (H, W, 3)."""
    from PIL import Image

    single = image.mode in GRAY
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))  # PIL would clip 16 bits to 255
    elif image.mode in ("I", "F"):
        raise ValueError(f"pixels of 32 bits, mode {image.mode}")
    else:
        image = image.convert("L" if single else "RGB")
    if size is not None and image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(image), single
