"""The laws fitted to unpruned pools and to the envelope, and whether a rule and keep fraction beats the law."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from ...figures.style import name_of
from ...laws import frontier, scaling
from ...laws.intervals import Interval, worded
from ..parts import Cell, Section, heading, note, table, titled
from .laws import noise
from .layout import Challenge, Panel

WORDS = (
    "Fits of log error (soft L1, many starts, tight tolerances); x is the number of training examples, last epoch's "
    f"model. A law is preferred by {scaling.CRITERION}. Intervals: 95 % t over seeds, the law fitted again without "
    "each seed. ⚠ marks a residual above twice what seeds explain: the law misfits, and no interval over seeds says by "
    "how much."
)
COLUMNS = {
    "curve": "curve", "law": "law", "parameter": "parameter", "floor": "floor E", "points": "points",
    "residual": "residual", "noise": "seeds explain", "aicc": "AICc", "held_out": "held-out error",
    "note": "",
}  # fmt: skip  # of a row: how the page calls them


MATHEMATICS = {  # a row's law, as claims.json has it: how the page sets it
    "A x^−a": Markup("<i>A x</i><sup>−<i>a</i></sup>"),
    "A exp(−x/x₀)": Markup("<i>A</i> exp(−<i>x</i>/<i>x</i>₀)"),
}


def section(panels: Sequence[Panel]) -> Section | None:
    """Nothing where every panel is of one pool size: nobody asked for a law there."""
    panels = [panel for panel in panels if panel.pools > 1]
    fitted = [panel for panel in panels if panel.fitted]
    parts = [note(WORDS)] if fitted else []
    for panel in fitted:
        shown = table(list(COLUMNS.values()), [_cells(row) for row in rows(panel)])
        parts += [heading(panel.title), shown, note(panel.answers, "plain")]
    reasons: dict[str, list[str]] = {}  # why nothing could be fitted, each once
    for panel in panels:
        if not panel.fitted:
            reasons.setdefault(panel.answers, []).append(panel.title)
    for reason, titles in reasons.items():
        of = "" if len(titles) == len(panels) else f"{'; '.join(titles)}: "
        parts.append(note(of + reason, "plain"))
    return Section("Which law", parts) if panels else None


def _cells(row: dict[str, Any]) -> list[Cell]:
    style, mark = ("preferred", " ✓") if row["preferred"] else ("", "")
    floor, law = ("E + " if row["law"].startswith("E + ") else "", row["law"].removeprefix("E + "))
    set_law = Markup("{}{}{}").format(Markup("<i>E</i> + ") if floor else "", MATHEMATICS[law], mark)
    return [Cell(set_law if name == "law" else str(row[name]), style) for name in COLUMNS]


def rows(panel: Panel) -> list[dict[str, Any]]:
    """A row for each fitted law of the unpruned line and of the envelope."""
    found = []
    for name, law in (("unpruned", panel.unpruned), ("envelope", panel.envelope)):
        if law is None:
            continue
        explained = noise(law.curve)
        for fit, interval, held_out in law.fits:
            misfit = explained is not None and fit.residual > 2 * explained
            found.append(
                {
                    "curve": name,
                    "law": ("E + " if fit.floored else "") + ("A x^−a" if fit.family == "power" else "A exp(−x/x₀)"),
                    "preferred": law.comparison.verdict.startswith(fit.family),
                    "parameter": _parameter(fit, interval.rate),
                    "floor": _floor(fit, interval.floor),
                    "points": fit.n,
                    "residual": f"{100 * fit.residual:.1f} %" + (" ⚠" if misfit else ""),
                    "noise": _percent(explained),
                    "aicc": "undefined" if fit.aicc is None else worded(fit.aicc, form=".1f"),
                    "held_out": _percent(held_out),
                    "note": interval.note,
                }
            )
    return found


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def _parameter(fit: scaling.Fit, ends: Interval | None) -> str:
    if fit.family == "power":
        return f"a = {_estimate(fit.rate, ends, '.3f')}"
    if fit.rate <= 0:
        return "does not fall"
    within = "" if ends is None or ends.low <= 0 else f" [{1 / ends.high:,.0f}, {1 / ends.low:,.0f}]"
    return f"x₀ = {1 / fit.rate:,.0f}{within}"


def _floor(fit: scaling.Fit, ends: Interval | None) -> str:
    if fit.floor_hit:
        return "0 (at its bound)"
    return _estimate(fit.floor, ends, ".4f") if fit.floored else "none"


def _estimate(value: float, ends: Interval | None, form: str) -> str:
    return worded(value, form=form) if ends is None else worded(value, ends.low, ends.high, form)


BEATS = (
    "Each rule and keep fraction against as many examples that nothing chose: unpruned and random sets under equal "
    "epochs, random ones of the same pools under equal steps. It beats the law where, at the largest size that both "
    "have, the error is lower and the gap grows with the number of examples (the exponent is larger). A gap that may "
    "not grow is a better constant. Intervals: 95 % t over seeds, paired by seed, for all lines of a table together "
    "(Bonferroni)."
)
HEAD = ("rule", "keep", "beats the law", "error, at the largest size", "examples there", "exponent, difference")


def challenges(panels: Sequence[Panel]) -> Section | None:
    challenged = [panel for panel in panels if panel.challenges]
    tables = [
        titled(
            f"{panel.title}: {frontier.together([one.answer for one in panel.challenges])}",
            table(HEAD, [_row(one) for one in panel.challenges]),
        )
        for panel in challenged
    ]
    return Section("Does it beat the law?", [note(BEATS), *tables]) if tables else None


def _row(one: Challenge) -> list[str | Cell]:
    """The error saved in percent, and by how much the exponent is larger."""
    answer, gain, growth, examples = one.answer, "–", "–", "–"
    if answer.gain is not None and answer.growth is not None:
        saved, best, worst = (100 * math.expm1(-end) for end in (answer.gain.value, answer.gain.high, answer.gain.low))
        gain = worded(saved, best, worst, "+.0f", " %")
        growth = worded(answer.growth.value, answer.growth.low, answer.growth.high, "+.2f")
        examples = f"{answer.examples:,.0f}"
    verdict = Cell(answer.verdict, f"wide {answer.verdict}", small=answer.reason)
    return [name_of(one.rule), f"{one.keep:g}", verdict, gain, examples, growth]
