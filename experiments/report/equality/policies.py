"""What the found policy changes: which form of the Learning Law the measurements support, and what is saved."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from ...laws import claims
from ..parts import Section, cells, note
from .marks import change, column, interval, without_changes

FORMS = (
    "cv at the constant and at the found policy, paired by seed. Exact: φ became more equal and is more equal than CT. "
    "Printed: the same with CT and φ exchanged. Neither: both became less equal. Each by a 95 % t interval; undecided "
    f"where one crosses 0, or with fewer than {claims.SEEDS} seeds; unread where metasmoothness of some run is too low "
    "for φ to mean anything. Gap: how far the largest φ is above the mean, over the mean; 0 at the best policy. Held "
    "out: towards a part of the dev split that nothing was searched on; the law is of the target that was."
)
SUPPORTED = {
    "exact": "the exact form of the law (φ equal) more than the printed one (CT equal)",
    "printed": "the printed form of the law (CT equal) more than the exact one (φ equal)",
    "neither": "neither form of the law: both contributions became less equal",
    "undecided": "no form of the law: the intervals do not decide",
    "unread": "no form of the law: φ cannot be read, as metasmoothness is too low",
}
TOWARDS = {-1: "fell", 0: "did not clearly change", 1: "rose"}
BESIDE = {
    "gap of φ, found": "found_phi_kkt_gap",
    "cv of φ, constant, held out": "constant_held_phi_cv",
    "cv of φ, found, held out": "found_held_phi_cv",
    "cv of CT, found, held out": "found_held_ct_cv",
    "mean φ / loss to fall, found": "found_phi_ratio",
    "metasmoothness, constant": "constant_metasmoothness",
    "metasmoothness, found": "found_metasmoothness",
}


def forms(rows: Sequence[dict[str, Any]]) -> Section:
    return Section("Which form of the law?", [note(FORMS), cells(without_changes(rows))])


def form_of(setting: Any, runs: pd.DataFrame) -> dict[str, Any]:
    """A row of the table of the law, and its verdict."""
    cv = {
        (sign, policy): column(runs, f"{policy}_{name}_cv").where(lambda one: one > 0)  # else the mean is negative
        for sign, name in (("φ", "phi"), ("CT", "ct"))
        for policy in ("constant", "found")
    }
    phi, ct = (change(cv[sign, "found"], cv[sign, "constant"]) for sign in ("φ", "CT"))
    apart = change(cv["φ", "found"], cv["CT", "found"])
    if (column(runs, "phi_readable") == 0).any():
        verdict = "unread"
    elif phi.sign < 0 and apart.sign < 0:
        verdict = "exact"
    elif ct.sign < 0 and apart.sign > 0:
        verdict = "printed"
    else:
        verdict = "neither" if phi.sign > 0 and ct.sign > 0 else "undecided"
    row = {"setting": setting[0], "kept": setting[1], "seeds": len(runs)}
    row |= {f"cv of {sign}, {policy}": interval(values) for (sign, policy), values in cv.items()}
    row |= {words: interval(column(runs, name)) for words, name in BESIDE.items()}
    return row | {"form": verdict, "changes": {"φ": phi, "CT": ct}}


def supported(forms: Sequence[dict[str, Any]]) -> str:
    """Which form of the law the measurements support, in a sentence or two."""
    if all(form["seeds"] < claims.SEEDS for form in forms):
        return f"Nothing is decided: a verdict needs {claims.SEEDS} seeds or more, as in seed=0,1,2."
    if len(forms) > 1:
        exact, printed, neither, undecided, unread = (sum(form["form"] == name for form in forms) for name in SUPPORTED)
        return (
            f"Of {len(forms)} settings, {exact} support the exact form of the law (φ equal), {printed} the printed one "
            f"(CT equal), {neither} neither, and {undecided} are undecided"
            + (f"; in {unread} φ cannot be read (metasmoothness)." if unread else ".")
        )
    form = forms[0]
    moved = {
        sign: f"{TOWARDS[change.sign]} ({form[f'cv of {sign}, constant']} to {form[f'cv of {sign}, found']})"
        for sign, change in form["changes"].items()
    }
    ends = [form[f"cv of φ, {policy}, held out"] for policy in ("constant", "found")]
    held_out = "" if "–" in ends else f"; towards held-out examples the cv of φ changes from {ends[0]} to {ends[1]}"
    return (
        f"The measurements support {SUPPORTED[form['form']]}. From the constant to the found policy the cv of φ "
        f"{moved['φ']}, that of CT {moved['CT']}; at 0 all are equal. The largest φ is above the mean by "
        f"{form['gap of φ, found']} of it, 0 at the best policy{held_out}."
    )


SAVED = (
    "Held-out part of the dev split, nats; means and 95 % t intervals over seeds. The area is the mean loss over all "
    "steps: less is better. A policy that some seed never brings to the constant one's last loss has its acceleration "
    "from the others."
)
BEST_STEP = {
    -1: "The search beats uniform weights at their best step size",
    0: "Whether uniform weights at their best step size beat the search is undecided",
    1: "Uniform weights at their best step size beat the search",
}


def saved(runs: pd.DataFrame) -> Section:
    return Section("Acceleration and area by policy", [note(SAVED), cells(list(rows(runs)))])


def rows(runs: pd.DataFrame) -> Iterator[dict[str, str]]:
    """A row for each setting and policy."""
    names = [name.removeprefix("area_") for name in runs.columns if name.startswith("area_")]
    for (setup, kept), group in runs.groupby(["setup", "kept"], sort=False):
        for name in names:
            area, speed = group[f"area_{name}"], column(group, f"acceleration_{name}")
            yield {
                "setting": str(setup),
                "kept": str(kept),
                "policy": re.sub(r"(\d)x$", r"\1× step", name.replace("_", " ")),
                "area": interval(area) if area.notna().any() else "diverged",
                "area saved, %": interval(100 * (1 - area / group["area_constant"])),
                "acceleration": interval(speed) if speed.notna().any() else "never",
                "seeds that get there": f"{speed.notna().sum()} of {len(group)}",
                "last loss": interval(column(group, f"end_{name}")),
            }


def steps(runs: pd.DataFrame) -> str:
    """Whether the constant policy at its best step size beats the found one, by the area under the held-out loss.

    The stopping set chose each run's step (`best_step`), as it chose the found policy: what is held out only judges.
    """
    if "area_best_step" not in runs:
        return "The found policy was compared with no other step size."
    tried = [float(found[1]) for name in runs.columns if (found := re.fullmatch(r"area_constant_(.+)x", name))]
    signs, last = [], ""
    for _, group in runs.groupby(["setup", "kept"], sort=False):
        signs.append(change(group["area_found"], group["area_best_step"]).sign)
        best = sorted(group["best_step"].dropna().unique())
        edge = ", the largest tried" if best and best[-1] == max(tried, default=0) else ""
        last = (
            f"the constant policy at {' or '.join(f'{one:g}' for one in best)} times the step (chosen by the stopping "
            f"set{edge}) has an area of {interval(group['area_best_step'])} nats, the found one "
            f"{interval(group['area_found'])}"
        )
    if len(signs) == 1:
        return f"{BEST_STEP[signs[0]]}: {last}."
    return (
        f"Uniform weights at their best step size (by the stopping set), without any search, beat the found policy in "
        f"{signs.count(1)} of {len(signs)} settings, and lose in {signs.count(-1)}."
    )
