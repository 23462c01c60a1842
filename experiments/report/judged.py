"""Which claims on finished runs are undecided, and which runs each of them compares."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from ..laws.claims import check, rows_with
from ..laws.expectations import Expectation
from ..laws.runs import newest
from ..store.folders import Store
from . import study
from .equality import searches
from .pruning import runs


def undecided(store: Store, phase: str, keys: Sequence[str], claims: Sequence[Expectation]) -> dict[str, list[str]]:
    """Each undecided claim, and the keys of the runs that it is on: all where its rows do not name theirs."""
    rows = _rows(store, phase, keys)
    found = {}
    for claim in claims:
        if check(claim, rows).verdict == "undecided":
            points = [one for one in (claim.point, claim.versus) if one is not None]
            matching = pd.concat([rows[rows_with(rows, one.where)] for one in points])
            found[claim.claim] = sorted(set(matching[phase])) if phase in matching else list(keys)
    return found


def _rows(store: Store, phase: str, keys: Sequence[str]) -> pd.DataFrame:
    """The rows that the page's claims are judged on."""
    if phase == "evaluate":
        return newest(runs.table(store, keys))
    folders = [store.get(phase, key) for key in keys]
    if phase == "search":
        return searches.table(store, folders)
    return study.study_of(folders).runs(study.tables_of(folders))
