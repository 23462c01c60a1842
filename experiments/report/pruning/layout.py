"""The panels of evaluated runs (a setup, a scorer, a budget), and how they are laid out on the page and in files."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

import pandas as pd
from markupsafe import Markup

from ...contracts import Floats
from ...figures.panels import Drawing, Figures
from ...figures.style import selecting
from ...laws import frontier, scaling
from ..parts import box, drawing, heading

BUDGETS = {"epochs": "equal epochs", "steps": "equal steps", "both": "nothing pruned"}


@dataclass(frozen=True, slots=True)
class Curve:
    """Points of error against examples, with the runs behind them."""

    x: Floats  # training examples
    y: Floats  # mean error over seeds
    runs: Floats  # (seeds, points), NaN where a run is missing


@dataclass(frozen=True, slots=True)
class Law:
    """One curve, which law it follows, and the interval of each family's fit."""

    curve: Curve
    comparison: scaling.Comparison
    power: scaling.Uncertainty | None
    exponential: scaling.Uncertainty | None

    @property
    def fits(self) -> list[tuple[scaling.Fit, scaling.Uncertainty, float | None]]:
        """Each family's fit, where there is one, its interval, and its error on the largest sizes."""
        one = self.comparison
        found = [
            (one.power, self.power, one.held_out_power),
            (one.exponential, self.exponential, one.held_out_exponential),
        ]
        return [(fit, interval, error) for fit, interval, error in found if fit is not None and interval is not None]


@dataclass(frozen=True, slots=True)
class Challenge:
    """One rule and keep fraction against the unpruned law."""

    rule: str
    keep: float
    answer: frontier.Answer


@dataclass(frozen=True, slots=True)
class Panel:
    """What one group of figures shows."""

    setup: str  # words: task, model, and what else tells it from the others
    scorer: str
    budget: str
    metric: str  # error, or bits_per_byte
    points: pd.DataFrame
    runs: pd.DataFrame  # behind the points
    advantage: pd.DataFrame
    baseline: pd.DataFrame  # the points of every panel of the setup: they share its unpruned runs, and their axes
    gains: pd.DataFrame  # the comparisons of every panel of the setup
    guessing: frozenset[str]  # points whose models are at chance
    unpruned: Law
    envelope: Law | None
    envelope_note: str
    challenges: tuple[Challenge, ...]

    @property
    def title(self) -> str:
        scored = "" if self.scorer == "none" else f" · scored by {self.scorer}"
        return f"{self.setup}{scored} · {BUDGETS[self.budget]}"

    @property
    def subtitle(self) -> str:
        return self.title.replace(" · scored by ", " · ")

    @property
    def label(self) -> str:
        """What tells the panel from the others of its setup."""
        return self.title.removeprefix(f"{self.setup} · ").capitalize()

    @property
    def pools(self) -> int:
        return int(self.points["pool"].nunique())

    @property
    def rules(self) -> list[str]:
        """What was compared with random, in the order of the colours."""
        return selecting(self.points["rule"])

    @property
    def single(self) -> bool:
        """Whether its errors are one drawing."""
        return self.pools == 1 or len(self.rules) + (self.envelope is not None) < 2

    @property
    def fitted(self) -> bool:
        """Whether there were points enough for a law."""
        return any(law.fits for law in (self.unpruned, self.envelope) if law is not None)

    @property
    def answers(self) -> str:
        """Which law the unpruned points and the envelope follow, and why."""
        one, envelope = self.unpruned.comparison, self.envelope
        said = f"Unpruned: {one.verdict} ({one.reason}). "
        if envelope is None:
            return f"{said}No envelope: {self.envelope_note}."
        return f"{said}Envelope: {envelope.comparison.verdict} ({envelope.comparison.reason}); {self.envelope_note}."


Draw = Callable[[Sequence[Panel]], Sequence[Drawing]]  # of panels of one setup


def grids(
    name: str, panels: Sequence[Panel], draw: Draw, below: Callable[[Sequence[Panel]], Sequence[Markup]]
) -> list[Markup]:
    """A heading and a grid for each panel, or for all of a setup where each is a single drawing; what is below it."""
    parts: list[Markup] = []
    groups = groupby(enumerate(panels), lambda one: (one[1].setup, -1 if one[1].single else one[0]))
    for place, (_, group) in enumerate(groups):
        own = [panel for _, panel in group]
        drawn = [(f"{name}{place}-{number}", one) for number, one in enumerate(draw(own))]
        under = below(own)
        if drawn or under:
            title = own[0].title if len(own) == 1 else own[0].setup
            parts += [heading(title), box("grid", *(drawing(one, prefix) for prefix, one in drawn)), *under]
    return parts


def records(name: str, panels: Sequence[Panel], draw: Draw) -> list[Figures]:
    """Figures of record: one for each setup and scorer, a row a budget; of a single pool size, one for each setup."""
    groups: dict[tuple[str, str], list[Sequence[Drawing]]] = {}
    for setup, same in groupby(panels, lambda one: one.setup):
        own = list(same)
        if dotted := [panel for panel in own if panel.pools == 1]:
            groups[setup, ""] = [draw(dotted)]
        for panel in own:
            if panel.pools > 1:
                groups.setdefault((panel.setup, panel.scorer), []).append(draw([panel]))
    found = []
    for (setup, scorer), rows in groups.items():
        end = "" if len(groups) == 1 else "-" + re.sub(r"[^a-z0-9]+", "-", f"{setup} {scorer}".lower()).strip("-")
        drawings, columns = in_rows(rows)
        if columns:
            found.append(Figures(name + end, setup, "", drawings, columns if columns > 1 else 3))
    return found


def in_rows(rows: Sequence[Sequence[Drawing]]) -> tuple[list[Drawing | None], int]:
    """Drawings row by row, with empty places at the ends of the shorter ones; how many columns that makes."""
    columns = max(map(len, rows))
    return [one for row in rows for one in [*row, *[None] * (columns - len(row))]], columns
