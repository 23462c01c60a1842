"""What an example looks like in at most 64 numbers: cheap, the same every time, and without a trained model.

Of images the average colours of an 8 x 8 grid, of vectors the values themselves, both centred and projected on
their principal axes; of text the tf-idf of hashed tokens on the axes of its truncated SVD (latent semantic analysis,
Deerwester et al. 1990). They see what examples look like, not what they mean.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..contracts import Kind

GRID, BUCKETS, DIMENSIONS = 8, 1024, 64  # blocks a side of an image, hashed tokens, principal axes
BLOCK = 512  # rows at once

Features = NDArray[np.float32]


def features(content: NDArray[Any], kind: Kind) -> Features:
    """(N, at most DIMENSIONS) of images (N, C, H, W), vectors (N, D) or tokens (N, T), negative where there is none."""
    if kind == "text":
        bags = _bags(content)
        return np.asarray(bags @ _axes((bags.T @ bags).toarray()), np.float32)
    flat = _colours(content) if kind == "images" else np.asarray(content, np.float32)
    flat = flat - flat.mean(0)
    looks: Features = flat @ _axes(flat.T @ flat)
    return looks


def _axes(moments: NDArray[Any]) -> Features:
    """(D, at most DIMENSIONS) the principal eigenvectors of (D, D) second moments; where D is small, all axes as is."""
    from scipy.linalg import eigh

    size = len(moments)
    if size <= DIMENSIONS:
        return np.eye(size, dtype=np.float32)
    _, vectors = eigh(moments.astype(np.float64), subset_by_index=(size - DIMENSIONS, size - 1))
    return np.asarray(vectors[:, ::-1], np.float32)


def _colours(images: NDArray[Any]) -> Features:
    """(N, C * GRID * GRID) the mean of every block of an image."""
    height, width = images.shape[2:]
    down, right = _averaging(height).T, _averaging(width)
    parts = np.array_split(images, math.ceil(len(images) / BLOCK))
    means = [down @ (part.astype(np.float32) @ right) for part in parts]  # (B, C, GRID, GRID)
    return np.concatenate(means).reshape(len(images), -1)


def _averaging(side: int) -> Features:
    """(side, GRID) a matrix that takes the mean over each of GRID stretches of near-equal length."""
    stretch = np.arange(side) * GRID // side
    member = (stretch[:, None] == np.arange(GRID)).astype(np.float32)
    return np.asarray(member / member.sum(0), np.float32)


def _bags(tokens: NDArray[Any]) -> Any:
    """(N, BUCKETS) sparse: (1 + log count) * idf of each hashed token, rows of unit length."""
    from scipy.sparse import csr_matrix, diags

    row, place = np.nonzero(tokens >= 0)
    hashed = tokens[row, place] % BUCKETS
    bags = csr_matrix((np.ones(len(row)), (row, hashed)), shape=(len(tokens), BUCKETS))
    bags.data = 1 + np.log(bags.data)
    present = np.bincount(bags.indices, minlength=BUCKETS)
    bags = bags @ diags(np.log((1 + len(tokens)) / (1 + present)) + 1)
    length = np.sqrt(np.asarray(bags.multiply(bags).sum(1)).ravel())
    return diags(1 / np.where(length > 0, length, 1)) @ bags
