"""The rows that claims are judged on: losses and speeds of shapes, and the law that all shapes of a size give together.

A quantity q of many runs (an optimum, a rank) has a row a seed: q of the means of all S seeds, plus S - 1 times what q
without this seed is below the mean of such q. The rows' mean is q, and their t interval is the jackknife's over seeds.
What other shapes would give is in the law's own interval, which the page draws beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from ...contracts import Floats
from ...errors import ConfigError
from ...laws import conditional
from ...laws.intervals import interval_of

SHAPE = ["parameters", "depth", "width", "heads", "keys"]
RECIPE = ["learning_rate", "batch_size", "weight_decay", "tokens_per_parameter"]
SETTING = ["context", "texts", "precision"]  # of decoding
LAW = ("ln_x_star", "ln_r_star", "ln_kappa_x", "ln_kappa_r")
CHANGES = ("change_of_ln_kappa_x", "change_of_ln_kappa_r")  # from the size before
HELD_OUT = ("rank", "ln_error", "best_rank")  # error: over that of predicting one loss for every shape
REFERENCE = (64, 8, 4)  # width, heads, heads of keys: the shape that a choice is compared with
Quantities = Mapping[str, float]
Row = dict[str, object]


def rows(table: pd.DataFrame) -> pd.DataFrame:
    """measure, value, seed and the shape, size or depth that it is of."""
    losses, speeds = trained_alike(table), table[table["question"] == "throughput"]
    found = [
        _measured(losses, "loss", losses["loss"] if len(losses) else None),
        _measured(speeds, "ln_speed", speeds["speed"].astype(float).map(math.log) if len(speeds) else None),
        _by_rate(table),
        pd.DataFrame(_of_laws(losses)),
        pd.DataFrame(_of_choice(losses, speeds)),
    ]
    return pd.concat([one for one in found if len(one)], ignore_index=True)


def _measured(runs: pd.DataFrame, measure: str, values: pd.Series[float] | None) -> pd.DataFrame:
    """A row a run."""
    if values is None or not len(runs):
        return pd.DataFrame()
    more = SETTING if measure == "ln_speed" else ["learning_rate"]
    return runs.assign(measure=measure, value=values)[["measure", "value", "seed", *SHAPE, "x", "r", *more]]


def _converged(table: pd.DataFrame) -> pd.DataFrame:
    """The runs that were trained and did not diverge."""
    trained = table[table["question"] == "loss"]
    return trained[trained["loss"].astype(float).notna()] if len(trained) else trained


def trained_alike(table: pd.DataFrame) -> pd.DataFrame:
    """The trained runs of the most frequent recipe: those of other learning rates show that it was tuned."""
    trained = _converged(table)
    for name in RECIPE:
        if len(trained):
            trained = trained[trained[name] == trained[name].mode().iloc[0]]
    return trained


def _by_rate(table: pd.DataFrame) -> pd.DataFrame:
    """The losses of the shape that was trained at several learning rates."""
    trained = _converged(table)
    if not len(trained):
        return trained
    several = trained.groupby(SHAPE)["learning_rate"].transform("nunique") > 1
    return _measured(trained[several], "loss_at_rate", trained[several]["loss"])


def points(runs: pd.DataFrame) -> pd.DataFrame:
    """Means and intervals over seeds."""
    found = []
    keys = [name for name in ("measure", *SHAPE, "x", "r", "learning_rate", *SETTING) if name in runs]
    for key, group in runs.groupby(keys, dropna=False, sort=False):
        one = interval_of(group["value"])
        row = dict(zip(keys, key, strict=True)) | {"seeds": len(group), "value": one.value}
        found.append(row | {"low": one.low, "high": one.high})
    return pd.DataFrame(found)


# ---- the law ---------------------------------------------------------------------------------------------------------


def law_of(losses: pd.DataFrame, form: conditional.Form = "multiplicative") -> conditional.Fit:
    """Fitted to these runs, each size with its own lowest loss; ConfigError where they do not determine it."""
    x, r, loss = (losses[name].to_numpy(dtype=float) for name in ("x", "r", "loss"))
    return conditional.fit(x, r, loss, losses["parameters"].to_numpy(), form=form)


def usual_depth(losses: pd.DataFrame) -> int:
    """The depth of most runs: other depths have an optimum of their own."""
    return int(losses["depth"].mode().iloc[0])


def held_out_size(losses: pd.DataFrame) -> int:
    """The largest size, which the law that is judged on it is not fitted to."""
    return int(losses["parameters"].max())


def _of_laws(losses: pd.DataFrame) -> Iterator[Row]:
    """x*, r* and the kappas of each size and depth alone; how the law of the smaller sizes ranks the largest."""
    for (depth, size), own in losses.groupby(["depth", "parameters"]):
        for row in pseudo_values(own, _optimum, LAW):
            yield row | {"depth": depth, "parameters": size}
    if not len(losses):
        return
    depth = usual_depth(losses)
    same = losses[losses["depth"] == depth]
    sizes = sorted(same["parameters"].unique())
    if len(sizes) > 1:
        for row in pseudo_values(same, _ranked, HELD_OUT):
            yield row | {"depth": depth, "parameters": sizes[-1]}
    for first, second in pairwise(sizes):  # is the curvature shared?
        pair = same[same["parameters"].isin([first, second])]
        for row in pseudo_values(pair, _changed, CHANGES):
            yield row | {"depth": depth, "parameters": second}


def _optimum(losses: pd.DataFrame) -> Quantities:
    law = law_of(losses)
    if law.reason:
        raise ConfigError(law.reason)
    return dict(zip(LAW, np.log([law.x_star, law.r_star, law.kappa_x, law.kappa_r]), strict=True))


def _ranked(losses: pd.DataFrame) -> Quantities:
    largest = held_out_size(losses)
    seen, unseen = losses[losses["parameters"] < largest], losses[losses["parameters"] == largest]
    found = conditional.held_out(law_of(seen), *(unseen[name].to_numpy(dtype=float) for name in ("x", "r", "loss")))
    return dict(zip(HELD_OUT, (found.rank, 0.5 * math.log(found.error / found.mean_error), found.best), strict=True))


def _changed(losses: pd.DataFrame) -> Quantities:
    """ln kappa of the larger size less that of the smaller."""
    sizes = losses["parameters"].min(), losses["parameters"].max()
    smaller, larger = (_optimum(losses[losses["parameters"] == size]) for size in sizes)
    return {change: larger[name] - smaller[name] for change, name in zip(CHANGES, LAW[2:], strict=True)}


def pseudo_values(
    losses: pd.DataFrame, quantities: Callable[[pd.DataFrame], Quantities], names: Sequence[str]
) -> Iterator[Row]:
    """A row for each quantity and seed; without a value where all seeds, or all but one, do not determine it."""
    seeds = sorted(losses["seed"].unique())
    if len(seeds) < 2:
        return
    try:
        whole = quantities(losses)
        without = [quantities(losses[losses["seed"] != seed]) for seed in seeds]
    except ConfigError:
        whole, without = dict.fromkeys(names, math.nan), [dict.fromkeys(names, math.nan)] * len(seeds)
    for name in names:
        alone = np.array([one[name] for one in without])
        for seed, value in zip(seeds, whole[name] + (len(seeds) - 1) * (alone.mean() - alone), strict=True):
            yield {"measure": name, "seed": seed, "value": float(value)}


# ---- the choice ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Chosen:
    """What algorithm 1 of arXiv:2510.18245 takes among shapes of one size."""

    reference: int  # rows of the table that it chose from
    chosen: int
    best: int  # the lowest predicted loss


def choose(predicted: Floats, speeds: Floats, reference: int, error: float) -> Chosen:
    """The fastest shape whose predicted loss is within a standard error of the reference's."""
    allowed = np.flatnonzero(predicted <= predicted[reference] * (1 + error))
    return Chosen(reference, int(allowed[np.argmax(speeds[allowed])]), int(np.argmin(predicted)))


def candidates(losses: pd.DataFrame, speeds: pd.DataFrame) -> pd.DataFrame:
    """Shapes of the largest size that were trained and timed: mean loss, predicted loss and tokens a second.

    Predicted by the law of the smaller sizes; the speed is that of float32 at most texts and the shortest context.
    """
    depth = usual_depth(losses)
    same = losses[losses["depth"] == depth]
    largest = held_out_size(same)
    law = law_of(same[same["parameters"] < largest])
    timed = speeds[(speeds["precision"] == "float32") & (speeds["parameters"] == largest)]
    timed = timed[(timed["texts"] == timed["texts"].max()) & (timed["context"] == timed["context"].min())]
    by_shape = timed.groupby(SHAPE)["speed"].mean().rename("speed")
    trained = same[same["parameters"] == largest].groupby([*SHAPE, "x", "r"])["loss"].mean().reset_index()
    table = trained.merge(by_shape, on=SHAPE).sort_values(SHAPE).reset_index(drop=True)
    return table.assign(predicted=law.predict(table["x"].to_numpy(), table["r"].to_numpy()), error=law.residual)


def reference_of(table: pd.DataFrame) -> int | None:
    """The row of the reference shape, where it is there."""
    found = np.flatnonzero((table[["width", "heads", "keys"]].to_numpy() == REFERENCE).all(axis=1))
    return int(found[0]) if len(found) else None


def _of_choice(losses: pd.DataFrame, speeds: pd.DataFrame) -> Iterator[Row]:
    """The chosen shape against the reference: its loss by training seed, its speed by repeat."""
    if not len(losses) or not len(speeds):
        return
    try:
        table = candidates(losses, speeds)
    except ConfigError:
        return
    place = reference_of(table)
    if place is None:
        return
    found = choose(table["predicted"].to_numpy(), table["speed"].to_numpy(), place, float(table["error"].iloc[0]))

    def by_seed(of: pd.DataFrame, name: str, row: int) -> pd.Series[float]:
        keyed = of.merge(table.loc[[row], SHAPE], on=SHAPE)
        return keyed.groupby("seed")[name].mean().astype(float).map(math.log)

    timed = speeds[(speeds["precision"] == "float32") & (speeds["texts"] == speeds["texts"].max())]
    timed = timed[timed["context"] == timed["context"].min()]
    for name, of, column, row in (
        ("loss_of_chosen", losses, "loss", found.chosen),
        ("ln_speed_of_chosen", timed, "speed", found.chosen),
        ("ln_speed_of_best", timed, "speed", found.best),
    ):
        difference = by_seed(of, column, row) - by_seed(of, column, found.reference)
        for seed, value in difference.dropna().items():
            yield {"measure": name, "seed": seed, "value": value, "parameters": int(table["parameters"].iloc[0])}
