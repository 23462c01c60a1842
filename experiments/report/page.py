"""One self-contained HTML page, its figures as files, and the tables behind them."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, astuple
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ..figures import style
from ..figures.style import figure
from ..laws import claims, frontier, scaling
from ..store.folders import Store
from . import capacity, distribution, examples, figures, laws
from .provenance import provenance
from .table import named, newest, points, table, write

if TYPE_CHECKING:
    from ..laws.expectations import Expectation

ACCURACIES = (("accuracy", "accuracy, last epoch"), ("accuracy_best", "accuracy, best dev epoch"))
COLUMNS = (
    "task", "model", "width", "policy", "rule", "scorer", "keep", "balance", "label_noise", "pool", "examples",
    "budget",
)  # fmt: skip  # of a point and of a run
BITS = (
    ("bits_per_byte", "bits per byte, last epoch"),
    ("shifted_bits_per_byte", "bits per byte of the second text, last epoch"),
)


def build(
    store: Store,
    evaluate_keys: Sequence[str] | None,
    folder: Path,
    *,
    title: str,
    command: str,
    expectations: Sequence[Expectation] = (),
    replicates: int = 200,
) -> dict[str, Any]:
    """Write index.html, figures/*, table.csv, points.csv, claims.json and record.json into `folder`; say what came out.

    `failed` names the claims that failed, or that no run answers.
    """
    every = table(store, evaluate_keys)
    lost = 0 if evaluate_keys is not None else len(store.folders("evaluate")) - len(every)
    runs = newest(every)
    grouped = points(runs)
    advantage = claims.advantage(runs)
    outcomes = [claims.check(expectation, runs) for expectation in expectations]
    panels = laws.panels(runs, advantage, replicates=replicates)
    drawings = examples.kept_classes(store, runs)
    shown, more = examples.galleries(store, runs)
    measures, unmeasured = distribution.measured(store, runs)
    shifts = list(distribution.shifts(measures, runs, panels))
    studies = list(capacity.studies(runs, advantage))
    folder.mkdir(parents=True, exist_ok=True)
    write(every, folder / "table.csv")
    write(grouped, folder / "points.csv")
    if len(measures):
        write(measures, folder / "distribution.csv")
    policies = claims.by_policy(runs)
    verdicts = [claims.summary(laws.placed(named(advantage), runs)), claims.weighed(policies)]
    verdict = " ".join(verdicts[1:] if verdicts[1] and advantage.empty else verdicts).strip()
    context = {
        "title": title,
        "verdict": verdict,
        "caveat": claims.caveat(advantage),
        "warnings": list(_warnings(every, runs, grouped, lost)),
        "groups": (groups := _groups(panels)),
        "policies": [_weighed(row) for _, row in policies.iterrows()],
        "fitted": any(panel["laws"] for group in groups for panel in group),
        "challenged": any(panel["challenges"] for group in groups for panel in group),
        "unfitted": _unfitted([panel for group in groups for panel in group]),
        "capacity": [capacity.section(study, place) for place, study in enumerate(studies)],
        "files": _save(panels, drawings, folder / "figures", shifts, studies),
        "outcomes": [asdict(outcome) for outcome in outcomes],
        "criterion": scaling.CRITERION,
        "kept": [figure(one, f"kept{place}", height=3.6) for place, one in enumerate(drawings)],
        "shifts": [_shift(shift, place) for place, shift in enumerate(shifts)],
        "measures": list(dict.fromkeys(column for shift in shifts for column in shift.columns)),
        "unmeasured": len(unmeasured),
        "remove": f"rm -r {store.path('prune', _braced(unmeasured))}",
        "galleries": shown,
        "more_galleries": more,
        "runs": [_run(row) for _, row in named(runs).iterrows()],
        "points": [_point(row) for _, row in named(grouped).iterrows()],
        "provenance": provenance(store, runs, command),
    }
    (folder / "index.html").write_text(render("page.html", context))
    (folder / "record.json").write_text(json.dumps(plain(context["provenance"]), indent=1) + "\n")
    everything = {
        "verdict": verdict,
        "expectations": context["outcomes"],
        "advantage": advantage.to_dict("records"),
        "policies": policies.to_dict("records"),
        "laws": [{"panel": panel.title, "rows": _laws(panel)} for panel in panels],
        "beats_the_law": [
            {"panel": panel.title, "rule": one.rule, "keep": one.keep} | asdict(one.answer)
            for panel in panels
            for one in panel.challenges
        ],
    }
    (folder / "claims.json").write_text(json.dumps(plain(everything), indent=1, allow_nan=False) + "\n")
    return {"runs": len(runs), "points": len(grouped), "verdict": verdict} | judged(outcomes)


def render(name: str, context: dict[str, Any]) -> str:
    """A template of this folder with the style sheet in it."""
    here = Path(__file__).parent
    environment = Environment(
        loader=FileSystemLoader(here), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    css = Markup((here / "style.css").read_text())
    return environment.get_template(name).render(css=css, **context)


def _warnings(every: pd.DataFrame, runs: pd.DataFrame, grouped: pd.DataFrame, lost: int) -> Iterator[str]:
    if lost:
        yield f"Left out: {_count(lost, 'evaluated run')} whose training, pruning or score was removed or damaged."
    few = int(grouped["few"].sum())
    if few:
        have = "has" if few == 1 else "have"
        yield f"{few} of {_count(len(grouped), 'point')} {have} fewer than 3 seeds: intervals are wide or missing."
    if len(every) > len(runs):
        yield f"Left out, and in table.csv alone: {_count(len(every) - len(runs), 'older run')} of a setting and seed."
    zero = int((grouped["error"] <= 0).sum()) if "error" in grouped else 0
    if zero:
        yield f"{_count(zero, 'point')} without any test error cannot be drawn on a logarithmic axis."
    aimed = [name for name in ("equal_contribution", "learning_law") if (runs["policy"] == name).any()]
    if aimed:
        yield (
            f"policy={' and '.join(aimed)} set weights by the labels of the dev split, which uniform ones do not: "
            "part of a gain may be that, and training on those examples, too, is the control."
        )


def _save(
    panels: Sequence[laws.Panel],
    kept: Sequence[style.Drawing],
    folder: Path,
    shifts: Sequence[distribution.Shift] = (),
    studies: Sequence[capacity.Study] = (),
) -> list[dict[str, str]]:
    """Figures of record: for each setup and scorer one of error and one of gain, a row a budget; one of classes, one of
    distributions, one of capacity."""
    sheets: dict[str, tuple[list[style.Drawing | None], int, float]] = {}
    groups: dict[tuple[str, str], list[laws.Panel]] = {}
    for panel in panels:
        groups.setdefault((panel.setup, panel.scorer), []).append(panel)
    for (setup, scorer), group in groups.items():
        end = "" if len(groups) == 1 else "-" + re.sub(r"[^a-z0-9]+", "-", f"{setup} {scorer}".lower()).strip("-")
        for name, draw in (("scaling", figures.scaling_drawings), ("advantage", figures.advantage_drawings)):
            rows = [draw(panel) for panel in group]
            columns = max(len(row) for row in rows)
            drawings = [one for row in rows for one in [*row, *[None] * (columns - len(row))]]
            if columns:
                sheets[name + end] = (drawings, columns if columns > 1 else min(3, len(drawings)), style.HEIGHT)
    if kept:
        sheets["kept"] = (list(kept), min(3, len(kept)), style.HEIGHT)
    if shifts:
        height = max(shift.height for shift in shifts)
        longest = max(len(shift.rows) for shift in shifts)  # a row is as high in every panel
        tables = [distribution.drawing(shift, longest) for shift in shifts]
        sheets["distribution"] = (list(tables), min(3, len(shifts)), height)
    if studies:
        sheets["capacity"] = capacity.sheet(studies)
    for name, (drawings, columns, height) in sheets.items():
        style.save(drawings, folder / name, columns=columns, height=height)
    return [{"name": name, "path": f"figures/{name}"} for name in sheets]


def _shift(shift: distribution.Shift, place: int) -> dict[str, Any]:
    return {
        "title": f"{shift.title}, pool of {shift.pool:,}",
        "figure": figure(distribution.drawing(shift), f"d{place}", height=shift.height),
        "columns": shift.columns,
        "rows": distribution.rows(shift),
        "vanished": shift.vanished,
    }


def judged(outcomes: Sequence[claims.Outcome]) -> dict[str, Any]:
    """How many expectations came out how; `failed` names those that `--check` stops at."""
    counts = Counter(outcome.verdict for outcome in outcomes)
    return {
        "claims": {name: counts.get(name, 0) for name in ("holds", "fails", "undecided", "no runs")},
        "failed": [f"{one.verdict}: {one.claim}: {one.sentence}" for one in outcomes if one.surprising],
    }


def _groups(panels: Sequence[laws.Panel]) -> list[list[dict[str, Any]]]:
    """Panels that share a grid: one each, or all scorers and budgets of a setup where each is a single drawing."""
    groups: list[list[dict[str, Any]]] = []
    before: str | None = None
    for place, panel in enumerate(panels):
        shown = _panel(panel, place)
        single = len(shown["scaling"]) == 1
        if single and before == panel.setup:
            groups[-1].append(shown)
        else:
            groups.append([shown])
        before = panel.setup if single else None
    return groups


def _unfitted(shown: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    """Why nothing could be fitted, each reason once, and the panels it is of where not all are."""
    reasons: dict[str, list[str]] = {}
    for panel in shown:
        if panel["laws"]:
            continue
        parts = [f"Unpruned: {panel['unpruned'].verdict} ({panel['unpruned'].reason})."]
        if panel["envelope"]:
            parts.append(f"Envelope: {panel['envelope'].verdict} ({panel['envelope'].reason}).")
        else:
            parts.append(f"No envelope: {panel['envelope_note']}.")
        reasons.setdefault(" ".join(parts), []).append(panel["title"])
    return [
        {"reason": reason, "of": "" if len(titles) == len(shown) else "; ".join(titles)}
        for reason, titles in reasons.items()
    ]


def _panel(panel: laws.Panel, place: int) -> dict[str, Any]:
    found = panel.advantage
    pools = sorted(found["pool"].unique())
    rows = []
    for rule in panel.rules:
        for keep, group in found[found["rule"] == rule].groupby("keep", sort=True):
            cells = {row["pool"]: _gain(row) for _, row in group.iterrows()}
            shown = [cells.get(pool) for pool in pools]
            rows.append({"rule": style.name_of(rule), "keep": f"{keep:g}", "cells": shown})
    scaling_figures = figures.scaling_drawings(panel)
    gain_figures = figures.advantage_drawings(panel)
    seeds = sorted(panel.points["n"].unique())
    return {
        "title": panel.title,
        "heading": panel.setup,
        "label": panel.title.removeprefix(f"{panel.setup} · "),
        "unit": "bits per byte saved" if panel.metric == "bits_per_byte" else "points of accuracy",
        "seeds": _count(seeds[0], "seed") if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]} seeds",
        "scaling": [figure(one, f"s{place}-{number}") for number, one in enumerate(scaling_figures)],
        "gains": [figure(one, f"g{place}-{number}") for number, one in enumerate(gain_figures)],
        "pools": [f"{pool:,.0f}" for pool in pools],
        "rows": rows,
        "laws": _laws(panel),
        "unpruned": panel.unpruned.comparison,
        "envelope": None if panel.envelope is None else panel.envelope.comparison,
        "envelope_note": panel.envelope_note,
        "challenges": [_challenge(one) for one in panel.challenges],
        "beaten": frontier.together([one.answer for one in panel.challenges]) if panel.challenges else "",
    }


def _challenge(one: laws.Challenge) -> dict[str, str]:
    """A row of words: the error saved in percent, and by how much the exponent is larger."""
    answer, row = one.answer, {"rule": style.name_of(one.rule), "keep": f"{one.keep:g}"}
    row |= {"verdict": answer.verdict, "reason": answer.reason, "gain": "–", "growth": "–", "at": "–"}
    if answer.gain is not None and answer.growth is not None:
        less, best, worst = (100 * math.expm1(-end) for end in (answer.gain.value, answer.gain.high, answer.gain.low))
        row["gain"] = f"{less:+.0f} % [{best:+.0f}, {worst:+.0f}]".replace("-", "−")
        row["growth"] = "{:+.2f} [{:+.2f}, {:+.2f}]".format(*astuple(answer.growth)).replace("-", "−")
        row["at"] = f"{answer.examples:,.0f}"
    return row


def _gain(row: pd.Series[Any]) -> dict[str, str]:
    if row["verdict"] == "no random":
        return {"verdict": "none", "mark": "", "value": "no random run", "n": "0"}
    mark = {"better": "▲", "worse": "▼"}.get(row["verdict"], "○")
    value = claims.describe(row["effect"], row["low"], row["high"], row["metric"])
    value = value.replace(" points", "").replace(" bits per byte", "")
    return {"verdict": row["verdict"], "mark": mark, "value": value, "n": str(row["n"])}


def _weighed(row: pd.Series[Any]) -> dict[str, str]:
    gain = claims.describe(row["effect"], row["low"], row["high"], row["metric"])
    names = ("policy", "task", "model", "rule", "keep", "label_noise", "pool", "budget")
    shown = {name.replace("_", " "): _cell(row[name]) for name in names} | {"gain over uniform weights": gain}
    shown["rule"] = "unpruned" if shown["rule"] == "none" else shown["rule"]
    return shown | {"n": str(row["n"]), "verdict": str(row["verdict"])}


def _laws(panel: laws.Panel) -> list[dict[str, Any]]:
    """A row for each fitted law of the unpruned line and of the envelope."""
    rows = []
    for name, law in (("unpruned", panel.unpruned), ("envelope", panel.envelope)):
        if law is None:
            continue
        compared, noise = law.comparison, laws.noise(law.curve)
        for fit, interval, held_out in (
            (compared.power, law.power, compared.held_out_power),
            (compared.exponential, law.exponential, compared.held_out_exponential),
        ):
            if fit is None:
                continue
            misfit = noise is not None and fit.residual > 2 * noise
            rows.append(
                {
                    "curve": name,
                    "law": ("E + " if fit.floored else "") + ("A x^−a" if fit.family == "power" else "A exp(−x/x₀)"),
                    "preferred": compared.verdict.startswith(fit.family),
                    "parameter": _parameter(fit, interval),
                    "floor": _floor(fit, interval),
                    "points": fit.n,
                    "residual": f"{100 * fit.residual:.1f} %" + (" ⚠" if misfit else ""),
                    "noise": "–" if noise is None else f"{100 * noise:.1f} %",
                    "aicc": "undefined" if fit.aicc is None else f"{fit.aicc:.1f}".replace("-", "−"),
                    "held_out": "–" if held_out is None else f"{100 * held_out:.1f} %",
                    "replicates": _replicates(interval),
                }
            )
    return rows


def _parameter(fit: scaling.Fit, interval: scaling.Bootstrap | None) -> str:
    ends = None if interval is None else interval.rate
    if fit.family == "power":
        return f"a = {fit.rate:.3f}" + ("" if ends is None else f" [{ends.low:.3f}, {ends.high:.3f}]")
    if fit.rate <= 0:
        return "does not fall"
    within = "" if ends is None or ends.low <= 0 else f" [{1 / ends.high:,.0f}, {1 / ends.low:,.0f}]"
    return f"x₀ = {1 / fit.rate:,.0f}{within}"


def _floor(fit: scaling.Fit, interval: scaling.Bootstrap | None) -> str:
    if not fit.floored:
        return "none"
    if fit.floor_hit:
        return "0 (at its bound)"
    ends = None if interval is None else interval.floor
    return f"{fit.floor:.4f}" + ("" if ends is None else f" [{ends.low:.4f}, {ends.high:.4f}]")


def _replicates(interval: scaling.Bootstrap | None) -> str:
    if interval is None:
        return "–"
    return interval.note or f"{interval.replicates - interval.dropped} of {interval.replicates}"


def _run(row: pd.Series[Any]) -> dict[str, str]:
    shown = {name.replace("_", " "): _cell(row[name]) for name in (*COLUMNS, "seed", "steps", "epochs")}
    shown["rule"] = "unpruned" if shown["rule"] == "none" else shown["rule"]
    for name, words in (*ACCURACIES, *BITS):
        if name in row.index:
            shown[words] = "" if pd.isna(row[name]) else f"{row[name]:.4f}"
    return shown | {"seconds": _cell(round(row["seconds"], 1)), "evaluate": str(row["evaluate"])}


def _point(row: pd.Series[Any]) -> dict[str, str]:
    shown = {name.replace("_", " "): _cell(row[name]) for name in COLUMNS}
    shown["rule"] = "unpruned" if shown["rule"] == "none" else shown["rule"]
    shown["n"] = f"{row['n']}{' (few)' if row['few'] else ''}"
    for name, words in (*ACCURACIES, *BITS):
        if name in row.index:
            ends = "" if pd.isna(row[f"{name}_low"]) else f" [{row[f'{name}_low']:.4f}, {row[f'{name}_high']:.4f}]"
            shown[words] = "" if pd.isna(row[name]) else f"{row[name]:.4f}{ends}"
    return shown


def _braced(keys: Sequence[str]) -> str:
    """Some folders as one word of a shell."""
    return keys[0] if len(keys) == 1 else "{" + ",".join(keys) + "}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _cell(value: Any) -> str:
    if isinstance(value, int | float | np.number):
        return "" if np.isnan(float(value)) else f"{value:.6g}"
    return str(value)


def plain(value: Any) -> Any:
    """JSON's own types: numpy's numbers become Python's, what is not finite becomes null."""
    if isinstance(value, dict):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not np.isfinite(value) else value
