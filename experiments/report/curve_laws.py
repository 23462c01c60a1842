"""Does a searched policy change the law of the loss curve, L = L0 + (B / t)^beta? (arXiv:2402.17759, eq 8, table 2.)

The fits are those of experiments/scaling.py, to log loss and over the end of the run. `beta_*` and `B_*` are without a
floor (L0 = 0 for both policies: the paper's one L0 is 1 % of its losses); `*_floored` with a floor of each curve's own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from .. import scaling
from ..contracts import Floats
from ..store import Folder
from . import searches
from .forms import change, interval
from .table import mean_interval

POLICIES = ("constant", "found")
START = 0.1  # t0, as a share of the run: 400 of 4,000 steps in the paper
POINTS = 25  # of a curve at most, evenly in log t: more change no digit that is shown, and take time
LEAST = 6  # points, below which nothing is fitted
FITS = 0.995  # r2 of log loss: the paper's worse fit
BELOW = 0.1  # of a curve's least loss: a floor that far below 0 is tried where the best one is at its bound

CRITERION = (
    f"L = L0 + (B/t)^β on the held-out loss after {START:.0%} of the run, one decade of t, as in arXiv:2402.17759 "
    "(there, a Transformer, one run: β 18.7 % larger, B 93.7 % smaller). L0 is 0 for both policies: the simplest form, "
    "and the paper's one L0 is 1 % of its losses. B: the step at which the law has 1 nat. Changes from the constant to "
    "the found policy are paired by seed. Larger, smaller: by the 95 % t interval of β's change without a floor. Not a "
    f"power law over this range: for one of the policies, r² of log loss is below {FITS:g}, the paper's worse fit, or "
    f"an exponential has {scaling.CRITERION.partition(';')[0].replace('sizes', 'steps')} (mean of the seeds' curves). "
    "β is not identified where, for one of the policies, its interval with a floor of its own does not overlap the one "
    f"without, or for most seeds that floor is at its bound 0 and one below 0 (by {BELOW:.0%} of the least loss) would "
    "fit better: the curve then gets steeper than any power law, and β depends on the range."
)


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
            **{f"B, {policy}": interval(group[f"B_{policy}"]) for policy in POLICIES},
            "change of B, %": interval(-100 * group["B_gain"]),
            **{f"L0 if free, {policy}": interval(group[f"floor_{policy}"]) for policy in POLICIES},
            "change of β with it, %": interval(100 * group["beta_gain_floored"]),
            "least r²": _least(group),
            "β identified": _identified(group),
            "verdict": _verdict(group, settings[str(setup), str(kept)]),
        }


def summary(found: Sequence[Mapping[str, Any]]) -> str:
    """How often the law of the loss curve got a larger exponent, in a sentence."""
    said = [row["verdict"] for row in found]
    larger, smaller, other = (sum(verdict.startswith(word) for verdict in said) for word in ("β l", "β s", "not"))
    sure = sum(row["verdict"].startswith("β l") and row["β identified"] == "yes" for row in found)
    return (
        f"The exponent β of the loss curve's power law is larger under the found policy in {larger} of {len(said)} "
        f"settings (identified in {sure}), smaller in {smaller}; {other} have no power law over this range."
    )


# ---- one curve -------------------------------------------------------------------------------------------------------


def _curve(folders: Sequence[Folder], policy: str) -> tuple[Floats, Floats]:
    """Steps after t0 and the mean of the seeds' held-out losses, nats."""
    found = pd.concat(searches.curves(folder) for folder in folders)
    losses = found[found["policy"] == policy].groupby("step")["held_out"].mean()
    losses = losses[losses.index > START * losses.index.max()]
    places = np.unique(np.linspace(0, len(losses) - 1, min(POINTS, len(losses))).round().astype(int))
    return losses.index.to_numpy(dtype=float)[places], losses.to_numpy(dtype=float)[places]


def _can_fit(x: Floats, y: Floats) -> bool:
    return len(x) >= LEAST and bool(np.isfinite(y).all() and (y > 0).all() and y.max() > y.min())


def _measured(folder: Folder) -> dict[str, float]:
    row: dict[str, float] = {}
    for policy in POLICIES:
        x, y = _curve([folder], policy)
        for end in ("", "_floored"):
            law = scaling.fit(x, y, "power", floored=bool(end)) if _can_fit(x, y) else None
            falls = law is not None and law.converged and law.rate > 0
            beta, scale, floor, r2 = _numbers(law, y) if law is not None and falls else [math.nan] * 4
            row |= {f"beta_{policy}{end}": beta, f"B_{policy}{end}": scale, f"r2_{policy}{end}": r2}
        row |= {f"floor_{policy}": floor, f"steepens_{policy}": bool(floor == 0 and _steepens(x, y))}
    for end in ("", "_floored"):
        row[f"beta_gain{end}"] = row[f"beta_found{end}"] / row[f"beta_constant{end}"] - 1
        row[f"B_gain{end}"] = 1 - row[f"B_found{end}"] / row[f"B_constant{end}"]
    return row


def _steepens(x: Floats, y: Floats) -> bool:
    """Whether a power law towards a loss below 0 fits better than one towards 0."""

    def miss(floor: float) -> float:
        law = scaling.predict(scaling.fit(x, y - floor, "power"), x) + floor
        return float(np.square(np.log(np.maximum(law, 1e-300) / y)).sum())

    return miss(-BELOW * float(y.min())) < miss(0.0)


def _numbers(law: scaling.Fit, y: Floats) -> list[float]:
    """beta, B in steps (amplitude = B^beta), the floor (0 at its bound) and r2 of log loss."""
    scale = math.exp(max(-700.0, min(700.0, math.log(law.amplitude) / law.rate)))
    floor = 0.0 if law.floor_hit else law.floor
    return [law.rate, scale, floor, 1 - law.residual**2 / float(np.var(np.log(y)))]


# ---- what is said of a setting ---------------------------------------------------------------------------------------


def _verdict(group: pd.DataFrame, folders: Sequence[Folder]) -> str:
    curves = [_curve(folders, policy) for policy in POLICIES]
    if not all(_can_fit(*curve) for curve in curves) or group["beta_gain"].isna().any():
        return "not a law: too few steps, or the loss does not fall"
    named = [policy for policy, (x, y) in zip(POLICIES, curves, strict=True)
             if scaling.compare(x, y).verdict == "exponential"]  # fmt: skip
    if named:
        return f"not a power law over this range: an exponential ({' and '.join(named)})"
    bad = [policy for policy in POLICIES if group[f"r2_{policy}"].mean() < FITS]
    if bad:
        return f"not a power law over this range: bad fit ({' and '.join(bad)})"
    sign = change(group["beta_gain"], 0 * group["beta_gain"]).sign
    return {1: "β larger", -1: "β smaller"}.get(sign, "undecided")


def _identified(group: pd.DataFrame) -> str:
    """yes, or why not."""
    for policy in POLICIES:
        steeper = int(group[f"steepens_{policy}"].sum())
        if 2 * steeper > len(group):
            return f"no: floor at its bound in {steeper} of {len(group)} seeds ({policy})"
        ends = [mean_interval(group[f"beta_{policy}{end}"].to_numpy(dtype=float))[2:] for end in ("", "_floored")]
        if not np.isfinite(ends).all():
            return "no: there is no interval"
        (low, high), (low_floored, high_floored) = ends
        if low > high_floored or low_floored > high:
            return f"no: it depends on the floor ({policy})"
    return "yes"


def _least(group: pd.DataFrame) -> str:
    """r2 of log loss without a floor, then with one: the lower of both policies' means."""
    return " / ".join(f"{min(group[f'r2_{one}{end}'].mean() for one in POLICIES):.4f}" for end in ("", "_floored"))
