"""Which law the errors of each panel follow, and whether a rule and keep fraction beats the unpruned one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence

import numpy as np
import pandas as pd

from ...contracts import Indices
from ...figures.style import name_of
from ...laws import frontier, scaling
from ...laws.intervals import intervals_of
from ...laws.runs import newest
from .layout import Challenge, Curve, Law, Panel
from .runs import error_metric, named, points

SETTINGS = ("task.", "model.", "recipe.", "shifted.", "finetune.")
WEIGHING = ("policy.every", "policy.target", "policy.rate", "policy.bound")  # a rule's policy is no part of its setup
CHOSEN = ["selection", "balance", "budget"]  # what tells the panels of a setup apart


def setups(runs: pd.DataFrame) -> dict[tuple[object, ...], str]:
    """(setup, label noise) -> task, model, and what else tells the setup from the others, in words."""
    worded = named(runs).assign(policy=runs["policy"].replace("uniform", "").map(name_of))
    return _named(worded, ["setup", "label_noise"], ["task", "model", "width", "policy"], SETTINGS + WEIGHING)


def placed(advantage: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """The comparisons, each with its setup in words as `place`, and its scorer as `scorers` has it."""
    words, by = setups(runs), scorers(runs)
    keys = zip(advantage["setup"], advantage["label_noise"], strict=True)
    named = [by.get(one, scorer) for one, scorer in zip(advantage["selection"], advantage["scorer"], strict=True)]
    return advantage.assign(place=[words[key] for key in keys], scorer=named)


def scorers(runs: pd.DataFrame) -> dict[str, str]:
    """selection -> the scorer in words: a file of scores by its name, and the settings in which equal ones differ."""
    scored, settings = runs[runs["selection"] != "none"], ("scorer.", "prune.drop", "prune.scored")
    if "scorer.file" in scored:
        scored = scored.assign(scorer=scored["scorer.file"].where(scored["scorer.file"].notna(), scored["scorer"]))
    return {str(key[0]): words for key, words in _named(scored, ["selection"], ["scorer"], settings).items()}


def panels(runs: pd.DataFrame, advantage: pd.DataFrame, guessing: Collection[str] = ()) -> list[Panel]:
    """One panel for each setup, label noise, scorer, balance and budget, with its laws."""
    runs = newest(runs)
    grouped, words, by = points(runs), setups(runs), scorers(runs)
    found = []
    for (setup, noise), here in grouped.groupby(["setup", "label_noise"], sort=True):
        compared = advantage.query("setup == @setup and label_noise == @noise and verdict != 'no random'")
        unpruned = None
        for selection, balance, budget in _keys(here):
            random = here[here["rule"] == "random"]["balance"]  # with the same balance where there is one, else without
            fair = balance if (random == balance).any() else 0.0  # noqa: F841
            chosen = here.query(
                "rule == 'none' or budget == @budget and (rule == 'random' and balance == @fair or "
                "rule != 'random' and balance == @balance and selection == @selection)"
            )
            own = runs[runs["point"].isin(chosen["point"])]
            metric = error_metric(own)
            unpruned = unpruned or _law(_curve(own[own["rule"] == "none"], metric))
            envelope, note = _envelope(own, metric)
            gains = advantage.query(
                "setup == @setup and label_noise == @noise and selection == @selection and balance == @balance and "
                "budget == @budget"
            )
            name = words[setup, noise] + (f", balance {balance:g}" if balance else "")
            scorer, challenges = by.get(selection, "none"), _challenges(own, metric, budget)
            found.append(
                Panel(name, scorer, budget, metric, chosen, own, gains, here, compared, frozenset(guessing), unpruned,
                      envelope, note, challenges)
            )  # fmt: skip
    return sorted(found, key=lambda panel: (panel.setup, panel.scorer, panel.budget))


def _keys(here: pd.DataFrame) -> Iterator[tuple[str, float, str]]:
    """Of a setup: a key a scorer, balance and budget of its score-based rules; without them, one a budget."""
    pruned = here[~here["rule"].isin(["none", "random"])]
    if pruned.empty:
        pruned = here[here["rule"] == "random"]
    if pruned.empty:
        yield "none", 0.0, "both"
    for (selection, balance, budget), _ in pruned.groupby(CHOSEN, sort=True):
        yield str(selection), float(str(balance)), str(budget)


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
            answer = frontier.beats(*sides, family=len(lines))
            found.append(Challenge(str(rule), float(str(keep)), answer))
    return tuple(found)


def _line(runs: pd.DataFrame, metric: str, seeds: Indices) -> frontier.Line:
    table = runs.pivot_table(index="seed", columns="examples", values=metric).sort_index(axis=1).reindex(seeds)
    return frontier.Line(table.columns.to_numpy(dtype=float), table.to_numpy(dtype=float))


def noise(curve: Curve) -> float | None:
    """Root mean square over points of the standard error of log error that seeds explain; None with single runs.

    A law whose residual is far above it misfits, and its interval over seeds says nothing of that.
    """
    several = (~np.isnan(curve.runs)).sum(axis=0) > 1
    means, errors, *_ = intervals_of(curve.runs[:, several])
    return float(np.sqrt(np.mean(np.square(errors / means)))) if several.any() else None


def _named(
    runs: pd.DataFrame, key: Sequence[str], words: Sequence[str], settings: Sequence[str]
) -> dict[tuple[object, ...], str]:
    """Words for each key: the plain ones, and the settings in which keys of the same words differ."""
    if runs.empty:
        return {}
    first = runs.drop_duplicates(list(key))
    texts = [[_word(row[name]) for name in words] for _, row in first.iterrows()]
    first = first.assign(words=[" · ".join(filter(None, [one, " ".join(filter(None, more))])) for one, *more in texts])
    dotted = [str(name) for name in runs if str(name).startswith(tuple(settings)) and name != "task.examples"]
    names: dict[tuple[object, ...], str] = {}
    for text, same in first.groupby("words"):
        differing = [column for column in dotted if same[column].map(str).nunique() > 1]
        for _, row in same.iterrows():
            given = {name.split(".", 1)[1].replace("_", " "): _word(row[name]) for name in differing}
            more = [f"{name} {value}" for name, value in given.items() if value]
            names[tuple(row[name] for name in key)] = ", ".join([str(text), *more])
    taken = Counter(names.values())  # of the same words: told by the hash, so that nothing puts them together
    return {one: words if taken[words] == 1 else f"{words} ({one[0]})" for one, words in names.items()}


def _word(value: object) -> str:
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _curve(runs: pd.DataFrame, metric: str) -> Curve:
    """One point for each setting, by rising number of examples. Means of zero have no logarithm and are left out."""
    groups = [group for _, group in runs.groupby("point", sort=False) if group[metric].mean() > 0]
    groups = sorted(groups, key=lambda group: float(group["examples"].mean()))
    by_seed = [group.groupby("seed")[metric].mean() for group in groups]
    table = pd.concat(by_seed, axis=1).to_numpy(dtype=float) if groups else np.empty((0, 0))
    x = np.array([float(group["examples"].mean()) for group in groups])
    return Curve(x, np.array([float(one.mean()) for one in by_seed]), table)


def _law(curve: Curve, behind: Curve | None = None) -> Law:
    """The law of a curve; of an envelope of the points `behind`, of which it is chosen again without each seed."""
    comparison = scaling.compare(curve.x, curve.y)
    source, select = (curve, None) if behind is None else (behind, scaling.pareto_envelope)

    def interval(fit: scaling.Fit | None) -> scaling.Uncertainty | None:
        if fit is None:
            return None
        return scaling.uncertainty(source.x, source.runs, fit.family, floored=fit.floored, select=select)

    return Law(curve, comparison, interval(comparison.power), interval(comparison.exponential))


def _envelope(runs: pd.DataFrame, metric: str) -> tuple[Law | None, str]:
    """The lower envelope over every keep fraction, 1 included, of the score-based rules."""
    pruned = runs[~runs["rule"].isin(["none", "random"])]
    if pruned.empty:
        return None, "no score-based rule was run"
    if runs["pool"].nunique() < 2:
        return None, "one pool size: an envelope over pool sizes and keep fractions needs several"
    curve, unpruned = _curve(runs[runs["rule"] != "random"], metric), _curve(runs[runs["rule"] == "none"], metric)
    rows = scaling.pareto_envelope(curve.x, curve.y)
    chosen = Curve(curve.x[rows], curve.y[rows], curve.runs[:, rows])
    ours = len(set(zip(chosen.x, chosen.y, strict=True)) - set(zip(unpruned.x, unpruned.y, strict=True)))
    if not ours:
        return None, "no pruned point lies on the lower envelope: pruning never beat as many examples of a smaller pool"
    fractions = ", ".join(f"{keep:g}" for keep in sorted(pruned["keep"].unique()))
    note = f"{ours} of its {len(rows)} points are pruned; keep fractions {fractions} and 1"
    return _law(chosen, behind=curve), note
