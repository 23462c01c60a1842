"""Loss area and acceleration of every policy, and whether a larger step alone does what a search does."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pandas as pd

from ..parts import Section, cells, note
from .changes import change, column, interval
from .found import Found

WORDS = (
    "Held-out part of the dev split, nats; means and 95 % t intervals over seeds. The area is the mean loss over all "
    "steps: less is better. A policy that some seed never brings to the constant one's last loss has its acceleration "
    "from the others."
)
LARGER = {1: "A larger step beats the search", -1: "The search beats every larger step tried"}


def section(found: Found) -> Section:
    return Section("Acceleration and area by policy", [note(WORDS), cells(list(rows(found.runs)))])


def rows(runs: pd.DataFrame) -> Iterator[dict[str, str]]:
    """A row for each setting and policy."""
    names = [name.removeprefix("area_") for name in runs.columns if name.startswith("area_")]
    for (setup, kept), group in runs.groupby(["setup", "kept"], sort=False):
        for name in names:
            area, speed = group[f"area_{name}"], column(group, f"acceleration_{name}")
            base = group["area_constant"]
            yield {
                "setting": str(setup),
                "kept": str(kept),
                "policy": re.sub(r"(\d)x$", r"\1× step", name.replace("_", " ")),
                "area": interval(area) if area.notna().any() else "diverged",
                "area saved, %": interval(100 * (1 - area / base)),
                "acceleration": interval(speed) if speed.notna().any() else "never",
                "seeds that get there": f"{speed.notna().sum()} of {len(group)}",
                "last loss": interval(column(group, f"end_{name}")),
            }


def steps(runs: pd.DataFrame) -> str:
    """Whether the constant policy at the best of the larger steps beats the found one, by area."""
    names = [name for name in runs.columns if re.fullmatch(r"area_constant_.+x", name)]
    signs, last = [], ""
    for _, group in runs.groupby(["setup", "kept"], sort=False):
        whole = {name: float(group[name].mean()) for name in names if group[name].notna().all()}
        if not whole:
            continue
        best = min(whole, key=lambda name: whole[name])
        signs.append(change(group["area_found"], group[best]).sign)
        edge = ", the largest tried," if best == max(whole, key=_multiple) else ""
        last = (
            f"the constant policy at {_multiple(best):g} times the step{edge} has an area of {interval(group[best])} "
            f"nats, the found one {interval(group['area_found'])}"
        )
    if not signs:
        return "The found policy was compared with no larger step."
    if len(signs) > 1:
        return (
            f"The best of the larger steps, without any search, beats the found policy in {signs.count(1)} of "
            f"{len(signs)} settings, and loses in {signs.count(-1)}."
        )
    return f"{LARGER.get(signs[0], 'Whether a larger step beats the search is undecided')}: {last}."


def _multiple(name: str) -> float:
    return float(name.removeprefix("area_constant_").removesuffix("x"))
