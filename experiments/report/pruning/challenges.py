"""Whether a rule and keep fraction beats the law of as many examples that nothing chose."""

from __future__ import annotations

import math
from dataclasses import astuple

from ...figures.style import name_of
from ...laws import frontier
from ..parts import Cell, Section, box, note, table, titled
from .found import Found
from .laws import Challenge

WORDS = (
    "Each rule and keep fraction against as many examples that nothing chose: unpruned and random sets under equal "
    "epochs, random ones of the same pools under equal steps. It beats the law where, at the largest size that both "
    "have, the error is lower and the gap grows with the number of examples (the exponent is larger). A gap that may "
    "not grow is a better constant. Intervals: 95 % hierarchical bootstrap over seeds and runs, widened as Student's "
    "t is for few seeds, and for the number of lines compared."
)
HEAD = (
    "rule", "keep", "error, at the largest size", "examples there", "exponent, difference", "beats the law",
)  # fmt: skip


def section(found: Found) -> Section | None:
    challenged = [panel for panel in found.panels if panel.challenges]
    tables = [
        titled(
            f"{panel.title}: {frontier.together([one.answer for one in panel.challenges])}",
            table(HEAD, [_row(one) for one in panel.challenges]),
        )
        for panel in challenged
    ]
    return Section("Does it beat the law?", [note(WORDS), box("tables", *tables)]) if tables else None


def _row(one: Challenge) -> list[str | Cell]:
    """The error saved in percent, and by how much the exponent is larger."""
    answer, gain, growth, examples = one.answer, "–", "–", "–"
    if answer.gain is not None and answer.growth is not None:
        less, best, worst = (100 * math.expm1(-end) for end in (answer.gain.value, answer.gain.high, answer.gain.low))
        gain = f"{less:+.0f} % [{best:+.0f}, {worst:+.0f}]".replace("-", "−")
        growth = "{:+.2f} [{:+.2f}, {:+.2f}]".format(*astuple(answer.growth)).replace("-", "−")
        examples = f"{answer.examples:,.0f}"
    said = Cell(f"{answer.verdict}: {answer.reason}", f"wide {answer.verdict}")
    return [name_of(one.rule), f"{one.keep:g}", gain, examples, growth, said]
