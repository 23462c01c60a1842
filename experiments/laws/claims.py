"""What the runs say about a claim, and about every rule against random selection. Torch-free; intervals are 95 % t."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from . import sequential
from .intervals import LEVEL, NOTHING, Interval, interval_of, intervals_of, welch, worded

if TYPE_CHECKING:
    import pandas as pd

    from ..contracts import Floats
    from .expectations import Expectation, Point

Verdict = Literal["holds", "fails", "undecided", "no runs"]
SEEDS = 3  # fewer decide nothing
COMPARED = (
    "task", "fingerprint", "model", "width", "setup", "policy", "label_noise", "pool", "balance", "budget", "split",
    "keep",
)  # fmt: skip
SAME = ("task.", "model.", "recipe.", "finetune.", "shifted.", "fingerprint", "prune.", "scorer.")


@dataclass(frozen=True, slots=True)
class Outcome:
    """An expectation and what came out."""

    claim: str
    source: str
    effect: float | None  # mean of the metric, or of the difference to `versus`
    low: float | None  # 95 % t interval over seeds
    high: float | None
    n: int  # seeds; pairs of them where paired, the smaller side's where not
    wanted: str
    verdict: Verdict
    sentence: str
    differs: str  # in what our setting is not the source's
    expected: str  # the verdict that the experiment file expects

    @property
    def said(self) -> str:
        return f"{self.verdict}: {self.claim}: {self.sentence}"

    @property
    def surprising(self) -> bool:
        """Whether `--check` stops here: a verdict other than the expected one, undecided and no runs among them."""
        return self.verdict != self.expected


@dataclass(frozen=True, slots=True)
class _Effect:
    over: Interval  # of the mean, or of the difference
    n: int
    paired: bool = False
    how: str = ""


NO_EFFECT = _Effect(NOTHING, 0)


def check(expectation: Expectation, runs: pd.DataFrame) -> Outcome:
    """Judge one expectation on its 95 % interval; fewer than 3 seeds decide nothing.

    It holds where the interval is inside the bounds, fails where it is outside of them, and is undecided across one.
    Where a run that matches has no value (a loss level that it never reached), the others are a selection and decide
    nothing.
    """
    wanted = _wanted(expectation)

    def outcome(verdict: Verdict, sentence: str, effect: _Effect = NO_EFFECT) -> Outcome:
        over = effect.over
        mean, low, high = (end if math.isfinite(end) else None for end in (over.value, over.low, over.high))
        return Outcome(
            expectation.claim, expectation.source, mean, low, high, effect.n, wanted, verdict, sentence,
            expectation.differs, expectation.expected,
        )  # fmt: skip

    sides, lacking = [], 0
    for name, point in (("point", expectation.point), ("versus", expectation.versus)):
        if point is None:
            continue
        values, notes, without = _by_seed(point, runs)
        lacking += without
        if values is None:
            return outcome("no runs", f"{name}: {notes}")
        sides.append((values, notes))
    effect = _anytime(sides) if expectation.anytime else _effect(sides, expectation.point.metric)
    verdict, reason = _judge(expectation, effect)
    if lacking:
        verdict, reason = "undecided", f"{lacking} of the runs that match have no value, and the others are a selection"
    low, high = (f"{end:.4g}" if math.isfinite(end) else "?" for end in (effect.over.low, effect.over.high))
    value = f"{effect.over.value:.4g} [{low}, {high}], n = {effect.n}{effect.how}"
    return outcome(verdict, f"{expectation.point.metric}: {value}; wanted {wanted}: {reason}", effect)


def advantage(runs: pd.DataFrame) -> pd.DataFrame:
    """Every rule against random selection of as many examples from the same pool under the same budget.

    One row for each point of a score-based rule; `effect` is paired by seed and positive where the rule is better
    (accuracy gained, or bits per byte saved; last epoch's model). better or worse: the 95 % t interval excludes 0, with
    at least 3 seeds, uncorrected for the number of comparisons, which is the number of rows.
    """
    import pandas as pd

    rows, names = [], [*COMPARED, "rule", "scorer", "selection"]
    for key, group in runs[~runs["rule"].isin(["none", "random"])].groupby(names, dropna=False, sort=True):
        setting = dict(zip(names, key, strict=True))
        where = {name: setting[name] for name in COMPARED if name != "balance"}
        random = runs[runs["rule"].isin(["random", "none"]) & rows_with(runs, where)]  # none: where everything is kept
        same_balance = random[random["balance"] == setting["balance"]]
        random = random[random["balance"] == 0] if same_balance.empty else same_balance
        row = setting | {"examples": float(group["examples"].mean())} | gain(group, random)
        rows.append(row if row["n"] else row | {"verdict": "no random"})
    measured = ["metric", "examples", "effect", "low", "high", "n", "paired", "verdict"]
    return pd.DataFrame(rows, columns=[*names, *measured])


def by_policy(runs: pd.DataFrame) -> pd.DataFrame:
    """Every policy that weighs what is kept against uniform weights on the same, all other settings equal.

    One row for each setting; `effect`, `low`, `high`, `n` and `verdict` as in `advantage`.
    """
    import pandas as pd

    same = ["rule", "scorer", "selection", "keep", "balance", "budget"]
    same += [name for name in runs.columns if name.startswith(SAME) and name != "prune.seed"]
    words = runs[same].map(str).agg("|".join, axis=1)
    own = ["policy", *(name for name in runs.columns if name.startswith(("policy.", "search.")))]
    others = runs[runs["policy"] != "uniform"]
    keys = [words[others.index], others[own].map(str).agg("|".join, axis=1)] if len(others) else ["policy"]
    rows = []
    for _, group in others.groupby(keys, sort=False):
        uniform = runs[(runs["policy"] == "uniform") & (words == words[group.index[0]])]
        known = ("policy", "task", "model", "rule", "keep", "budget", "pool", "label_noise")
        row = {name: group.iloc[0][name] for name in known} | gain(group, uniform)
        if row["n"]:
            rows.append(row)
    return pd.DataFrame(rows)


def compared(own: pd.DataFrame, other: pd.DataFrame, metric: str) -> _Effect:
    """The difference of a metric between two groups of runs, paired by seed where they share seeds."""
    mine, theirs = (_seeds(side, metric) for side in (own, other))
    return NO_EFFECT if mine.empty or theirs.empty else _effect([(mine, ""), (theirs, "")], metric)


def sign(effect: _Effect) -> int:
    """1 or -1 where the 95 % interval excludes 0, with at least 3 seeds; else 0."""
    low, high = effect.over.low, effect.over.high
    return 0 if effect.n < SEEDS else 1 if low > 0 else -1 if high < 0 else 0


def gain(own: pd.DataFrame, other: pd.DataFrame) -> dict[str, Any]:
    """Accuracy gained, or bits per byte saved, with interval and verdict; n is 0 where the other side has no run."""
    metric = "bits_per_byte" if "bits_per_byte" in own and own["bits_per_byte"].notna().any() else "accuracy"
    found = compared(own, other, metric)
    better = 1 if metric == "accuracy" else -1  # fewer bits per byte are better
    low, high = sorted((better * found.over.low, better * found.over.high))
    verdict = {1: "better", -1: "worse", 0: "undecided"}[better * sign(found)]
    measured = {"metric": metric, "effect": better * found.over.value, "low": low, "high": high}
    return measured | {"n": found.n, "paired": found.paired, "verdict": verdict}


def counts(found: pd.DataFrame) -> dict[str, int]:
    return {verdict: int((found["verdict"] == verdict).sum()) for verdict in ("better", "worse", "undecided")}


def weighed(found: pd.DataFrame) -> str:
    """What `by_policy` found, in a sentence; nothing where it found nothing."""
    if found.empty:
        return ""
    parts = []
    for policy, group in found.groupby("policy", sort=False):
        if len(group) == 1:
            row = group.iloc[0]
            few = "" if row["n"] >= SEEDS else f", fewer than {SEEDS} seeds"
            parts.append(f"{policy}: {describe(row)}, {row['verdict']}{few}")
        else:
            said = ", ".join(f"{verdict} in {number}" for verdict, number in counts(group).items())
            parts.append(f"{policy}: {said} of {len(group)} settings")
    return f"Against uniform weights on the same examples: {'; '.join(parts)}."


def caveat(found: pd.DataFrame) -> str:
    """What the intervals are, how many comparisons there were, and how many would exclude 0 by chance (from 1 up)."""
    number = int((found["verdict"] != "no random").sum())
    sentence = "Last epoch's model, test split; 95 % t intervals over seeds, paired by seed"
    if number < 2:
        return sentence + "."
    chance = number * (1 - LEVEL)
    expected = f": about {chance:.1f} of them would exclude 0 by chance alone" if round(chance, 9) >= 1 else ""
    return f"{sentence}; not corrected for the number of comparisons, which is {number}{expected}."


def describe(row: pd.Series[Any]) -> str:
    """An effect in its unit: percentage points of accuracy, or bits per byte."""
    factor, unit, form = (100.0, " points", "+z.1f")
    if row["metric"] == "bits_per_byte":
        factor, unit, form = (1.0, " bits per byte", "+z.3f")
    effect, low, high = (factor * row[name] for name in ("effect", "low", "high"))
    return worded(effect, low, high, form, unit)


def _judge(expectation: Expectation, effect: _Effect) -> tuple[Verdict, str]:
    least = -math.inf if expectation.at_least is None else expectation.at_least
    most = math.inf if expectation.at_most is None else expectation.at_most
    if effect.n < SEEDS:
        return "undecided", f"{effect.n} seed{'' if effect.n == 1 else 's'}, fewer than {SEEDS}"
    low, high = effect.over.low, effect.over.high
    if not math.isfinite(low + high):
        return "undecided", "no interval"
    if expectation.versus is not None and low == high == 0 and 0 in (least, most):
        return "undecided", "both sides are equal in every seed, and neither beats the other"
    if least <= low and high <= most:
        return "holds", "the interval lies inside"
    outside = high < least or low > most
    return ("fails", "the interval lies outside") if outside else ("undecided", "the interval crosses the bound")


def _effect(sides: list[tuple[pd.DataFrame, str]], metric: str) -> _Effect:
    """The mean of one side, or the difference of two: paired by seeds that both have, Welch's t where they are few."""
    notes = "".join(f", {note}" for _, note in sides if note)
    first, second = sides[0][0], sides[-1][0]
    if len(sides) == 1:
        return _Effect(interval_of(_plain(first), metric), len(first), how=notes)
    both = first.index.intersection(second.index)
    if len(both) >= min(SEEDS, len(first), len(second)):
        return _Effect(_paired(first.loc[both], second.loc[both]), len(both), True, ", paired by seed" + notes)
    left, right = first.mean(axis=1).to_numpy(), second.mean(axis=1).to_numpy()
    return _Effect(welch(left, right), min(len(left), len(right)), False, ", unpaired (the seeds differ)" + notes)


def _anytime(sides: list[tuple[pd.DataFrame, str]]) -> _Effect:
    """The same, where seeds may have been added until the claim was decided."""
    over, number = sequential.by_seed(sides[0][0], sides[1][0] if len(sides) > 1 else None)
    paired = ", paired by seed" if len(sides) > 1 else ""
    return _Effect(
        over, number, len(sides) > 1, f"{paired}, {sequential.SAID}" + "".join(f", {n}" for _, n in sides if n)
    )


def _paired(first: pd.DataFrame, second: pd.DataFrame) -> Interval:
    """The difference of two tables of the same seeds: paired by setting as well where they have the same settings."""
    if first.shape[1] == second.shape[1] == 1:
        second = second.set_axis(first.columns, axis=1)
    shared = first.columns.intersection(second.columns)
    if len(shared):
        return interval_of(_plain(first[shared] - second[shared]))
    own = first.shape[1]
    both = np.hstack([first.to_numpy(), second.to_numpy()])
    found = intervals_of(both, lambda means: means[..., :own].mean(-1) - means[..., own:].mean(-1))
    return Interval(*map(float, found))


def _plain(values: pd.DataFrame) -> Floats:
    """(S,) of one setting, (S, P) of several."""
    found: Floats = values.to_numpy(dtype=float)
    return found[:, 0] if found.shape[1] == 1 else found


def _by_seed(point: Point, runs: pd.DataFrame) -> tuple[pd.DataFrame | None, str, int]:
    """The metric of the runs that match by seed and setting, a note, and how many of them have none.

    Nothing, and why, where none match, or those of two data sets.
    """
    unknown = [name for name in [*point.where, point.metric] if name not in runs.columns]
    if unknown:
        return (
            None,
            f"no column {', '.join(unknown)} in the table{_near(unknown[0], runs, metric=unknown[0] == point.metric)}",
            0,
        )
    read = dict.fromkeys((point.metric, "seed", "setting", "point", "fingerprint", "task"))  # of some hundred columns
    every = runs.loc[rows_with(runs, point.where), [name for name in read if name in runs]]
    matching = every[every[point.metric].notna()]
    if matching.empty:
        return None, "no run matches " + ", ".join(f"{name}={value}" for name, value in point.where.items()), 0
    sets = dict(zip(matching["fingerprint"], matching["task"], strict=True)) if "fingerprint" in matching else {}
    if len(sets) > 1:
        named = " and ".join(f"fingerprint={fingerprint} ({task})" for fingerprint, task in sets.items())
        several = f"the runs that match are of {len(sets)} data sets: their mean says nothing; name one of {named}"
        return None, several, 0
    values = _seeds(matching, point.metric)
    return values, _composed(values, matching.groupby("seed").size()), len(every) - len(matching)


def _composed(values: pd.DataFrame, runs: pd.Series[int]) -> str:
    """What a mean over several runs a seed is over."""
    least, most = int(runs.min()), int(runs.max())
    seeds = values.notna().sum()
    if values.isna().any(axis=None):
        return f"the mean of {len(seeds)} settings of {seeds.min()} to {seeds.max()} seeds each"
    number = f"{most}" if least == most else f"{least} to {most}"  # and not of the same settings
    return f"each seed the mean of {number} runs that match" if most > 1 else ""


def _near(word: str, runs: pd.DataFrame, *, metric: bool) -> str:
    """The columns that a word may have meant: of a metric all that hold numbers and are no setting of a section."""
    if metric:
        numbers = map(str, runs.select_dtypes("number"))
        return f"; there is: {', '.join(sorted(name for name in numbers if '.' not in name))}"
    near = difflib.get_close_matches(word, map(str, runs.columns))
    return f"; there is: {', '.join(near)}" if near else ""


def _seeds(runs: pd.DataFrame, metric: str) -> pd.DataFrame:
    """(S, P) the metric by seed and setting; NaN where a setting lacks a seed.

    Settings are told by the column `setting` of a study, or `point`; else all are one.
    """
    have = runs[runs[metric].notna()]
    apart = [name for name in ("setting", "point") if name in have][:1]
    means = have.groupby(["seed", *apart])[metric].mean()
    return means.unstack() if apart else means.to_frame()


def rows_with(runs: pd.DataFrame, where: Mapping[str, Any]) -> pd.Series[bool]:
    """Rows in which every setting matches. An unpruned run is of both budgets."""
    import pandas as pd

    mask = pd.Series(True, index=runs.index)
    for name, wanted in where.items():
        same = runs[name].isin([value for value in runs[name].unique() if _same(value, wanted)])
        mask &= (same | (runs[name] == "both")) if name == "budget" else same
    return mask


def _same(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, list | tuple):  # as the table has it
        wanted = ",".join(map(str, wanted))
    missing = [one is None or (isinstance(one, float) and math.isnan(one)) for one in (value, wanted)]
    if any(missing):
        return all(missing)
    flags = [isinstance(one, bool | np.bool_) for one in (value, wanted)]
    if any(flags):
        return all(flags) and bool(value) == bool(wanted)
    if isinstance(value, int | float | np.number) and isinstance(wanted, int | float | np.number):
        return math.isclose(float(value), float(wanted), rel_tol=1e-9, abs_tol=1e-12)
    return str(value) == str(wanted)


def _wanted(expectation: Expectation) -> str:
    ends = {"at least": expectation.at_least, "at most": expectation.at_most}
    return " and ".join(f"{words} {end:g}" for words, end in ends.items() if end is not None)
