"""P*: how many strings it takes to have 90 % of the top level right, and how that grows with depth and synonyms."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import isotonic_regression

from ...contracts import Floats
from ...laws.intervals import NOTHING, Interval, interval_of, worded

UNLABELLED = 8192  # strings without labels that the root's accuracy is shown of, or the next
RIGHT = 0.9  # accuracy of the top level below the root
SIZES = ["depth", "vocabulary", "synonyms", "branching"]
LEARNED = ["learner", "keep", "rule", "scored", "classes"]
OWN = ("sizes", "targets", "tested", "labels")  # settings that change no row
Tables = Mapping[str, pd.DataFrame]
NAMES = {"latents": "own latents", "tokens": "tokens", "labels": "labels", "shuffled": "shuffled",
         "untrained": "untrained"}  # fmt: skip


def runs(tables: Tables) -> pd.DataFrame:
    """A row for each thing that was measured of a target in a seed, in the columns `measure` and `value`.

    threshold: ln P*; `strings` is P*, `by_latents` and `by_tokens` are P* over what theory says, of a grammar of this
    size: v m^3 / (1 - f) and v m^(L + 1) / (1 - f). slope: d ln P* / d L by least squares, from the least depth to
    `depth`. exponent: d ln P* / d ln m. spread, spread_in_depth: the largest over the smallest `by_latents` or
    `by_tokens` of all grammars, or of all depths of one, as jackknife pseudo-values, whose mean is the bias-corrected
    estimate from all seeds. against_random: ln P* of a rule less that of a random choice. level, index: accuracy and
    adjusted Rand index of a level at each number of strings, for some grammars; the index of shuffled contexts alone.
    root: accuracy of the root's class, from few labels.
    """
    found = thresholds(tables["levels"])
    parts = [found, *_slopes(found), *_exponents(found), *_spreads(found), _pruned(found), *_accuracies(tables)]
    rows = pd.concat([one for one in parts if len(one)], ignore_index=True)
    rows = rows[(rows["measure"] != "index") | (rows["target"] == "shuffled")]
    rows = rows[(rows["measure"] != "root") | ((rows["target"] != "shuffled") & (rows["keep"] == 1))].round(6)
    names = ["measure", "target", *LEARNED, *SIZES, "points", "unit", "strings", "labelled", "level", "seed", "value"]
    rows = rows.reindex(columns=[*names, *(str(name) for name in rows if name not in names)])
    return rows[[name for name in rows if "." not in str(name) or rows[name].nunique(dropna=False) > 1]]


def thresholds(levels: pd.DataFrame) -> pd.DataFrame:
    """A row for each seed, target and setting: P* (NaN where the sizes do not bracket it), and its rescalings."""
    top = levels[(levels["level"] == levels["depth"] - 1) & ~levels["target"].isin(["shuffled", "untrained"])]
    rows = []
    for key, group in top.groupby([*settings_of(top), "target", "seed"], dropna=False, sort=False):
        row: dict[str, Any] = dict(zip([*settings_of(top), "target", "seed"], key, strict=True))
        curve = group.groupby("strings")["accuracy"].mean()
        needed = threshold(curve.index.to_numpy(dtype=float), curve.to_numpy())
        filling = row["synonyms"] / row["vocabulary"] ** (row["branching"] - 1)
        unit = row["vocabulary"] / (1 - filling)
        rows.append(
            row
            | {"measure": "threshold", "value": math.log(needed), "strings": needed}
            | {"by_latents": needed / (unit * row["synonyms"] ** 3)}
            | {"by_tokens": needed / (unit * row["synonyms"] ** (row["depth"] + 1))}
        )
    return pd.DataFrame(rows)


def threshold(strings: Floats, accuracy: Floats, right: float = RIGHT) -> float:
    """The number of strings at which the accuracy is `right`, by interpolation in its logarithm.

    The accuracies are first made non-decreasing (isotonic regression). NaN where the crossing is not inside the sizes.
    """
    order = np.argsort(strings)
    curve = isotonic_regression(accuracy[order]).x
    place = int(np.searchsorted(curve, right))
    if place in (0, len(curve)):
        return math.nan
    ends, share = np.log(strings[order][place - 1 : place + 1]), (right - curve[place - 1]) / np.diff(curve)[place - 1]
    return float(np.exp(ends[0] + share * (ends[1] - ends[0])))


def settings_of(table: pd.DataFrame) -> list[str]:
    """The columns that are settings of the study, less those that only say what is measured."""
    from . import Latents

    return [str(name) for name in table if str(name).split(".")[0] in set(Latents.model_fields) - set(OWN)]


def _slopes(found: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """ln P* against the depth, for every deepest level from the third on."""
    yield from _fitted(found, "depth", "slope", lambda depth: depth)


def _exponents(found: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """ln P* against ln m, over all synonyms at hand."""
    yield from _fitted(found, "synonyms", "exponent", np.log)


def _fitted(found: pd.DataFrame, name: str, measure: str, of: Callable[[Floats], Floats]) -> Iterator[pd.DataFrame]:
    same = [one for one in (*settings_of(found), "target", "seed") if one != name]
    for key, group in found.groupby(same, dropna=False, sort=False):
        group = group.sort_values(name)
        shared: dict[str, Any] = dict(zip(same, key, strict=True)) | {"measure": measure}
        ends = range(2, len(group) + 1) if name == "depth" else [len(group)]
        rows = [
            shared | {name: group[name].iloc[end - 1], "points": end,
                      "value": _slope(of(group[name].to_numpy(dtype=float)[:end]), group["value"].to_numpy()[:end])}
            for end in ends if end >= 2
        ]  # fmt: skip
        yield pd.DataFrame(rows)


def _slope(x: Floats, y: Floats) -> float:
    x = x - x.mean()
    return float(x @ y / (x @ x))


def _spreads(found: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """How far a rescaling is from one number for all grammars."""
    for measure, within in (("spread", ["depth", "vocabulary", "synonyms"]), ("spread_in_depth", ["depth"])):
        same = [one for one in (*settings_of(found), "target") if one not in within]
        for key, group in found.groupby(same, dropna=False, sort=False):
            for unit in ("by_latents", "by_tokens"):
                by_seed = group.assign(log=np.log(group[unit])).pivot_table(index="seed", columns=within, values="log")
                by_seed = by_seed.dropna(axis=1)
                if by_seed.shape[1] >= 2 and len(by_seed) >= 2:
                    shared: dict[str, Any] = dict(zip(same, key, strict=True)) | {"measure": measure, "unit": unit}
                    shared |= {"points": by_seed.shape[1]}
                    values = pseudo_values(by_seed.to_numpy(), lambda means: np.exp(np.ptp(means)))
                    yield pd.DataFrame({"seed": by_seed.index, "value": values}).assign(**shared)


def _pruned(found: pd.DataFrame) -> pd.DataFrame:
    """ln P* of what a rule keeps less that of a random part of the same pool, in the same seed."""
    same = [one for one in (*settings_of(found), "target", "seed") if one not in ("rule", "scored")]
    random = found[found["rule"] == "random"][[*same, "value"]].rename(columns={"value": "random"})
    both = found[found["rule"] != "random"].merge(random, on=same)
    return both.assign(value=both["value"] - both["random"], measure="against_random")[
        [*same, "rule", "scored", "measure", "value"]
    ]


def pseudo_values(runs: Floats, statistic: Callable[[Floats], Any]) -> Floats:
    """(S,) n times the statistic of the means less n - 1 times that without each row of the runs (S, P)."""
    number, total = len(runs), runs.sum(0)
    without = np.array([statistic((total - row) / (number - 1)) for row in runs])
    values: Floats = number * statistic(total / number) - (number - 1) * without
    return values


def _accuracies(tables: Tables) -> Iterator[pd.DataFrame]:
    levels = tables["levels"]
    named = [*settings_of(levels), "target", "strings", "level", "seed"]
    deep = 4 if (levels["depth"] == 4).any() else levels["depth"].max()  # whose curves are shown
    levels = levels[(levels["depth"] == deep) | (levels["keep"] < 1) | (levels["learner"] == "end_to_end")]
    levels = levels[(levels["keep"] == 1) | (levels["level"] == levels["depth"] - 1)]
    yield levels[[*named, "accuracy"]].rename(columns={"accuracy": "value"}).assign(measure="level")
    if levels["ari"].notna().any():
        yield levels[[*named, "ari"]].rename(columns={"ari": "value"}).assign(measure="index")
    if "root" in tables and len(root := tables["root"]):
        root = root[root["strings"] == min(root["strings"].unique(), key=lambda number: abs(number - UNLABELLED))]
        named = [*settings_of(root), "target", "strings", "labelled", "seed"]
        yield root[[*named, "accuracy"]].rename(columns={"accuracy": "value"}).assign(measure="root")


# ---- words -----------------------------------------------------------------------------------------------------------


def points(runs: pd.DataFrame) -> pd.DataFrame:
    """Means and intervals over seeds: of a threshold the geometric mean, in strings; of curves a few.

    `seeds` have a value; no mean is shown where another seed has none (its top level was never 90 % right, say).
    """
    shown = (runs["level"] == runs["depth"] - 1) & ((runs["keep"] < 1) | (runs["learner"] == "end_to_end"))
    runs = runs[~runs["measure"].isin(["level", "index", "root"]) | (shown & (runs["measure"] == "level"))]
    same = [name for name in runs if name not in ("seed", "value", "by_latents", "by_tokens")]
    runs = runs.assign(strings=runs["strings"].where(runs["measure"] != "threshold"))
    rows = []
    for key, group in runs.groupby(same, dropna=False, sort=False):
        row: dict[Any, Any] = {name: one for name, one in zip(same, key, strict=True) if one == one and one is not None}
        share = "accuracy" if row["measure"] in ("level", "root") else ""
        reached = group["value"].notna()
        if not reached.all():
            over = NOTHING  # those that reached it are a selection
        elif row["measure"] == "threshold":
            over = geometric(np.exp(group["value"]))
        else:
            over = interval_of(group["value"], share)
        row |= {"seeds": int(reached.sum())}
        rows.append(row | {"mean": over.value, "low": over.low, "high": over.high})
    return pd.DataFrame(rows)


def geometric(values: Sequence[float] | Floats | pd.Series[float]) -> Interval:
    """The geometric mean of positive numbers and its interval."""
    over = interval_of(np.log(np.asarray(values, dtype=float)))
    return Interval(*(math.exp(one) for one in (over.value, over.error, over.low, over.high)))


def verdict(runs: pd.DataFrame) -> str:
    """How P* grows with each level, by target, in the learner that counts where it was run, else in that by SGD."""
    slopes = runs[(runs["measure"] == "slope") & (runs["keep"] == 1)]
    learner = "clustering" if (slopes["learner"] == "clustering").any() else "gradient"
    slopes = slopes[slopes["learner"] == learner]
    parts = []
    for target in ("latents", "tokens", "labels"):
        own = slopes[slopes["target"] == target]
        own = own[own.groupby([*SIZES, "points"])["value"].transform(lambda values: values.notna().all())]
        if own.empty:
            continue
        own = own[own["points"] == own["points"].max()]
        one = interval_of(own.groupby("seed")["value"].mean())
        value, low, high = (math.exp(end) for end in (one.value, one.low, one.high))
        parts.append(f"{NAMES[target]} {worded(value, low, high, '.2f')}")
    if not parts:
        return "No run has the top level right at one number of strings and wrong at another."
    return f"With each level of the grammar the strings that are needed grow by a factor: {'; '.join(parts)}."


def caveat(tables: Tables) -> str:
    levels = tables["levels"]
    return (
        f"P*: the number of strings at which {100 * RIGHT:g} % of the top level below the root are right, on "
        f"{levels['tested'].max()} held-out strings, under the best matching of clusters with symbols. A seed is a "
        f"grammar with strings of its own; {levels['seed'].nunique()} seeds, 95 % t intervals over them."
    )
