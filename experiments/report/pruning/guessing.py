"""Points whose models are no better than guessing: their gains say nothing of what was kept."""

from __future__ import annotations

import pandas as pd

from ...laws.guessing import above
from ...store.folders import Store

FILE = "examples.parquet"  # of an evaluate folder: a row a test example


def points(store: Store, runs: pd.DataFrame) -> dict[str, float]:
    """point -> the accuracy of guessing, where the mean over seeds is not above it by two standard errors."""
    from pyarrow.parquet import read_metadata

    found: dict[str, float] = {}
    judged = runs[runs["chance"].notna()] if "chance" in runs else runs[:0]
    for _, same in judged.groupby(["setup", "label_noise"]):
        path = store.path("evaluate", str(same["evaluate"].iloc[0])) / FILE
        if path.is_file():
            guessed = float(same["chance"].iloc[0])
            means = same.groupby("point")["accuracy"].mean()
            guessing = means[means <= above(guessed, read_metadata(path).num_rows)]
            found |= dict.fromkeys(map(str, guessing.index), guessed)
    return found
