"""Panels of the report (a setup, a scorer, a budget) and the laws fitted in each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ...contracts import Floats, Indices
from ...figures.style import name_of, selecting
from ...laws import frontier, scaling
from .runs import POINT, error_metric, named, newest, points

BUDGETS = {"epochs": "equal epochs", "steps": "equal steps", "both": "nothing pruned"}
SETTINGS = ("task.", "model.", "recipe.", "shifted.", "finetune.")
WEIGHING = ("policy.every", "policy.target", "policy.rate", "policy.bound")  # a rule's policy is no part of its setup


@dataclass(frozen=True, slots=True)
class Curve:
    """Points of error against examples, with the runs behind each."""

    x: Floats  # training examples
    y: Floats  # mean error over seeds
    runs: tuple[Floats, ...]


@dataclass(frozen=True, slots=True)
class Law:
    """One curve, which law it follows, and the interval of each family's fit."""

    curve: Curve
    comparison: scaling.Comparison
    power: scaling.Bootstrap | None
    exponential: scaling.Bootstrap | None


@dataclass(frozen=True, slots=True)
class Challenge:
    """One rule and keep fraction against the unpruned law."""

    rule: str
    keep: float
    answer: frontier.Answer


@dataclass(frozen=True, slots=True)
class Panel:
    """What one group of figures shows."""

    setup: str  # words: task, model, and what else tells it from the others
    scorer: str
    budget: str
    metric: str  # error, or bits_per_byte
    points: pd.DataFrame
    advantage: pd.DataFrame
    unpruned: Law
    envelope: Law | None
    envelope_note: str
    challenges: tuple[Challenge, ...]

    @property
    def title(self) -> str:
        parts = [self.setup, "" if self.scorer == "none" else f"scored by {self.scorer}", BUDGETS[self.budget]]
        return " · ".join(part for part in parts if part)

    @property
    def pools(self) -> int:
        return int(self.points["pool"].nunique())

    @property
    def single(self) -> bool:
        """Whether its errors are one drawing."""
        return self.pools == 1 or len(self.rules) + (self.envelope is not None) < 2

    @property
    def fitted(self) -> bool:
        """Whether there were points enough for a law."""
        laws = [law.comparison for law in (self.unpruned, self.envelope) if law is not None]
        return any(one.power is not None or one.exponential is not None for one in laws)

    @property
    def rules(self) -> list[str]:
        """What was compared with random, in the order of the colours."""
        return selecting(self.points["rule"])


def setups(runs: pd.DataFrame) -> dict[tuple[object, ...], str]:
    """(setup, label noise) -> task, model, and what else tells the setup from the others, in words."""
    worded = named(runs).assign(policy=runs["policy"].replace("uniform", "").map(name_of))
    return _named(worded, ["setup", "label_noise"], ["task", "model", "width", "policy"], SETTINGS + WEIGHING)


def placed(advantage: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """The comparisons, each with its setup in words as `place`."""
    if advantage.empty:
        return advantage
    words = setups(newest(runs))
    return advantage.assign(
        place=[words[key] for key in zip(advantage["setup"], advantage["label_noise"], strict=True)]
    )


def panels(runs: pd.DataFrame, advantage: pd.DataFrame, *, replicates: int = 200) -> list[Panel]:
    """One panel for each setup, label noise, scorer, balance and budget, with its laws."""
    runs = newest(runs)
    grouped = points(runs)
    words = setups(runs)
    scorers = _named(
        runs[runs["selection"] != "none"], ["selection"], ["scorer"], ("scorer.", "prune.drop", "prune.scored")
    )
    unpruned: dict[tuple[str, float], Law] = {}
    found = []
    for setup, noise, selection, balance, budget in _keys(grouped):
        here = (grouped["setup"] == setup) & (grouped["label_noise"] == noise)
        shown = here & (
            (grouped["rule"] == "none")
            | (grouped["budget"] == budget)
            & (
                (grouped["selection"] == selection) & (grouped["balance"] == balance) & (grouped["rule"] != "random")
                | (grouped["rule"] == "random") & grouped["balance"].isin(_balances(grouped[here], balance))
            )
        )
        chosen = grouped[shown]
        own = runs.merge(chosen[list(POINT)], on=list(POINT), how="inner")
        metric = error_metric(own)
        if (setup, noise) not in unpruned:
            unpruned[setup, noise] = _law(_curve(own[own["rule"] == "none"], metric), replicates)
        envelope, note = _envelope(own, metric, replicates)
        name = words[setup, noise] + (f", balance {balance:g}" if balance else "")
        same = advantage[["setup", "label_noise", "selection", "balance", "budget"]] == [
            setup, noise, selection, balance, budget,
        ]  # fmt: skip
        scorer, gains = scorers.get((selection,), "none"), advantage[same.all(axis=1)]
        law, challenges = unpruned[setup, noise], _challenges(own, metric, str(budget))
        found.append(Panel(name, scorer, budget, metric, chosen, gains, law, envelope, note, challenges))
    return sorted(found, key=lambda panel: (panel.setup, panel.scorer, panel.budget))


def _challenges(runs: pd.DataFrame, metric: str, budget: str) -> tuple[Challenge, ...]:
    """Every rule and keep fraction against as many examples chosen by nothing.

    Under equal epochs those are unpruned sets and random choices alike. Under equal steps an unpruned set of that size
    trains for fewer steps, and the fair opponent is a random choice from the same pool. One pool shows no trend.
    """
    if runs["pool"].nunique() < 2:
        return ()
    lines = runs[~runs["rule"].isin(["none", "random"])].groupby(["rule", "keep"], sort=True)
    found = []
    for (rule, keep), own in lines:
        unpruned, random = runs["rule"] == "none", runs["rule"] == "random"
        plain = unpruned | random if budget == "epochs" else random & (runs["keep"] == keep)
        if plain.any():
            sides = [_line(one, metric, np.unique(runs["seed"])) for one in (runs[plain], own)]
            answer = frontier.beats(*sides, generator=np.random.default_rng(0), family=len(lines))
            found.append(Challenge(str(rule), float(str(keep)), answer))
    return tuple(found)


def _line(runs: pd.DataFrame, metric: str, seeds: Indices) -> frontier.Line:
    table = runs.pivot_table(index="examples", columns="seed", values=metric).sort_index().reindex(columns=seeds)
    return frontier.Line(table.index.to_numpy(dtype=float), table.to_numpy(dtype=float))


def noise(curve: Curve) -> float | None:
    """Root mean square over points of the standard error of log error that seeds explain; None with single runs.

    A law whose residual is far above it misfits, and its bootstrap over seeds is then too narrow.
    """
    errors = [values.std(ddof=1) / values.mean() / np.sqrt(len(values)) for values in curve.runs if len(values) > 1]
    return float(np.sqrt(np.mean(np.square(errors)))) if errors else None


def _keys(grouped: pd.DataFrame) -> Iterator[tuple[str, float, str, float, str]]:
    """Setups with score-based rules, one key a scorer, balance and budget; the others once for each budget."""
    for (setup, noise), here in grouped.groupby(["setup", "label_noise"], sort=True):
        pruned = here[~here["rule"].isin(["none", "random"])]
        if pruned.empty:
            pruned = here[here["rule"] == "random"]
        if pruned.empty:
            yield str(setup), float(str(noise)), "none", 0.0, "both"
            continue
        for (selection, balance, budget), _ in pruned.groupby(["selection", "balance", "budget"], sort=True):
            yield str(setup), float(str(noise)), str(selection), float(str(balance)), str(budget)


def _balances(here: pd.DataFrame, balance: float) -> list[float]:
    """Random selection with the same balance where there is one, else without."""
    random = here[here["rule"] == "random"]["balance"]
    return [balance] if (random == balance).any() else [0.0]


def _named(
    runs: pd.DataFrame, key: Sequence[str], words: Sequence[str], settings: Sequence[str]
) -> dict[tuple[object, ...], str]:
    """Words for each key: the plain ones, and the settings in which keys of the same words differ."""
    if runs.empty:
        return {}
    first = runs.drop_duplicates(list(key))
    shown = [[word for name in words[1:] if (word := _word(row[name]))] for _, row in first.iterrows()]
    texts = [[_word(one), " ".join(more)] for one, more in zip(first[words[0]], shown, strict=True)]
    first = first.assign(words=[" · ".join(text.strip() for text in parts if text.strip()) for parts in texts])
    dotted = [str(column) for column in runs.columns if str(column).startswith(tuple(settings))]
    dotted = [column for column in dotted if column != "task.examples"]
    names: dict[tuple[object, ...], str] = {}
    for text, same in first.groupby("words"):
        differing = [column for column in dotted if same[column].map(str).nunique() > 1]
        for _, row in same.iterrows():
            given = [column for column in differing if _word(row[column])]
            more = [f"{column.split('.', 1)[1].replace('_', ' ')} {_word(row[column])}" for column in given]
            names[tuple(row[name] for name in key)] = ", ".join([str(text), *more])
    return names


def _word(value: object) -> str:
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _curve(runs: pd.DataFrame, metric: str) -> Curve:
    """One point for each setting, by rising number of examples. Means of zero have no logarithm and are left out."""
    x, y, behind = [], [], []
    for _, group in runs.groupby(list(POINT), dropna=False, sort=True):
        values = group[metric].dropna().to_numpy(dtype=float)
        if len(values) and values.mean() > 0:
            x.append(float(group["examples"].mean()))
            y.append(float(values.mean()))
            behind.append(values)
    order = np.argsort(x, kind="stable")
    return Curve(np.array(x)[order], np.array(y)[order], tuple(behind[row] for row in order))


def _law(curve: Curve, replicates: int) -> Law:
    comparison = scaling.compare(curve.x, curve.y)
    return Law(
        curve, comparison, *(_interval(curve, one, replicates) for one in (comparison.power, comparison.exponential))
    )


def _interval(
    curve: Curve, fit: scaling.Fit | None, replicates: int, *, envelope: bool = False
) -> scaling.Bootstrap | None:
    if fit is None:
        return None
    return scaling.bootstrap(
        curve.x, curve.runs, fit.family, floored=fit.floored, replicates=replicates,
        generator=np.random.default_rng(0), select=scaling.pareto_envelope if envelope else None,
    )  # fmt: skip


def _envelope(runs: pd.DataFrame, metric: str, replicates: int) -> tuple[Law | None, str]:
    """The lower envelope over every keep fraction, 1 included, of the score-based rules."""
    curve = _curve(runs[runs["rule"] != "random"], metric)
    pruned = runs[~runs["rule"].isin(["none", "random"])]
    if pruned.empty:
        return None, "no score-based rule was run"
    if runs["pool"].nunique() < 2:
        return None, "one pool size: an envelope over pool sizes and keep fractions needs several"
    rows = scaling.pareto_envelope(curve.x, curve.y)
    chosen = Curve(curve.x[rows], curve.y[rows], tuple(curve.runs[row] for row in rows))
    unpruned = _curve(runs[runs["rule"] == "none"], metric)
    ours = sum(not np.any((unpruned.x == x) & (unpruned.y == y)) for x, y in zip(chosen.x, chosen.y, strict=True))
    keeps = sorted(pruned["keep"].unique())
    fractions = ", ".join(f"{keep:g}" for keep in keeps)
    note = f"{ours} of its {len(rows)} points are pruned; keep fractions {fractions} and 1"
    if not ours:
        return None, "no pruned point lies on the lower envelope: pruning never beat as many examples of a smaller pool"
    comparison = scaling.compare(chosen.x, chosen.y)
    intervals = [_interval(curve, one, replicates, envelope=True) for one in (comparison.power, comparison.exponential)]
    return Law(chosen, comparison, intervals[0], intervals[1]), note
