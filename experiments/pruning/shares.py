"""What a selection does to the shares of groups, as a sentence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..contracts import Indices

LISTED = 8  # groups that are said


def shares(names: Sequence[str], pool: Indices, kept: Indices) -> str:
    """Each group's share of the pool (N,) and of what is kept (n,), places in `names`: the LISTED that changed most."""
    before, after = (np.bincount(some, minlength=len(names)) / len(some) for some in (pool, kept))
    most = np.argsort(-np.abs(after - before), kind="stable")[:LISTED].tolist()
    listed = ", ".join(f"{names[place]} {before[place]:.1%} -> {after[place]:.1%}" for place in most)
    return f"share of the pool -> of what is kept: {listed}" + (", …" if len(names) > LISTED else "")
