"""How the figures look: colours that colour-blind readers can tell apart, ticks, labels, files."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullFormatter, NullLocator

from ..contracts import Floats

INK, MUTED, GRID, CARD = "#1d2126", "#6a737d", "#e3e6ea", "#fefefe"
COLOURS = {  # Okabe and Ito (2008)
    "none": INK,
    "random": "#8b8f96",
    "hard": "#d55e00",
    "easy": "#0072b2",
    "middle": "#009e73",
    "stratified": "#b0629a",
    "beta": "#c48a00",
    "quota": "#3d9bd3",
    "rs2": "#7b61c4",
    "infobatch": "#0f8b8d",
}
RULES = tuple(rule for rule in COLOURS if rule not in ("none", "random"))
VARIABLES = {INK: "ink", MUTED: "muted", GRID: "grid", CARD: "card"} | {
    colour: f"rule-{rule}" for rule, colour in COLOURS.items() if rule != "none"
}  # colours that the page's theme may change
NAMES = {
    "none": "unpruned",
    "hard": "hardest",
    "easy": "easiest",
    "rs2": "RS2",
    "infobatch": "InfoBatch",
    "equal_contribution": "equal contribution",
    "loss_proportional": "weights by loss",
}
MARKERS = ("o", "s", "^", "D", "v", "P")
WIDTH, HEIGHT = 4.3, 4.0  # inches of one panel
SETTINGS: dict[str, object] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.markersize": 5,
    "svg.hashsalt": "prune-lab",
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
}


LADDERS = (  # steps of a log axis within a decade, from coarse to fine
    (1,),
    (1, 3),
    (1, 2, 5),
    (1, 1.5, 2, 3, 4, 5, 7),
    (1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8),
)


@dataclass(frozen=True, slots=True)
class Drawing:
    """One panel: what it is called, what a reader who cannot see it is told, and how it is drawn."""

    title: str
    subtitle: str
    words: str
    draw: Callable[[Axes], None]


def name_of(rule: str) -> str:
    return NAMES.get(rule, rule)


def shade(rule: str, place: int, number: int) -> str:
    """The rule's colour: full for the first of `number`, up to half way to white for the last."""
    share = 0.55 * place / max(number - 1, 1)
    red, green, blue = (channel + (1 - channel) * share for channel in to_rgb(COLOURS[rule]))
    return to_hex((red, green, blue))


def save(drawings: Sequence[Drawing | None], stem: Path, *, columns: int, height: float = HEIGHT) -> None:
    """One figure of all panels (None: an empty place) as SVG, PDF and PNG; the same bytes for the same data."""
    rows = -(-len(drawings) // columns)
    with mpl.rc_context(cast("Any", SETTINGS)):
        figure = Figure(figsize=(WIDTH * columns, height * rows), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for place, axis in enumerate(axes):
            one = drawings[place] if place < len(drawings) else None
            if one is None:
                axis.set_axis_off()
            else:
                _paint(one, axis)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # laid out once, not again for each file
        stem.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(stem.with_suffix(".svg"), metadata={"Date": None}, transparent=True)
        figure.savefig(stem.with_suffix(".pdf"), metadata={"CreationDate": None})
        figure.savefig(stem.with_suffix(".png"), dpi=200, metadata={"Software": None})


def inline(drawing: Drawing, prefix: str, *, height: float = HEIGHT) -> str:
    """The panel as an SVG element for a page: its own ids, the theme's colours, no XML prolog."""
    with mpl.rc_context(cast("Any", SETTINGS)):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        _paint(drawing, figure.subplots())
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None}, transparent=True)
    text = file.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', text)
    text = re.sub(r'href="#([^"]+)"', rf'href="#{prefix}-\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", text)
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, f"var(--{variable}, {colour})")
    opening, rest = text.split(">", 1)
    return re.sub(r' (width|height)="[^"]+"', "", opening) + ">" + rest


def figure(drawing: Drawing, prefix: str, *, height: float = HEIGHT) -> dict[str, Any]:
    """A drawing for a template."""
    return {"svg": Markup(inline(drawing, prefix, height=height)), "words": drawing.words}


def log_axis(axes: Axes, which: Literal["x", "y"], low: float, high: float, label: Callable[[float], str]) -> None:
    """A log axis with three to seven readable ticks, however short the range."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    axes.set(**cast("Any", {f"{which}scale": "log", f"{which}lim": (low, high)}))
    axis.set_major_locator(FixedLocator(log_ticks(low, high)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: label(value)))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())


def log_ticks(low: float, high: float) -> list[float]:
    """The coarsest of some ladders (10; 1, 3; 1, 2, 5; ...) with at least three ticks inside."""
    for ladder in LADDERS:
        ticks = [step * 10.0**power for power in range(-9, 13) for step in ladder]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) >= 3:
            return ticks
    return [float(tick) for tick in MaxNLocator(4).tick_values(low, high) if low <= tick <= high]


def count_label(value: float) -> str:
    """400, 2k, 1.5M."""
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:g}{name}"
    return f"{value:g}"


def percent_label(value: float) -> str:
    return f"{100 * value:.3g} %"


def spread(values: Sequence[float], gap: float, low: float = 0.02, high: float = 0.98) -> list[float]:
    """Places for labels: near their values, in their order, at least `gap` apart, inside [low, high]."""
    order = sorted(range(len(values)), key=lambda row: values[row])
    placed = [values[row] for row in order]
    for _ in range(200):
        moved = False
        for first in range(len(placed) - 1):
            lack = gap - (placed[first + 1] - placed[first])
            if lack > 1e-6:
                placed[first] -= lack / 2
                placed[first + 1] += lack / 2
                moved = True
        shift = max(0.0, low - placed[0]) - max(0.0, placed[-1] - high)
        placed = [place + shift for place in placed]
        if not moved:
            break
    result = [0.0] * len(values)
    for place, row in zip(placed, order, strict=True):
        result[row] = place
    return result


def label_left(axes: Axes, x: float, ends: Sequence[tuple[float, str, str]]) -> None:
    """Names left of the lines' left ends at `x`: (y, name, colour), moved apart where they would overlap."""
    to_axes = axes.transData + axes.transAxes.inverted()
    places = [to_axes.transform((x, y)) for y, _, _ in ends]
    heights = spread([float(place[1]) for place in places], 0.075)
    for (_, name, colour), end, height in zip(ends, places, heights, strict=True):
        left = float(end[0])
        axes.plot(
            [left - 0.015, left - 0.045], [end[1], height], color=colour, linewidth=0.7, transform=axes.transAxes,
        )  # fmt: skip
        background = {"facecolor": CARD, "edgecolor": "none", "pad": 1.0}
        place = (left - 0.055, height)
        axes.text(*place, name, color=colour, transform=axes.transAxes, ha="right", va="center", bbox=background)


def legend_below(axes: Axes) -> None:
    """Names under the axes, where no point can be: the unpruned line first, random next."""
    handles, labels = axes.get_legend_handles_labels()
    first = {"unpruned": 0, "random": 1}
    order = sorted(range(len(labels)), key=lambda row: first.get(labels[row].split(",")[0], 2))
    longest = max((len(label) for label in labels), default=0)
    columns, corner = (3 if longest < 20 else 2), (-0.16, -0.17)
    axes.legend(
        [handles[row] for row in order],
        [labels[row] for row in order],
        loc="upper left",
        bbox_to_anchor=corner,
        ncols=columns,
        handlelength=1.5,
        labelspacing=0.3,
        columnspacing=1.0,
        handletextpad=0.5,
        borderaxespad=0,
    )


def limits(values: Floats, margin: float) -> tuple[float, float]:
    """The range of positive values, widened by a factor on both sides."""
    positive = values[values > 0]
    if not len(positive):
        return 0.01, 1.0
    return float(positive.min() / margin), float(positive.max() * margin)


def _paint(drawing: Drawing, axes: Axes) -> None:
    drawing.draw(axes)
    axes.set_axisbelow(True)
    axes.set_title(drawing.subtitle, loc="left", fontsize=8.2, color=MUTED, pad=5)
    axes.annotate(
        drawing.title, (0, 1), (0, 17), xycoords="axes fraction", textcoords="offset points", fontsize=10.5,
        fontweight="bold", ha="left", va="bottom",
    )  # fmt: skip
