"""The forms of the conditional law side by side, and one loss for all shapes of a size as the baseline.

Each is fitted to all sizes but the largest. AICc judges the fit there, on one scale: what a form leaves of the ln L of
shapes. The largest size decides: how far the predicted losses are from the measured, and whether they have their order.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ...errors import ConfigError
from ...figures import dots
from ...figures.panels import Drawing, Figures
from ...figures.style import BLUE, GREY
from ...laws import conditional
from ...laws.intervals import interval_of, worded
from .fits import Quantities, Row, held_out_size, law_of, predicted, pseudo_values, smaller, trained_alike, usual_depth

FORMS: Sequence[conditional.Form] = ("multiplicative", "additive", "joint")
MEAN = "one loss"
AICC, ERROR, RANK = MEASURES = ("form_aicc", "form_ln_error", "form_rank")  # AICc: less that of one loss
SHOWN = {
    AICC: ("Fit to the smaller sizes", "AICc less that of one loss for all shapes (lower is better)"),
    ERROR: ("Error on the largest size", "root mean square error of the loss (%; lower is better)"),
    RANK: ("Order of the largest size", "Spearman's ρ of predicted and measured losses"),
}
WORDS = (
    "Each form of the law is fitted to all sizes but the largest, and predicts the largest, which decides. "
    "Multiplicative: the law of this page. Additive: both terms in nats. Joint: the best width may change with the "
    "MLP's share. One loss: the same prediction for every shape. Lines: 95 % intervals over seeds; grey, of ρ: over "
    "shapes drawn with replacement."
)


def rows(table: pd.DataFrame) -> pd.DataFrame:
    """A row for each measure, form and seed."""
    return pd.DataFrame(_rows(table))


def _rows(table: pd.DataFrame) -> Iterator[Row]:
    losses = _judged(table)
    if len(losses):
        size = held_out_size(losses)
        for form in FORMS:
            for row in pseudo_values(losses, partial(_compared, form), MEASURES):
                yield row | {"form": form, "parameters": size}
        for row in pseudo_values(losses, _of_one_loss, MEASURES[:2]):
            yield row | {"form": MEAN, "parameters": size}


def _judged(table: pd.DataFrame) -> pd.DataFrame:
    """The runs of the usual depth; none where they are of one size."""
    losses = trained_alike(table)
    same = losses[losses["depth"] == usual_depth(losses)] if len(losses) else losses
    return same if len(same) and same["parameters"].nunique() > 1 else same.iloc[:0]


def _compared(form: conditional.Form, losses: pd.DataFrame) -> Quantities:
    law = law_of(smaller(losses), form)
    found, baseline = predicted(law, losses), conditional.aicc_of_means(law.shapes)
    if not law.converged or law.aicc is None or baseline is None:
        raise ConfigError(law.reason or "too few shapes for an AICc")
    return {AICC: law.aicc - baseline, ERROR: math.log(found.error) / 2, RANK: found.rank}


def _of_one_loss(losses: pd.DataFrame) -> Quantities:
    largest = losses[losses["parameters"] == held_out_size(losses)]
    means = largest["loss"].astype(float).map(math.log).groupby([largest["x"], largest["r"]]).mean()
    return {AICC: 0.0, ERROR: math.log(float(means.std(ddof=0)))}


def figures(table: pd.DataFrame) -> Iterator[Figures]:
    found, losses = rows(table), _judged(table)
    if len(found):
        size = held_out_size(losses)
        drawings = [_drawn(found[found["measure"] == measure], losses, measure, size) for measure in SHOWN]
        yield Figures("forms", "The forms of the law", WORDS, drawings)


def _drawn(found: pd.DataFrame, losses: pd.DataFrame, measure: str, size: int) -> Drawing:
    title, axis = SHOWN[measure]
    forms = list(dict.fromkeys(found["form"]))
    shown = [_dot(found[found["form"] == form], form, measure) for form in forms]
    ends = [_over_shapes(losses, form) for form in forms] if measure == RANK else []
    words = f"{axis}: " + "; ".join(one.words for one in shown)
    return Drawing(title, f"{size:,} parameters held out", words, partial(_draw, shown, ends, axis),
                   dots.height(len(shown)))  # fmt: skip


def _dot(own: pd.DataFrame, form: str, measure: str) -> dots.Dot:
    over, unit = interval_of(own["value"]), " %" if measure == ERROR else ""

    def as_shown(value: float) -> float:
        return 100 * math.exp(value) if measure == ERROR else value

    value, low, high = map(as_shown, (over.value, over.low, over.high))
    words = f"{form}: {worded(value, low, high, '.3g', unit)}"
    return dots.Dot(form, value, low, high, GREY if form == MEAN else BLUE, words)


def _over_shapes(losses: pd.DataFrame, form: conditional.Form) -> tuple[float, float]:
    try:
        found = predicted(law_of(smaller(losses), form), losses)
    except ConfigError:
        return math.nan, math.nan
    return found.low, found.high


def _draw(shown: Sequence[dots.Dot], ends: Sequence[tuple[float, float]], axis: str, axes: Axes) -> None:
    finite = [end for pair in ends for end in pair if np.isfinite(end)]
    for place, pair in enumerate(ends):
        axes.plot(pair, [place - 0.2] * 2, color=GREY, linewidth=3, solid_capstyle="butt")
    dots.draw(axes, shown, limits=dots.reach(shown, *finite), words=axis)
