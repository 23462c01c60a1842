"""The fitted laws of unpruned pools and of the envelope, and which of them is preferred."""

from __future__ import annotations

from typing import Any

from ...laws import scaling
from ..parts import Cell, Section, heading, note, paragraph, table
from .found import Found
from .laws import Panel, noise
from .layout import answers

WORDS = (
    "Fits of log error (soft L1, many starts, tight tolerances); x is the number of training examples, last epoch's "
    f"model. A law is preferred by {scaling.CRITERION}. Intervals: 95 % bootstrap over the seeds within each point. ⚠ "
    "marks a residual above twice what seeds explain: the law misfits, and its interval is then too narrow."
)
COLUMNS = {
    "curve": "curve", "law": "law", "parameter": "parameter", "floor": "floor E", "points": "points",
    "residual": "residual", "noise": "seeds explain", "aicc": "AICc", "held_out": "held-out error",
    "replicates": "replicates",
}  # fmt: skip  # of a row: how the page calls them


def section(found: Found) -> Section:
    fitted = [panel for panel in found.panels if panel.fitted]
    parts = [note(WORDS)] if fitted else []
    for panel in fitted:
        shown = table(list(COLUMNS.values()), [_cells(row) for row in rows(panel)])
        parts += [heading(panel.title), shown, paragraph(answers(panel))]
    reasons: dict[str, list[str]] = {}  # why nothing could be fitted, each once
    for panel in found.panels:
        if not panel.fitted:
            reasons.setdefault(answers(panel), []).append(panel.title)
    for reason, titles in reasons.items():
        of = "" if len(titles) == len(found.panels) else f"{'; '.join(titles)}: "
        parts.append(paragraph(of + reason))
    return Section("Which law", parts)


def _cells(row: dict[str, Any]) -> list[Cell]:
    style, mark = ("preferred", " ✓") if row["preferred"] else ("", "")
    return [Cell(str(row[name]) + (mark if name == "law" else ""), style) for name in COLUMNS]


def rows(panel: Panel) -> list[dict[str, Any]]:
    """A row for each fitted law of the unpruned line and of the envelope."""
    found = []
    for name, law in (("unpruned", panel.unpruned), ("envelope", panel.envelope)):
        if law is None:
            continue
        compared, explained = law.comparison, noise(law.curve)
        for fit, interval, held_out in (
            (compared.power, law.power, compared.held_out_power),
            (compared.exponential, law.exponential, compared.held_out_exponential),
        ):
            if fit is None:
                continue
            misfit = explained is not None and fit.residual > 2 * explained
            found.append(
                {
                    "curve": name,
                    "law": ("E + " if fit.floored else "") + ("A x^−a" if fit.family == "power" else "A exp(−x/x₀)"),
                    "preferred": compared.verdict.startswith(fit.family),
                    "parameter": _parameter(fit, interval),
                    "floor": _floor(fit, interval),
                    "points": fit.n,
                    "residual": f"{100 * fit.residual:.1f} %" + (" ⚠" if misfit else ""),
                    "noise": "–" if explained is None else f"{100 * explained:.1f} %",
                    "aicc": "undefined" if fit.aicc is None else f"{fit.aicc:.1f}".replace("-", "−"),
                    "held_out": "–" if held_out is None else f"{100 * held_out:.1f} %",
                    "replicates": _replicates(interval),
                }
            )
    return found


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
