"""One score against another: the same rule, fraction, pool and budget, paired by seed. Torch-free."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from .claims import COMPARED, gain

if TYPE_CHECKING:
    import pandas as pd

REFERENCE = "el2n"  # what others are compared with where it was run


def between_scores(runs: pd.DataFrame) -> pd.DataFrame:
    """Every two ways to score under one rule: `effect` is positive where `selection` is better than `other`.

    A row for each setting and pair, with `effect low high n paired verdict` as in `claims.advantage`; `other` is EL2N
    where one of the two is.
    """
    import pandas as pd

    rows, names = [], [*COMPARED, "rule"]
    scored = runs[~runs["rule"].isin(["none", "random"]) & (runs["selection"] != "none")]
    for key, group in scored.groupby(names, dropna=False, sort=True):
        sides = [own for _, own in group.groupby("selection", sort=True)]
        sides.sort(key=lambda own: own["scorer"].iloc[0] == REFERENCE)  # the last of a pair is what it is compared with
        for one, other in combinations(sides, 2):
            row = dict(zip(names, key, strict=True)) | gain(one, other)
            about = {"selection": one, "other": other}
            row |= {name: side["selection"].iloc[0] for name, side in about.items()}
            if row["n"]:
                rows.append(row)
    return pd.DataFrame(rows)
