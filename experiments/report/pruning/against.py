"""One score against another under the same rule: a table of every pair, and a figure against one of them."""

from __future__ import annotations

from functools import partial
from typing import Any

import pandas as pd

from ...figures import dots
from ...figures.axes import percent
from ...figures.dots import Dot
from ...figures.panels import Drawing, Figures
from ...figures.style import colour_of, name_of
from ...laws import claims
from ..parts import Section, cells, count, details, grid, note
from . import laws, overview, single
from .layout import BUDGETS

WORDS = (
    "The same rule, fraction kept, pool and budget; last epoch's model, test split; 95 % t intervals over seeds, "
    "paired by seed. Positive: the first score keeps the better examples. One scale for all; not corrected for {}."
)
SAID = 3  # comparisons that the page's first words give
FEW = 24  # rows of the table that are not folded


def sentence(pairs: pd.DataFrame, runs: pd.DataFrame) -> str:
    """Each of few comparisons; nothing of many, which the table has."""
    found = _named(pairs, runs).head(SAID + 1)
    if not 0 < len(found) <= SAID:
        return ""
    each = (
        f"{row['scorer']} against {row['against']}, {name_of(row['rule'])} {row['keep']:g}: {claims.describe(row)} "
        f"({row['verdict']})"
        for _, row in found.iterrows()
    )
    return f"One score against another: {'; '.join(each)}."


def _named(pairs: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """The pairs by what their scores and setups are called."""
    if pairs.empty:
        return pairs
    by = laws.scorers(runs)
    words = pairs.assign(scorer=pairs["selection"].map(by), against=pairs["other"].map(by))
    return laws.placed(words, runs).assign(scorer=words["scorer"])


def section(pairs: pd.DataFrame, runs: pd.DataFrame) -> Section | None:
    """Nothing where no two scores met."""
    if pairs.empty:
        return None
    found = _named(pairs, runs)
    drawings = _drawings(found, runs)
    body = cells([_row(row, found) for _, row in found.iterrows()], "stacked")
    shown = body if len(found) <= FEW else details(f"{len(found)} comparisons of two scores", body)
    figures = Figures("scores", "One score against another", WORDS.format(count(len(found), "comparison")), drawings)
    return Section(figures.heading, [note(figures.words), grid(drawings, "a"), shown], [figures])


def _row(row: pd.Series[Any], found: pd.DataFrame) -> dict[str, Any]:
    several = [name for name in ("place", "budget", "pool") if found[name].nunique() > 1]
    about = {"place": row["place"], "budget": BUDGETS[row["budget"]], "pool": f"{row['pool']:,.0f}"}
    shown = {overview.ROWS[name]: about[name] for name in several}
    shown |= {"score": row["scorer"], "against": row["against"], "rule": name_of(row["rule"])}
    unit = overview.UNITS[row["metric"]]
    return shown | {"keep": f"{row['keep']:g}", f"gain, {unit}": overview.cell(row), "seeds": str(row["n"])}


def _drawings(found: pd.DataFrame, runs: pd.DataFrame) -> list[Drawing]:
    """A drawing a setting, budget and pool, each against the score that most others met."""
    drawn = []
    for key, own in found.groupby(["place", "metric", "budget", "pool"], sort=True):
        place, metric, budget, pool = key
        against = str(own["against"].mode().iloc[0])
        rows = [_dot(row, runs) for _, row in own[own["against"] == against].iterrows()]
        drawn.append(
            (f"Against {against}", f"{place} · {BUDGETS[str(budget)]} · pool of {pool:,.0f}", str(metric), rows)
        )
    limits = {
        metric: dots.reach([dot for *_, kind, rows in drawn if kind == metric for dot in rows], 0.0)
        for metric in found["metric"].unique()
    }
    return [
        Drawing(title, subtitle, f"{title}, {subtitle}: {'; '.join(dot.words for dot in rows)}",
                partial(single.draw_gains, rows, limits[metric], metric), dots.height(len(rows)),
                pd.DataFrame([{"row": dot.name, "gain": dot.value, "low": dot.low, "high": dot.high} for dot in rows]))
        for title, subtitle, metric, rows in drawn
    ]  # fmt: skip


def _dot(row: pd.Series[Any], runs: pd.DataFrame) -> Dot:
    factor, sign = percent(row["metric"]), -1 if row["metric"] == "bits_per_byte" else 1
    same = [*(name for name in claims.COMPARED if pd.notna(row[name])), "rule"]
    here = runs[(runs[same] == row[same].to_numpy()).all(axis=1)]
    one, other = (here[here["selection"] == row[side]].groupby("seed")[row["metric"]].mean()
                  for side in ("selection", "other"))  # fmt: skip
    apart = (sign * factor * (one - other)).dropna()
    name = f"{row['scorer'][: single.LONGEST]} · {name_of(row['rule'])} {row['keep']:g}"
    value, low, high = (factor * float(row[end]) for end in ("effect", "low", "high"))
    words = f"{name}: {claims.describe(row)} against {row['against']}, {row['n']} seeds, {row['verdict']}"
    seeds = {int(str(seed)): float(gain) for seed, gain in apart.items()}
    return Dot(name, value, low, high, colour_of(row["rule"]), words, row["verdict"] == "undecided", seeds)
