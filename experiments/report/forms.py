"""Which form of the Learning Law measurements support, and what policies save: verdicts with intervals over seeds."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ..laws import claims
from .table import mean_interval

CRITERION = (
    "cv at the constant and at the found policy, paired by seed. Exact: φ became more equal and is more equal than CT. "
    "Printed: the same with CT and φ exchanged. Neither: both became less equal. Each by a 95 % t interval; undecided "
    f"where one crosses 0, or with fewer than {claims.SEEDS} seeds. Gap: how far the largest φ is above the mean, over "
    "the mean; 0 at the best policy. Held out: towards a part of the dev split that nothing was searched on; the law "
    "is of the target that was."
)
LEVELS = (0.5, 0.75)  # of the first target loss, the first of them that every run of a setup reached


@dataclass(frozen=True, slots=True)
class Change:
    """Mean of a difference paired by seed, its 95 % t interval, and its sign where that excludes 0."""

    mean: float
    low: float
    high: float
    n: int

    @property
    def sign(self) -> int:
        if self.n < claims.SEEDS or not math.isfinite(self.low + self.high):
            return 0
        return 1 if self.low > 0 else -1 if self.high < 0 else 0


def change(first: pd.Series[Any], second: pd.Series[Any]) -> Change:
    """The difference of two columns of the same runs, those with both."""
    values = (first - second).dropna().to_numpy(dtype=float)
    mean, _, low, high = mean_interval(values)
    return Change(mean, low, high, len(values))


def form_of(setting: Any, runs: pd.DataFrame) -> dict[str, Any]:
    """A row of the table of the law, and its verdict."""
    names = ("constant_ct_cv", "found_ct_cv", "constant_phi_cv", "found_phi_cv")
    columns = [_column(runs, name) for name in names]
    before_ct, after_ct, before_phi, after_phi = (one.where(one > 0) for one in columns)  # else the mean is negative
    phi, ct, apart = change(after_phi, before_phi), change(after_ct, before_ct), change(after_phi, after_ct)
    if phi.sign < 0 and apart.sign < 0:
        verdict = "exact"
    elif ct.sign < 0 and apart.sign > 0:
        verdict = "printed"
    else:
        verdict = "neither" if phi.sign > 0 and ct.sign > 0 else "undecided"
    return {
        "setting": setting[0],
        "kept": setting[1],
        "seeds": len(runs),
        "cv of φ, constant": interval(before_phi),
        "cv of φ, found": interval(after_phi),
        "cv of CT, constant": interval(before_ct),
        "cv of CT, found": interval(after_ct),
        "gap of φ, found": interval(_column(runs, "found_phi_kkt_gap")),
        "cv of φ, constant, held out": interval(_column(runs, "constant_held_phi_cv")),
        "cv of φ, found, held out": interval(_column(runs, "found_held_phi_cv")),
        "cv of CT, found, held out": interval(_column(runs, "found_held_ct_cv")),
        "mean φ / loss to fall, found": interval(_column(runs, "found_phi_ratio")),
        "form": verdict,
        "changes": {"phi": phi, "ct": ct},
    }


def supported(forms: Sequence[dict[str, Any]]) -> str:
    """Which form of the law the measurements support, in a sentence or two."""
    said = {
        "exact": "the exact form of the law (φ equal) more than the printed one (CT equal)",
        "printed": "the printed form of the law (CT equal) more than the exact one (φ equal)",
        "neither": "neither form of the law: both contributions became less equal",
        "undecided": "no form of the law: the intervals do not decide",
    }
    if all(form["seeds"] < claims.SEEDS for form in forms):
        return f"Nothing is decided: a verdict needs {claims.SEEDS} seeds or more, as in seed=0,1,2."
    if len(forms) > 1:
        counts = {name: sum(form["form"] == name for form in forms) for name in said}
        return (
            f"Of {len(forms)} settings, {counts['exact']} support the exact form of the law (φ equal), "
            f"{counts['printed']} the printed one (CT equal), {counts['neither']} neither, and "
            f"{counts['undecided']} are undecided."
        )
    form = forms[0]
    ends = [form[f"cv of φ, {policy}, held out"] for policy in ("constant", "found")]
    apart = "" if "–" in ends else f"; towards held-out examples the cv of φ goes from {ends[0]} to {ends[1]}"
    towards = {-1: "fell", 0: "did not clearly change", 1: "rose"}
    return (
        f"The measurements support {said[form['form']]}. From the constant to the found policy the cv of φ "
        f"{towards[form['changes']['phi'].sign]} ({form['cv of φ, constant']} to {form['cv of φ, found']}), that of CT "
        f"{towards[form['changes']['ct'].sign]} ({form['cv of CT, constant']} to {form['cv of CT, found']}); at 0 all "
        f"are equal. The largest φ is above the mean by {form['gap of φ, found']} of it, 0 at the best "
        f"policy{apart}."
    )


def steps(runs: pd.DataFrame) -> str:
    """Whether the constant policy at the best of the larger steps beats the found one, by area."""
    names = [name for name in runs.columns if re.fullmatch(r"area_constant_.+x", name)]
    counts, last = dict.fromkeys((-1, 0, 1), 0), ""
    for _, group in runs.groupby(["setup", "kept"], sort=False):
        whole = {name: float(group[name].mean()) for name in names if group[name].notna().all()}
        if not whole:
            continue
        best = min(whole, key=lambda name: whole[name])
        found = change(group["area_found"], group[best])
        counts[found.sign] += 1
        edge = ", the largest tried," if best == max(whole, key=_multiple) else ""
        last = (
            f"the constant policy at {_multiple(best):g} times the step{edge} has an area of {interval(group[best])} "
            f"nats, the found one {interval(group['area_found'])}"
        )
    total = sum(counts.values())
    if not total:
        return "The found policy was compared with no larger step."
    if total > 1:
        return (
            f"The best of the larger steps, without any search, beats the found policy in {counts[1]} of {total} "
            f"settings, and loses in {counts[-1]}."
        )
    said = {1: "A larger step beats the search", -1: "The search beats every larger step tried"}
    sign = next(sign for sign, number in counts.items() if number)
    return f"{said.get(sign, 'Whether a larger step beats the search is undecided')}: {last}."


def _multiple(name: str) -> float:
    return float(name.removeprefix("area_constant_").removesuffix("x"))


def subsets(runs: pd.DataFrame) -> list[dict[str, Any]]:
    """A row for each setting: what a search gains, how equal phi is, and both against a random subset of the size."""
    rows = []
    for setup, group in runs.groupby("setup", sort=False):
        reached = [level for level in LEVELS if _column(group, f"constant_phi_ess@{level:g}").notna().all()]
        level = reached[0] if reached else math.nan
        for kept, own in group.groupby("kept", sort=False):
            random = group[(group["rule"] == "random") & (group["keep"] == own["keep"].iloc[0])]
            control = random if own["rule"].iloc[0] not in ("none", "random") else random[:0]
            ess, gain = (_against(own, control, name) for name in (f"constant_phi_ess@{level:g}", "gain"))
            rows.append(
                {
                    "setting": setup,
                    "kept": kept,
                    "gain, held out": interval(own["gain"]),
                    "gain, target itself": interval(_column(own, "target_gain")),
                    "late weight on the hardest quarter": interval(_column(own, "late_mass_hardest")),
                    "level": f"{100 * level:g} %" if reached else "none reached",
                    "ESS of φ": interval(_column(own, f"constant_phi_ess@{level:g}")),
                    "signal of φ": interval(_column(own, f"constant_phi_signal@{level:g}")),
                    "ESS minus random's": _signed(ess),
                    "gain minus random's": _signed(gain),
                    "changes": {"ess": ess, "gain": gain},
                }
            )
    return rows


def pruned(rows: Sequence[dict[str, Any]]) -> str:
    """How often choosing by score made phi more equal than a random choice did; nothing where none was compared."""
    signs = [row["changes"]["ess"].sign for row in rows if row["changes"]["ess"].n]
    if not signs:
        return ""
    return (
        f"Against random subsets of the same size, at equal loss and under the constant policy, φ is more equal (ESS) "
        f"in {signs.count(1)} and less equal in {signs.count(-1)} of {len(signs)} subsets chosen by score."
    )


def _against(own: pd.DataFrame, control: pd.DataFrame, name: str) -> Change:
    first, second = (_column(side, name).set_axis(side["seed"]) for side in (own, control))
    return change(first, second)


def _signed(found: Change) -> str:
    if not found.n:
        return "–"
    ends = f" [{found.low:+.3g}, {found.high:+.3g}]" if math.isfinite(found.low + found.high) else ""
    return f"{found.mean:+.3g}{ends}".replace("-", "−")


def policies(runs: pd.DataFrame) -> Iterator[dict[str, str]]:
    """A row for each setting and policy."""
    names = [name.removeprefix("area_") for name in runs.columns if name.startswith("area_")]
    for (setup, kept), group in runs.groupby(["setup", "kept"], sort=False):
        for name in names:
            area, speed = group[f"area_{name}"], _column(group, f"acceleration_{name}")
            base = group["area_constant"]
            yield {
                "setting": str(setup),
                "kept": str(kept),
                "policy": re.sub(r"(\d)x$", r"\1× step", name.replace("_", " ")),
                "area": interval(area) if area.notna().any() else "diverged",
                "area saved, %": interval(100 * (1 - area / base)),
                "acceleration": interval(speed) if speed.notna().any() else "never",
                "seeds that get there": f"{speed.notna().sum()} of {len(group)}",
                "last loss": interval(_column(group, f"end_{name}")),
            }


def _column(runs: pd.DataFrame, name: str) -> pd.Series[Any]:
    return runs[name] if name in runs.columns else pd.Series(np.nan, index=runs.index)


def interval(values: pd.Series[Any]) -> str:
    """Mean and interval as words: 0.153 [0.12, 0.19]."""
    mean, _, low, high = mean_interval(values.dropna().to_numpy(dtype=float))
    if not math.isfinite(mean):
        return "–"
    ends = f" [{low:.3g}, {high:.3g}]" if math.isfinite(low + high) else ""
    return f"{mean:.3g}{ends}".replace("-", "−")
