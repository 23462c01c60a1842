"""Peak memory of a lap of each contest: the highest resident size in it less that after imports and data."""

from __future__ import annotations

from collections.abc import Iterator

from .contest import Comparison, Contest, compare
from .side import RACES, Side

MEASURED = ("training", "scoring", "text", "contribution")


def comparisons(quick: bool) -> Iterator[Comparison]:
    """One a contest, as soon as both its children have ended."""
    for name in MEASURED:
        for contest in RACES[name].contests(quick):
            ours, baseline = (_peak(contest, side, quick) for side in ("ours", "baseline"))
            note = "most memory held in one lap (resident, on a GPU by tensors) above that after imports and data"
            yield compare(f"memory.{contest.name}", ours, baseline, "MiB", target=None, note=note, more_is_better=False)


def _peak(contest: Contest, side: str, quick: bool) -> float:
    with Side(contest.name, side, quick) as child:
        return child.lap().peak
