"""The rows that claims are judged on: losses and speeds of shapes, and the law that all shapes of a size give together.

A quantity q of many runs (an optimum, a rank) has a row a seed: q of the means of all S seeds, plus S - 1 times what q
without this seed is below the mean of such q. The rows' mean is q, and their t interval is the jackknife's over seeds.
What other shapes would give is in the law's own interval, which the page draws beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from ...errors import ConfigError
from ...laws import conditional
from ...laws.intervals import interval_of

SHAPE = ["parameters", "depth", "width", "heads", "keys"]
RECIPE = ["learning_rate", "batch_size", "weight_decay", "tokens_per_parameter"]
SETTING = ["context", "texts", "precision"]  # of decoding
LAW = ("ln_x_star", "ln_r_star", "ln_kappa_x", "ln_kappa_r")
CHANGES = ("change_of_ln_kappa_x", "change_of_ln_kappa_r")  # from the size before
HELD_OUT = ("rank", "ln_error", "best_rank")  # error: over that of predicting one loss for every shape
Quantities = Mapping[str, float]
Row = dict[str, object]


def rows(table: pd.DataFrame) -> pd.DataFrame:
    """measure, value, seed and the shape, size or depth that it is of."""
    losses, speeds = trained_alike(table), table[table["question"] == "throughput"]
    found = [
        measured(losses, "loss", losses["loss"] if len(losses) else None),
        measured(speeds, "ln_speed", speeds["speed"].astype(float).map(math.log) if len(speeds) else None),
        _by_rate(table),
        pd.DataFrame(_of_laws(losses)),
    ]
    return pd.concat([one for one in found if len(one)], ignore_index=True)


def measured(runs: pd.DataFrame, measure: str, values: pd.Series[float] | None) -> pd.DataFrame:
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
    """The trained runs that the law is of: the most frequent query group, with the most frequent recipe.

    Those of other learning rates show that it was tuned, and those of other query groups are the search's (choosing).
    """
    trained = same_recipe(table)
    if not len(trained):
        return trained
    group = trained["heads"] / trained["keys"]
    usual: pd.DataFrame = trained[group == group.mode().iloc[0]]
    return usual


def same_recipe(table: pd.DataFrame) -> pd.DataFrame:
    """The trained runs of the most frequent recipe."""
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
    return measured(trained[several], "loss_at_rate", trained[several]["loss"])


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


def smaller(losses: pd.DataFrame) -> pd.DataFrame:
    """The runs of all sizes but the largest."""
    return losses[losses["parameters"] < held_out_size(losses)]


def predicted(law: conditional.Fit, losses: pd.DataFrame) -> conditional.HeldOut:
    """How the law predicts the shapes of the largest size."""
    unseen = losses[losses["parameters"] == held_out_size(losses)]
    return conditional.held_out(law, *(unseen[name].to_numpy(dtype=float) for name in ("x", "r", "loss")))


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
    found = predicted(law_of(smaller(losses)), losses)
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
