"""How the panels of evaluated runs are laid out: on the page, and as figures of record."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from ...figures.panels import Drawing, Figures
from .laws import BUDGETS, Panel


def grouped(panels: Sequence[Panel]) -> list[tuple[str, list[tuple[int, Panel]]]]:
    """(heading, numbered panels) of each grid: one panel, or all of a setup where each is a single drawing."""
    groups: list[list[tuple[int, Panel]]] = []
    before: str | None = None
    for place, panel in enumerate(panels):
        if panel.single and before == panel.setup:
            groups[-1].append((place, panel))
        else:
            groups.append([(place, panel)])
        before = panel.setup if panel.single else None
    return [(group[0][1].title if len(group) == 1 else group[0][1].setup, group) for group in groups]


def records(name: str, panels: Sequence[Panel], draw: Callable[[Panel], Sequence[Drawing]]) -> list[Figures]:
    """Figures of record: one for each setup and scorer, a row a budget."""
    groups: dict[tuple[str, str], list[Panel]] = {}
    for panel in panels:
        groups.setdefault((panel.setup, panel.scorer), []).append(panel)
    found = []
    for (setup, scorer), group in groups.items():
        end = "" if len(groups) == 1 else "-" + re.sub(r"[^a-z0-9]+", "-", f"{setup} {scorer}".lower()).strip("-")
        drawings, columns = in_rows([draw(panel) for panel in group])
        if columns:
            found.append(Figures(name + end, setup, "", drawings, columns if columns > 1 else 3))
    return found


def in_rows(rows: Sequence[Sequence[Drawing]]) -> tuple[list[Drawing | None], int]:
    """Drawings row by row, with empty places at the ends of the shorter ones; how many columns that makes."""
    columns = max(len(row) for row in rows)
    return [one for row in rows for one in [*row, *[None] * (columns - len(row))]], columns


def subtitle(panel: Panel) -> str:
    scorer = "" if panel.scorer == "none" else f" · {panel.scorer}"
    return f"{panel.setup}{scorer} · {BUDGETS[panel.budget]}"


def label(panel: Panel) -> str:
    """What tells the panel from the others of its setup."""
    return panel.title.removeprefix(f"{panel.setup} · ").capitalize()


def answers(panel: Panel) -> str:
    """Which law the unpruned points and the envelope follow, and why."""
    one, envelope = panel.unpruned.comparison, panel.envelope
    said = f"Unpruned: {one.verdict} ({one.reason}). "
    if envelope is None:
        return f"{said}No envelope: {panel.envelope_note}."
    return f"{said}Envelope: {envelope.comparison.verdict} ({envelope.comparison.reason}); {panel.envelope_note}."
