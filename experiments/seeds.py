"""Named random streams from one seed.

A stream is a fresh generator for `(seed, name, counters)`, so nothing depends on how many numbers another stream drew,
and a resumed run rebuilds the stream of any epoch from its number alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Generator


def derive(seed: int, name: str, *counters: int) -> int:
    """A 63-bit seed for one stream."""
    text = "/".join([str(seed), name, *map(str, counters)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def numpy_stream(seed: int, name: str, *counters: int) -> np.random.Generator:
    """A NumPy generator of its own for `(seed, name, counters)`."""
    return np.random.default_rng(derive(seed, name, *counters))


def turns(seed: int, name: str, ids: Iterable[str]) -> NDArray[np.int64]:
    """(N,) each one's turn in a random order, by the hash of `(seed, name, id)`: whatever the order of the ids.

    An example that is added or removed does not change which of two others comes first.
    """
    start = hashlib.sha256(f"{seed}/{name}/".encode())
    drawn = []
    for one in ids:
        own = start.copy()
        own.update(str(one).encode(errors="surrogateescape"))
        drawn.append(own.digest()[:8])
    return np.argsort(np.argsort(np.frombuffer(b"".join(drawn), ">u8")))


def torch_stream(seed: int, name: str, *counters: int) -> Generator:
    """A CPU torch generator of its own for `(seed, name, counters)`: the same numbers whatever the device."""
    import torch

    return torch.Generator().manual_seed(derive(seed, name, *counters))


def deterministic() -> None:
    """Ask torch for deterministic algorithms everywhere (a few CUDA ones have none: those warn)."""
    import os

    import torch

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_deterministic_debug_mode("warn")  # the other call imports torch's compiler: seconds
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # 3 % of a CPU step
