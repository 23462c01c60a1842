"""Loss against compute, where unpruned runs differ in parameters and in data: the joint law L(N, D), or why not."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ...errors import ConfigError
from ...figures.axes import bars, limits, log_axis, name_axes
from ...figures.panels import Drawing, Figures
from ...figures.style import BLUE, MARKERS, count_label, paler
from ...laws import chinchilla
from ...laws.intervals import interval_of, worded
from ...models.cost import parameters, training_flops
from ...models.gpt import Gpt
from ..parts import Section, count, grid, heading, note
from .capacity import UNITS

SAME = ("task.", "recipe.", "shifted.", "finetune.")  # settings that runs of one law share
LENGTHS = {"task.examples", *(f"recipe.{unit}" for unit in UNITS)}  # and those that make D
SHOWN = ("E", "A", "B", "alpha", "beta")
NONE = math.nan, math.nan  # of an interval
SYMBOLS = {"alpha": "α", "beta": "β"}
WORDS = (
    "Unpruned runs under uniform weights. N: a GPT's parameters without embeddings, all parameters of other models. "
    "D: tokens, or examples, counted as often as they were seen. Compute: of a GPT the operations of its matrix "
    "products, of other models 6 N D. L: test loss, last epoch's model, in nats; means, 95 % t intervals over seeds. "
    "Lines: the law L = E + A / N^α + B / D^β of arXiv:2203.15556, fitted to all runs (Huber's loss of ln L); its "
    "intervals are percentiles over sizes drawn with replacement, the seeds of a size together."
)


@dataclass(frozen=True, slots=True)
class Joint:
    """The runs of one law, with columns N, D, C (operations, or 6 N D) and cell, a number a size; and the law."""

    title: str
    runs: pd.DataFrame
    law: chinchilla.Fit | None  # None: the runs do not determine it
    said: str
    interval: dict[str, tuple[float, float]]  # empty: none


def laws(runs: pd.DataFrame) -> list[Joint]:
    return [_joint(own) for own in groups(runs)]


def groups(runs: pd.DataFrame) -> list[pd.DataFrame]:
    """The runs of each data set and recipe that has several numbers of parameters and several amounts of data."""
    plain = runs[(runs["rule"] == "none") & (runs["policy"] == "uniform")]
    sized = sizes(plain).dropna(subset=["N", "D", "loss"])
    fixed = [str(name) for name in runs if str(name).startswith(SAME) and name not in LENGTHS]
    keys = ["task", "fingerprint", "model", "split", *fixed]
    alike = [own for _, own in sized.groupby(keys, dropna=False, sort=True)] if len(sized) else []
    return [own for own in alike if min(own["N"].nunique(), own["D"].nunique()) > 1]


def sizes(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs with N, D and C, NaN where they are not known."""
    found = [_size(row) for row in runs.to_dict("records")]
    return runs.assign(**{name: [one[place] for one in found] for place, name in enumerate("NDC")})


def _size(row: dict[Any, Any]) -> tuple[float, float, float]:
    number, seen = float(row.get("parameters", math.nan)), float(row["examples_seen"])
    if row["model"] != "gpt":
        return number, seen, 6 * number * seen
    named = {str(name).removeprefix("model."): value for name, value in row.items() if str(name).startswith("model.")}
    model = Gpt.model_validate({name: _plain(value) for name, value in named.items() if not pd.isna(value)})
    body, context = float(parameters(model, 0, 0).body), float(row.get("task.context", math.nan))
    if math.isnan(context):
        return body, math.nan, math.nan
    tokens = seen * context
    return body, tokens, tokens * training_flops(model, int(row["task.vocabulary"]), int(context))


def _plain(value: Any) -> Any:
    """A setting as it was: columns with empty cells make numbers floats."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _joint(own: pd.DataFrame) -> Joint:
    own = own.assign(cell=own.groupby(["N", "D"]).ngroup())
    title = f"{own['task'].iloc[0]} · {own['model'].iloc[0]} · {count(own['N'].nunique(), 'number')} of parameters"
    sized = [own[name].to_numpy(dtype=float) for name in ("N", "D", "loss")]
    try:
        law = chinchilla.fit(*sized)
    except ConfigError as error:
        return Joint(title, own, None, f"No joint law: {error}.", {})
    try:
        ends, why = law.interval(clusters=own["cell"].to_numpy()), ""
    except ConfigError as error:
        ends, why = {}, f" {str(error).capitalize()}."
    values = {name: worded(getattr(law, name), *ends.get(name, NONE), ".3g") for name in (*SHOWN, "exponent")}
    fitted = ", ".join(f"{SYMBOLS.get(name, name)} = {values[name]}" for name in SHOWN)
    said = f"Fitted to {count(len(own), 'run')} of {count(own['cell'].nunique(), 'size')}: {fitted}.{why}"
    if not law.reason:
        compute = float((6 * sized[0] * sized[1]).max())
        best, data = law.optimal(compute)
        said += (f" At equal 6 N D the best N grows as its power {values['exponent']}; at {compute:.2g} it is "
                 f"{best:,.0f}, with {data / best:.3g} times as much data.")  # fmt: skip
    return Joint(title, own, law, said, ends)


def section(found: Sequence[Joint]) -> Section | None:
    """Nothing where no runs differ in both."""
    drawings = [Drawing("Loss against compute", one.title, one.said, partial(_draw, one)) for one in found]
    parts = [note(WORDS)]
    for place, (one, drawing) in enumerate(zip(found, drawings, strict=True)):
        parts += [heading(one.title), note(one.said, "plain"), grid([drawing], f"n{place}-")]
    return Section("Loss against compute", parts, [Figures("compute", "", "", drawings)]) if found else None


def rows(found: Sequence[Joint]) -> Iterator[dict[str, Any]]:
    """What claims.json keeps of the laws."""
    for one in found:
        fitted = {} if one.law is None else {name: getattr(one.law, name) for name in (*SHOWN, "exponent", "converged")}
        yield {"title": one.title, "said": one.said} | fitted | {"interval": one.interval}


def _draw(one: Joint, axes: Axes) -> None:
    """A line and its points for each number of parameters."""
    by_number: list[tuple[Any, pd.DataFrame]] = list(one.runs.groupby("N", sort=True))
    for place, (number, own) in enumerate(by_number):
        colour = paler(BLUE, len(by_number) - 1 - place, len(by_number))
        cells = [cell for _, cell in own.groupby("D", sort=True)]
        compute = np.array([float(cell["C"].mean()) for cell in cells])
        means = [interval_of(cell["loss"]) for cell in cells]
        value, low, high = (np.array([getattr(mean, name) for mean in means]) for name in ("value", "low", "high"))
        bars(axes, compute, value, low, high, fmt=MARKERS[place % len(MARKERS)], color=colour,
             label=f"N = {count_label(float(f'{number:.3g}'))}")  # fmt: skip
        if one.law is not None:
            data = np.geomspace(own["D"].min(), own["D"].max(), 40)
            per = float((own["C"] / own["D"]).mean())
            axes.plot(per * data, one.law.predict(np.full(40, number), data), color=colour, linewidth=1.2)
    log_axis(axes, "x", *limits(one.runs["C"].to_numpy(dtype=float), 1.3), lambda value: f"{value:.0e}")
    log_axis(axes, "y", *limits(one.runs["loss"].to_numpy(dtype=float), 1.05))
    name_axes(axes, "compute (operations)", "test loss (nats)")
