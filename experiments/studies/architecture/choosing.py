"""Which shape algorithm 1 of arXiv:2510.18245 takes, and what it costs and gains against the reference.

First the law: among shapes within 0.5 % of N (the study refuses others), with the usual query group, the fastest whose
predicted loss is within a standard error of the reference's. Speed is measured. Then the heads of keys, of which the
law says nothing: those of the chosen shape are reduced, one number after the other, and each is trained, for as long as
the measured loss is within a standard error of the reference's; the fastest of these is the choice. It is compared with
the reference on the seeds that chose it, which favours it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ...contracts import Floats
from ...errors import ConfigError
from ...figures.axes import name_axes
from ...figures.panels import Drawing, Figures
from ...figures.style import BLUE, CARD, GREEN, GREY, INK, ORANGE
from ...laws.intervals import interval_of
from .fits import SHAPE, Row, held_out_size, law_of, measured, same_recipe, smaller, trained_alike, usual_depth

REFERENCE = (64, 8, 4)  # width, heads, heads of keys: the shape that a choice is compared with
WORDS = (
    "Each dot is a trained shape of the largest size, with its heads of queries and of keys; hollow: fewer heads of "
    "keys than half. Line: no other is both better and faster. Chosen by the law: the fastest whose predicted loss is "
    "within a standard error of the reference's. Then its heads of keys are reduced for as long as the trained loss is "
    "within a standard error of the reference's."
)


@dataclass(frozen=True, slots=True)
class Chosen:
    """What the law and the clock take among shapes of one size."""

    reference: int  # rows of the table that it chose from
    chosen: int
    best: int  # the lowest predicted loss


def choose(predicted: Floats, speeds: Floats, reference: int, error: float) -> Chosen:
    """The fastest shape whose predicted loss is within a standard error of the reference's."""
    allowed = np.flatnonzero(predicted <= predicted[reference] * (1 + error))
    return Chosen(reference, int(allowed[np.argmax(speeds[allowed])]), int(np.argmin(predicted)))


def search(keys: Floats, speeds: Floats, loss: Floats, error: Floats, first: int) -> int:
    """The row of the fastest among the first choice and those with fewer heads of keys, up to one that is worse.

    (n,) heads of keys, speed, ln of the loss over the reference's and its standard error, of one width and its heads.
    """
    allowed = [first]
    for row in np.argsort(-keys):
        if keys[row] < keys[first]:
            if not loss[row] <= error[row]:
                break
            allowed.append(int(row))
    return max(allowed, key=lambda row: float(speeds[row]))


# ---- from the tables -------------------------------------------------------------------------------------------------


def candidates(losses: pd.DataFrame, speeds: pd.DataFrame) -> pd.DataFrame:
    """Shapes of the largest size that were trained and timed: mean loss, predicted loss and tokens a second.

    Predicted by the law of the smaller sizes, for the usual query group alone.
    """
    same = losses[losses["depth"] == usual_depth(losses)]
    law = law_of(smaller(same))
    by_shape = timed(speeds, held_out_size(same)).groupby(SHAPE)["speed"].mean().rename("speed")
    trained = same[same["parameters"] == held_out_size(same)].groupby([*SHAPE, "x", "r"])["loss"].mean().reset_index()
    table = trained.merge(by_shape, on=SHAPE).sort_values(SHAPE).reset_index(drop=True)
    return table.assign(predicted=law.predict(table["x"].to_numpy(), table["r"].to_numpy()), error=law.residual)


def timed(speeds: pd.DataFrame, size: int) -> pd.DataFrame:
    """The runs whose speed counts: float32, most texts, shortest context."""
    own = speeds[(speeds["precision"] == "float32") & (speeds["parameters"] == size)]
    own = own[own["texts"] == own["texts"].max()]
    shortest: pd.DataFrame = own[own["context"] == own["context"].min()]
    return shortest


def reference_of(table: pd.DataFrame) -> int | None:
    """The row of the reference shape, where it is there."""
    found = np.flatnonzero((table[["width", "heads", "keys"]].to_numpy() == REFERENCE).all(axis=1))
    return int(found[0]) if len(found) else None


@dataclass(frozen=True, slots=True)
class Choice:
    """Both halves of the algorithm, on the runs of an experiment."""

    shapes: pd.DataFrame  # candidates of the law
    first: Chosen
    by_keys: pd.DataFrame  # of the chosen width and heads: loss over the reference's, its error, speed
    last: pd.Series[Any]  # the row of `by_keys` that the search ends with


def choice_of(table: pd.DataFrame) -> Choice | None:
    """None where the runs have no law, no reference or no speeds."""
    losses, every = trained_alike(table), same_recipe(table)
    speeds = table[table["question"] == "throughput"] if len(table) else table
    if not len(losses) or not len(speeds):
        return None
    try:
        shapes = candidates(losses, speeds)
    except ConfigError:
        return None
    if (place := reference_of(shapes)) is None:
        return None
    found = choose(shapes["predicted"].to_numpy(), shapes["speed"].to_numpy(), place, float(shapes["error"].iloc[0]))
    chosen, clocked = shapes.iloc[found.chosen], timed(speeds, held_out_size(losses))
    rows = []
    for shape, own in every.groupby(SHAPE):
        about = dict(zip(SHAPE, shape, strict=True))
        speed = clocked[_of(clocked, about)]["speed"]
        if all(about[name] == chosen[name] for name in SHAPE[:-1]) and len(speed):
            over = interval_of(_apart(own, every[_of(every, shapes.iloc[place])], "loss"))
            rows.append(about | {"loss": over.value, "error": over.error, "speed": float(speed.mean())})
    by_keys = pd.DataFrame(rows)
    first = int(np.flatnonzero(by_keys["keys"] == chosen["keys"])[0])
    columns: list[Floats] = [by_keys[name].to_numpy(dtype=float) for name in ("keys", "speed", "loss", "error")]
    last = search(columns[0], columns[1], columns[2], columns[3], first)
    return Choice(shapes, found, by_keys, by_keys.iloc[last])


def _of(runs: pd.DataFrame, shape: pd.Series[Any] | dict[str, Any]) -> pd.Series[bool]:
    return (runs[SHAPE] == [shape[name] for name in SHAPE]).all(axis=1)


def _apart(own: pd.DataFrame, other: pd.DataFrame, name: str) -> pd.Series[float]:
    """By seed, ln of a measure over the other's."""
    one, two = (runs.groupby("seed")[name].mean().astype(float).map(math.log) for runs in (own, other))
    return (one - two).dropna()


def rows(table: pd.DataFrame) -> pd.DataFrame:
    """The chosen shapes against the reference: loss by training seed, speed by repeat; the loss by heads of keys."""
    every, found = same_recipe(table), []
    group = every["heads"] / every["keys"] if len(every) else pd.Series(dtype=float)
    if group.nunique() > 1:
        several = every.groupby(SHAPE[:-1])["keys"].transform("nunique") > 1
        by_keys = every[several]
        found.append(measured(by_keys, "ln_loss_by_keys", by_keys["loss"].astype(float).map(math.log)))
    found.append(pd.DataFrame(_of_choice(table)))
    return pd.concat(found, ignore_index=True)


def _of_choice(table: pd.DataFrame) -> Iterator[Row]:
    if (choice := choice_of(table)) is None:
        return
    every, size = same_recipe(table), int(choice.last["parameters"])
    clocked = timed(table[table["question"] == "throughput"], size)
    shapes, found = choice.shapes, choice.first
    chosen, best, searched = shapes.iloc[found.chosen], shapes.iloc[found.best], choice.last
    for measure, runs, column, shape in (
        ("loss_of_chosen", every, "loss", chosen),
        ("ln_speed_of_chosen", clocked, "speed", chosen),
        ("ln_speed_of_best", clocked, "speed", best),
        ("loss_of_searched", every, "loss", searched),
        ("ln_speed_of_searched", clocked, "speed", searched),
    ):
        reference = runs[_of(runs, shapes.iloc[found.reference])]
        for seed, value in _apart(runs[_of(runs, shape)], reference, column).items():
            yield {"measure": measure, "seed": seed, "value": value, "parameters": size}


# ---- on the page -----------------------------------------------------------------------------------------------------


def figures(table: pd.DataFrame) -> Iterator[Figures]:
    losses, every = trained_alike(table), same_recipe(table)
    speeds = table[table["question"] == "throughput"] if len(table) else table
    if not len(losses) or not len(speeds):
        return
    size = held_out_size(losses)
    clocked = timed(speeds, size).groupby(SHAPE)["speed"].mean().rename("speed")
    shapes = every[every["parameters"] == size].groupby(SHAPE)["loss"].mean().reset_index().merge(clocked, on=SHAPE)
    if len(shapes):
        drawing = Drawing(f"{size:,} parameters", "mean loss, measured speed", "loss against tokens a second",
                          partial(_pareto, shapes, choice_of(table)))  # fmt: skip
        yield Figures("pareto", "Loss against the speed of decoding", WORDS, [drawing], columns=1)


def _pareto(shapes: pd.DataFrame, choice: Choice | None, axes: Axes) -> None:
    ordered = shapes.sort_values(["speed", "loss"], ascending=[False, True])
    front = ordered[ordered["loss"] <= ordered["loss"].cummin()]
    axes.plot(front["speed"], front["loss"], color=GREY, linewidth=1)
    few = 2 * shapes["keys"] < shapes["heads"]
    for own, inside in ((shapes[~few], BLUE), (shapes[few], CARD)):
        axes.plot(own["speed"], own["loss"], "o", color=BLUE, markerfacecolor=inside)
    for one in shapes.to_dict("records"):
        axes.annotate(f"d {one['width']:.0f}, {one['heads']:.0f}/{one['keys']:.0f}", (one["speed"], one["loss"]),
                      xytext=(4, 4), textcoords="offset points", fontsize=7.5)  # fmt: skip
    if choice is not None:
        first = choice.first
        marked = {"reference": (choice.shapes.iloc[first.reference], INK),
                  "chosen by the law": (choice.shapes.iloc[first.chosen], ORANGE),
                  "after the search over heads of keys": (choice.last, GREEN)}  # fmt: skip
        for place, (name, (shape, colour)) in enumerate(marked.items()):
            own = shapes[_of(shapes, shape)]
            axes.plot(own["speed"], own["loss"], "o", color=colour, markersize=9 - 2.5 * place, label=name)
    name_axes(axes, "tokens a second", "loss (nats a token)")
