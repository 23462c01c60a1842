"""Which form of the Learning Law the measurements support: contributions of one step equal, or of all to come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from ...laws import claims
from ..parts import Section, cells, note
from .changes import change, column, interval, worded
from .found import Found

CRITERION = (
    "cv at the constant and at the found policy, paired by seed. Exact: φ became more equal and is more equal than CT. "
    "Printed: the same with CT and φ exchanged. Neither: both became less equal. Each by a 95 % t interval; undecided "
    f"where one crosses 0, or with fewer than {claims.SEEDS} seeds. Gap: how far the largest φ is above the mean, over "
    "the mean; 0 at the best policy. Held out: towards a part of the dev split that nothing was searched on; the law "
    "is of the target that was."
)
SUPPORTED = {
    "exact": "the exact form of the law (φ equal) more than the printed one (CT equal)",
    "printed": "the printed form of the law (CT equal) more than the exact one (φ equal)",
    "neither": "neither form of the law: both contributions became less equal",
    "undecided": "no form of the law: the intervals do not decide",
}
TOWARDS = {-1: "fell", 0: "did not clearly change", 1: "rose"}


def section(found: Found) -> Section:
    return Section("Which form of the law?", [note(CRITERION), cells(worded(found.forms))])


def form_of(setting: Any, runs: pd.DataFrame) -> dict[str, Any]:
    """A row of the table of the law, and its verdict."""
    names = ("constant_ct_cv", "found_ct_cv", "constant_phi_cv", "found_phi_cv")
    columns = [column(runs, name) for name in names]
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
        "gap of φ, found": interval(column(runs, "found_phi_kkt_gap")),
        "cv of φ, constant, held out": interval(column(runs, "constant_held_phi_cv")),
        "cv of φ, found, held out": interval(column(runs, "found_held_phi_cv")),
        "cv of CT, found, held out": interval(column(runs, "found_held_ct_cv")),
        "mean φ / loss to fall, found": interval(column(runs, "found_phi_ratio")),
        "form": verdict,
        "changes": {"phi": phi, "ct": ct},
    }


def supported(forms: Sequence[dict[str, Any]]) -> str:
    """Which form of the law the measurements support, in a sentence or two."""
    if all(form["seeds"] < claims.SEEDS for form in forms):
        return f"Nothing is decided: a verdict needs {claims.SEEDS} seeds or more, as in seed=0,1,2."
    if len(forms) > 1:
        exact, printed, neither, undecided = (sum(form["form"] == name for form in forms) for name in SUPPORTED)
        return (
            f"Of {len(forms)} settings, {exact} support the exact form of the law (φ equal), {printed} the printed one "
            f"(CT equal), {neither} neither, and {undecided} are undecided."
        )
    form = forms[0]
    phi, ct = (TOWARDS[form["changes"][name].sign] for name in ("phi", "ct"))
    ends = [form[f"cv of φ, {policy}, held out"] for policy in ("constant", "found")]
    held_out = "" if "–" in ends else f"; towards held-out examples the cv of φ goes from {ends[0]} to {ends[1]}"
    return (
        f"The measurements support {SUPPORTED[form['form']]}. From the constant to the found policy the cv of φ {phi} "
        f"({form['cv of φ, constant']} to {form['cv of φ, found']}), that of CT {ct} ({form['cv of CT, constant']} to "
        f"{form['cv of CT, found']}); at 0 all are equal. The largest φ is above the mean by "
        f"{form['gap of φ, found']} of it, 0 at the best policy{held_out}."
    )
