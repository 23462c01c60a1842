"""Two groups of runs compared setting by setting, with the intervals that the pages and the claims have. Torch-free."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, MissingInput
from .claims import COMPARED, compared, rows_with, sign
from .runs import newest

if TYPE_CHECKING:
    import pandas as pd

CHOSEN = ("rule", "scorer", "selection")  # how examples were chosen: one of them differs in most comparisons
MEASURED = ("metric", "effect", "low", "high", "n", "paired", "verdict")
SECTIONS = (
    "task",
    "model",
    "recipe",
    "policy",
    "search",
    "finetune",
    "shifted",
)  # what the column `setup` is a hash of
CALLED = {  # columns that say the same
    "task": "task.name", "model": "model.name", "policy": "policy.name", "width": "model.width",
    "pool": "task.examples", "label_noise": "task.label_noise", "keep": "prune.keep", "balance": "prune.balance",
}  # fmt: skip


def compare(runs: pd.DataFrame, a: Mapping[str, Any], b: Mapping[str, Any], metric: str = "accuracy") -> pd.DataFrame:
    """The metric of runs that match `a` minus that of runs that match `b`, where all other settings are equal.

    `a` and `b` give settings by column, as {"rule": "hard", "keep": 0.5}. A row for each setting: what both sides share
    (COMPARED, but for the columns that `a` or `b` name), `<column>_a` and `<column>_b` (rule, scorer, selection, and
    the columns named), and `metric effect low high n paired verdict`: the difference of the means, its 95 % t interval,
    paired by seed where the sides share seeds (else Welch's); verdict: higher or lower where the interval excludes 0,
    with at least 3 seeds, else undecided. Of two runs of one setting and seed the newer one counts.
    """
    import pandas as pd

    if unknown := [name for name in (*a, *b, metric) if name not in runs]:
        raise ConfigError(f"there is no column {', '.join(unknown)} in the table of runs", "one of runs.columns")
    runs = newest(runs)
    runs, same = _shared(runs, {*a, *b})
    left, right = (_side(runs, side, metric) for side in (a, b))
    own = [*CHOSEN, *(name for name in COMPARED if name in {*a, *b} and name not in CHOSEN)]
    others = list(dict.fromkeys([*own, "budget"]))  # an unpruned run is compared under either budget
    rows: list[dict[str, Any]] = []
    for key, group in left.groupby([*same, *own], dropna=False, sort=True):
        setting = dict(zip([*same, *own], key, strict=True))
        match = {name: setting[name] for name in same if (name, setting[name]) != ("budget", "both")}
        like = right[rows_with(right, match)]
        if like.empty and "balance" in match:  # without classes held, as random selection is
            like = right[rows_with(right, match | {"balance": 0.0})]
        for other, against in like.drop(index=group.index, errors="ignore").groupby(others, dropna=False, sort=True):
            theirs = dict(zip(others, other, strict=True))
            row = {name: setting[name] for name in same if not name.startswith("_")}
            if row.get("budget") == "both":
                row["budget"] = theirs["budget"]
            row |= {f"{name}_a": setting[name] for name in own} | {f"{name}_b": theirs[name] for name in own}
            found = compared(group, against, metric)
            measured = (metric, found.over.value, found.over.low, found.over.high, found.n, found.paired)
            verdict = {1: "higher", -1: "lower", 0: "undecided"}[sign(found)]
            rows.append(row | dict(zip(MEASURED, (*measured, verdict), strict=True)))
    if not rows:
        apart = ", ".join(_apart(left, right, same, {*a, *b}))
        raise MissingInput(
            f"no run of b has the other settings of a run of a{apart and f': they differ in {apart}'}",
            "name what else differs, in a and in b",
        )
    return pd.DataFrame(rows)


def _side(runs: pd.DataFrame, where: Mapping[str, Any], metric: str) -> pd.DataFrame:
    found = runs[rows_with(runs, where) & runs[metric].notna()]
    if found.empty:
        asked = ", ".join(f"{name}={value}" for name, value in where.items()) or "any setting"
        raise MissingInput(f"no run with {asked} has {metric}", "prune-lab runs")
    return found


def _apart(left: pd.DataFrame, right: pd.DataFrame, same: Sequence[str], named: Collection[str]) -> Iterator[str]:
    """Columns in which no run of one side has a value of the other."""
    dotted = (column for column in map(str, left.columns) if column.partition(".")[0] in SECTIONS and "." in column)
    for name in dict.fromkeys([*same, *dotted]):
        values = {*left[name].map(str)}, {*right[name].map(str)}
        known = name in named or name in ("setup", "_rest") or (name == "budget" and "both" in values[0] | values[1])
        if not known and not values[0] & values[1]:
            yield name


def _shared(runs: pd.DataFrame, named: Collection[str]) -> tuple[pd.DataFrame, list[str]]:
    """The columns in which both sides must be equal; `_rest` is in place of `setup` where a part of that is named."""
    named = {*named, *(other for pair in CALLED.items() if {*pair} & {*named} for other in pair)}
    whole = {name.removesuffix(".name") for name in named if name.endswith(".name")}  # another model: other settings
    whole |= {"search"} if "policy" in whole else set()
    named |= {"fingerprint"} if "task" in whole else {"width"} if "model" in whole else set()
    same = [name for name in COMPARED if name not in named]

    def of_setup(column: str) -> bool:
        section, dot, _ = column.partition(".")
        return bool(dot) and section in SECTIONS and section not in whole and column not in named

    if not any("." in name and name.partition(".")[0] in SECTIONS for name in named):
        return runs, same
    rest = [column for column in map(str, runs.columns) if of_setup(column)]
    words = runs[rest].map(str).agg("|".join, axis=1) if rest else ""
    return runs.assign(_rest=words), [*(name for name in same if name != "setup"), "_rest"]
