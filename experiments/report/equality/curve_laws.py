"""Does a searched policy change the law of the loss curve, L = L0 + (B / t)^beta? (arXiv:2402.17759, eq 8, table 2.)

The fits are those of laws/scaling.py, to log loss and over the end of the run: `beta_*` and `B_*` without a floor (L0 =
0 for both policies), `*_floored` with a floor of each curve's own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ...contracts import Floats
from ...laws import scaling
from ...laws.intervals import interval_of, worded
from ...store.folders import Folder
from ..parts import Section, cells, note
from . import searches
from .marks import change, interval

POLICIES = ("constant", "found")
START = 0.1  # t0, as a share of the run: 400 of 4,000 steps in the paper
POINTS = 25  # of a curve at most, evenly in log t: all 60 or so move a change of beta by less than a point
LEAST = 6  # points, below which nothing is fitted
FITS = 0.995  # r2 of log loss: the paper's worse fit
NONE = "not a power law over this range"
FAR = 30.0  # of ln B: beyond it, 1e13 steps, B says nothing of a run
SIGNS = {1: "β larger", -1: "β smaller", 0: "undecided"}
BELOW = 0.1  # of a curve's least loss: a floor that far below 0 is tried where the best one is at its bound

CRITERION = (
    f"L = L0 + (B/t)^β on the held-out loss after {START:.0%} of the run, one decade of t (arXiv:2402.17759, a "
    "Transformer, one run: β 18.7 % larger, B 93.7 % smaller). L0 is 0 for both policies; the paper's one L0 is 1 % "
    "of its losses. B: the step at which the law has 1 nat; a larger β through the same losses makes it smaller where "
    "they are above 1 nat and larger where they are below. Changes from the constant to the found policy are paired "
    "by seed. Larger, smaller: by the 95 % t interval of β's change without a floor. Not a power law over this range: "
    f"for one of the policies, r² of log loss is below {FITS:g}, the paper's worse fit, or an exponential has "
    f"{scaling.CRITERION.partition(';')[0].replace('sizes', 'steps')} (mean of the seeds' curves). β is not "
    "identified: for one of the policies, a floor of its own changes it (the 95 % t interval of the difference, paired "
    f"by seed, excludes 0), or for most seeds that floor is at its bound 0 and one below 0 (by {BELOW:.0%} of the "
    "least loss) fits better; the curve is then steeper than any power law, and β depends on the range. Means and 95 % "
    "t intervals over seeds; of B's logarithm, which is then turned back."
)


def section(laws: Sequence[Mapping[str, Any]]) -> Section:
    return Section("The law of the loss curve", [note(CRITERION), cells(laws)])


def measured(folders: Mapping[str, Folder]) -> pd.DataFrame:
    """A row for each search, by its key: `beta_`, `B_` and `r2_` of both policies, `beta_gain`, `B_gain`, and floored.

    Gains are relative and positive where the found policy is better: beta_found / beta_constant - 1, and
    1 - B_found / B_constant. B is in steps, a floor in nats. NaN where there is no fit, or the loss does not fall.
    """
    return pd.DataFrame.from_dict({key: _measured(folder) for key, folder in folders.items()}, orient="index")


def rows(runs: pd.DataFrame, settings: Mapping[tuple[str, str], Sequence[Folder]]) -> Iterator[dict[str, Any]]:
    """A row for each setting: both laws, their changes, and what can be said of them."""
    for (setup, kept), group in runs.groupby(["setup", "kept"], sort=False):
        yield {
            "setting": setup,
            "kept": kept,
            "seeds": len(group),
            **{f"β, {policy}": interval(group[f"beta_{policy}"]) for policy in POLICIES},
            "change of β, %": interval(100 * group["beta_gain"]),
            **{f"B, {policy}": _of_logs(group[f"B_{policy}"]) for policy in POLICIES},
            "change of B, %": interval(-100 * group["B_gain"]),
            **{f"L0 if free, {policy}": interval(group[f"floor_{policy}"]) for policy in POLICIES},
            "change of β with it, %": interval(100 * group["beta_gain_floored"]),
            **{f"r², {policy}": f"{group[f'r2_{policy}'].mean():.4f}" for policy in POLICIES},
            "β identified": _identified(group),
            "verdict": _verdict(group, settings[str(setup), str(kept)]),
        }


def summary(found: Sequence[Mapping[str, Any]]) -> str:
    """How often the law of the loss curve got a larger exponent, in a sentence."""
    larger, smaller, none = (sum(word in row["verdict"] for row in found) for word in ("larger", "smaller", NONE))
    unsure = sum(row["β identified"] != "yes" for row in found)
    return (
        f"Fitted by a power law, the loss curve has a larger exponent β under the found policy in {larger} of "
        f"{len(found)} settings and a smaller one in {smaller}; in {none} the curves are {NONE}, and in {unsure} β is "
        "not identified."
    )


def _curves(folders: Sequence[Folder]) -> dict[str, tuple[Floats, Floats]]:
    """Of both policies: steps after t0, and the mean of the seeds' held-out losses, nats."""
    losses = pd.concat(searches.curves(folder) for folder in folders).groupby(["policy", "step"])["held_out"].mean()
    found = {}
    for policy in POLICIES:
        own = losses[policy]
        own = own[own.index > START * own.index.max()]
        own = own.iloc[np.unique(np.linspace(0, len(own) - 1, min(POINTS, len(own))).round().astype(int))]
        found[policy] = own.index.to_numpy(dtype=float), own.to_numpy(dtype=float)
    return found


def _can_fit(x: Floats, y: Floats) -> bool:
    return len(x) >= LEAST and bool(np.isfinite(y).all() and (y > 0).all() and y.max() > y.min())


def _measured(folder: Folder) -> dict[str, float]:
    row: dict[str, float] = {}
    for policy, (x, y) in _curves([folder]).items():
        for end in ("", "_floored"):
            beta, scale, r2, floor = _law(x, y, floored=bool(end))
            row |= {f"beta_{policy}{end}": beta, f"B_{policy}{end}": scale, f"r2_{policy}{end}": r2}
        row |= {f"floor_{policy}": floor, f"steepens_{policy}": floor == 0 and _steepens(x, y)}
    for end in ("", "_floored"):
        row[f"beta_gain{end}"] = row[f"beta_found{end}"] / row[f"beta_constant{end}"] - 1
        row[f"B_gain{end}"] = 1 - row[f"B_found{end}"] / row[f"B_constant{end}"]
    return row


def _law(x: Floats, y: Floats, *, floored: bool) -> tuple[float, float, float, float]:
    """beta, B (the amplitude is B^beta), r2 of log loss, and the floor, 0 where it is at its bound."""
    law = scaling.fit(x, y, "power", floored=floored, every=2) if _can_fit(x, y) else None
    if law is None or not law.converged or law.rate <= 0:
        return (math.nan,) * 4
    scale = math.log(law.amplitude) / law.rate
    r2 = 1 - law.residual**2 / float(np.var(np.log(y)))
    return law.rate, math.exp(scale) if abs(scale) < FAR else math.nan, r2, 0.0 if law.floor_hit else law.floor


def _steepens(x: Floats, y: Floats) -> bool:
    """Whether a power law towards a loss below 0 fits better than one towards 0."""

    def miss(floor: float) -> float:
        law = scaling.predict(scaling.fit(x, y - floor, "power"), x) + floor
        return float(np.square(np.log(np.maximum(law, 1e-300) / y)).sum())

    return miss(-BELOW * float(y.min())) < miss(0.0)


def _verdict(group: pd.DataFrame, folders: Sequence[Folder]) -> str:
    curves = _curves(folders)
    if not all(_can_fit(*curve) for curve in curves.values()) or group["beta_gain"].isna().any():
        return f"{NONE}: too few steps, or the loss does not fall"
    better = [policy for policy, curve in curves.items() if scaling.compare(*curve).verdict == "exponential"]
    fits = {policy: float(group[f"r2_{policy}"].mean()) for policy in POLICIES}
    against = [f"an exponential ({policy})" for policy in better]
    against += [f"r² {r2:.4f} ({policy})" for policy, r2 in fits.items() if r2 < FITS]
    said = SIGNS[change(group["beta_gain"], 0).sign]
    return f"{said}; {NONE}: {', '.join(against)}" if against else said


def _identified(group: pd.DataFrame) -> str:
    """yes, or why not."""
    for policy in POLICIES:
        steeper = int(group[f"steepens_{policy}"].sum())
        if 2 * steeper > len(group):
            return f"no: floor at its bound in {steeper} of {len(group)} seeds ({policy})"
        if group[[f"beta_{policy}", f"beta_{policy}_floored"]].isna().any(axis=None) or len(group) < 2:
            return "no: there is no interval"
        shift = interval_of(group[f"beta_{policy}_floored"] - group[f"beta_{policy}"])
        if shift.low > 0 or shift.high < 0:
            return f"no: it depends on the floor ({policy})"
    return "yes"


def _of_logs(values: pd.Series[Any]) -> str:
    """Geometric mean and the interval of it."""
    one = interval_of(np.log(values))
    return worded(*np.exp([one.value, one.low, one.high]))
