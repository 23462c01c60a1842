"""What the study shows: each stage's gain and every interaction by compute, and the stages one after the other."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial

import pandas as pd
from matplotlib.axes import Axes

from ...figures import dots
from ...figures.panels import Drawing, Figures
from ...figures.style import BLUE, GREEN, GREY, INK, ORANGE
from ...laws.factorial import BETWEEN
from ...laws.intervals import interval_of, worded
from . import FACTORS
from .gains import over_computes, rows

AXIS = "fall of ln error, times 100"
COLOURS = (BLUE, ORANGE, INK)  # of effects of one, two and three factors
EFFECTS = (
    "At equal total compute, scores and measurements paid for. Each stage: what it takes off, the mean over whether "
    "the others are done. Two stages: how much more one takes off where the other is done. Three: how much that "
    "changes with the third. Shown is the fall of the logarithm of the test error (text: of the loss), times 100: "
    "about percent where it is small. Lines: 95 % t intervals over seeds; small dots: seeds. To the right is better."
)
ORDER = (
    "The mean over levels of compute. Alone: what a stage takes off when no other is done. After: what it takes off "
    "when all before it are. Sequential stages predict that no stage takes off less after than alone."
)


def verdict(runs: pd.DataFrame) -> str:
    """What each stage and all together gain, of each data set."""
    sentences = []
    for task in _tasks(runs):
        said = [f"{name} {_said(over_computes(runs, 'effect', name, task))}" for name in FACTORS]
        whole = _said(over_computes(runs, "gain_of_all", "all", task))
        sentences.append(
            f"{task}, by how much the test error (text: loss) changes at equal compute: {', '.join(said)}; all three "
            f"{whole}."
        )
    return " ".join(sentences) or "No level of compute has all eight combinations."


def caveat(table: pd.DataFrame) -> str:
    diverged = int(table["loss"].isna().sum())
    return (
        f"{len(table)} runs, {diverged} of which diverged, whose seeds are left out. 95 % t intervals over seeds: of "
        "the first weights, the order, the proxies and the random part, which all combinations of a seed share. On "
        "text the error is the test loss in nats a token. Equalising aims at the dev split, which the other runs do "
        "not use. What allocation was chosen by is not paid for."
    )


def figures(table: pd.DataFrame) -> Iterator[Figures]:
    runs = rows(table)
    if not _tasks(runs):
        return
    yield Figures("effects", "What each stage does, and what they do to each other", EFFECTS,
                  [one for task in _tasks(runs) for one in _effects(runs, task)])  # fmt: skip
    yield Figures("stages", "One stage after the other", ORDER, [_stages(runs, task) for task in _tasks(runs)])


def _tasks(runs: pd.DataFrame) -> list[str]:
    return sorted(runs[runs["measure"] == "effect"]["task"].unique())


def _effects(runs: pd.DataFrame, task: str) -> list[Drawing]:
    """A drawing a level of compute, on one scale."""
    own = runs[(runs["measure"] == "effect") & (runs["task"] == task)]
    names: list[str] = list(dict.fromkeys(own["stage"]))
    by_compute = {
        compute: [
            _dot(name, own[(own["compute"] == compute) & (own["stage"] == name)], COLOURS[name.count(BETWEEN)])
            for name in names
        ]
        for compute in sorted(float(one) for one in own["compute"].unique())
    }
    limits = dots.reach([dot for shown in by_compute.values() for dot in shown], 0.0)
    return [
        Drawing(f"{task}, {compute:.2g} operations", "by stage, at equal compute",
                "; ".join(dot.words for dot in shown), partial(_draw, shown, limits), dots.height(len(shown)))
        for compute, shown in by_compute.items()
    ]  # fmt: skip


def _stages(runs: pd.DataFrame, task: str) -> Drawing:
    shown = []
    for place, name in enumerate(FACTORS):
        for measure, word, colour in (("gain_alone", "alone", GREY), ("gain_after", "after", BLUE)):
            if place or measure == "gain_alone":
                shown.append(_dot(f"{name} {word}", _of(runs, measure, name, task), colour))
    shown.append(_dot("all three", _of(runs, "gain_of_all", "all", task), GREEN))
    words = "; ".join(dot.words for dot in shown)
    return Drawing(task, "each stage alone and after those before it", words,
                   partial(_draw, shown, dots.reach(shown, 0.0)), dots.height(len(shown)))  # fmt: skip


def _of(runs: pd.DataFrame, measure: str, stage: str, task: str) -> pd.DataFrame:
    own = runs[(runs["measure"] == measure) & (runs["stage"] == stage) & (runs["task"] == task)]
    return own.groupby("seed")["value"].mean().reset_index()


def _dot(name: str, own: pd.DataFrame, colour: str) -> dots.Dot:
    over = interval_of(100 * own["value"])
    seeds = {int(seed): 100 * float(value) for seed, value in zip(own["seed"], own["value"], strict=True)}
    words = f"{name}: {worded(over.value, over.low, over.high, '+.1f')}"
    return dots.Dot(name, over.value, over.low, over.high, colour, words, seeds=seeds)


def _said(falls: object) -> str:
    """Falls of ln error as the change of the error in percent."""
    over = interval_of(falls)
    value, high, low = (100 * math.expm1(-end) for end in (over.value, over.low, over.high))
    return f"{worded(value, low, high, '+.1f')} %"


def _draw(shown: Sequence[dots.Dot], limits: tuple[float, float], axes: Axes) -> None:
    axes.axvline(0, color=GREY, linewidth=1.4, zorder=1)
    dots.draw(axes, shown, limits=limits, words=AXIS)
