"""Which rows of a table of runs are judged: the same for a page and for `prune-lab claims`, which reads its table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def newest(runs: pd.DataFrame) -> pd.DataFrame:
    """One run for each point and seed, the latest: a second one (of older code) is no second seed.

    Rows without a `point`, as of a study, are all different runs.
    """
    if "point" not in runs:
        return runs
    return runs.sort_values("created", kind="stable").drop_duplicates(["point", "seed"], keep="last").sort_index()


def runs_of(table: Path) -> pd.DataFrame:
    """The runs in a page's table.csv that its claims are judged on."""
    import pandas as pd

    words = {"point": str}  # some hashes look like numbers
    return newest(pd.read_csv(table, keep_default_na=False, na_values=[""], dtype=words))  # a rule is called none
