"""Panels, and figures of some panels: as files of record, and as elements of a page."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from . import hover
from .style import HEIGHT, MUTED, SETTINGS, VARIABLES, WIDTH

if TYPE_CHECKING:
    import pandas as pd

FONTS = "'DejaVu Sans', Verdana, sans-serif"  # of the second, letters are about as wide as of the first


@dataclass(frozen=True, slots=True)
class Drawing:
    """One panel: what it is called, what a reader who cannot see it is told, and how it is drawn."""

    title: str
    subtitle: str
    words: str
    draw: Callable[[Axes], None]
    height: float = HEIGHT  # in inches
    data: pd.DataFrame | None = None  # what it shows; None: what can be read off its lines


@dataclass(frozen=True, slots=True)
class Figures:
    """Some panels under one heading, and one figure of record of them (None: an empty place)."""

    name: str  # of its files
    heading: str
    words: str
    drawings: Sequence[Drawing | None]
    columns: int = 3  # at most


def save(drawings: Sequence[Drawing | None], stem: Path, *, columns: int) -> None:
    """One figure of all panels (None: an empty place) as SVG, PDF and PNG; the same bytes for the same data."""
    rows = -(-len(drawings) // columns)
    height = max(one.height for one in drawings if one is not None)
    with mpl.rc_context(cast("Any", SETTINGS)):
        figure = Figure(figsize=(WIDTH * columns, height * rows), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for one, axis in zip_longest(drawings, axes):
            if one is None:
                axis.set_axis_off()
            else:
                _paint(one, axis)
                hover.names(axis)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # laid out once, not again for each file
        stem.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(stem.with_suffix(".svg"), metadata={"Date": None}, transparent=True)
        figure.savefig(stem.with_suffix(".pdf"), metadata={"CreationDate": None})
        figure.savefig(stem.with_suffix(".png"), dpi=200, metadata={"Software": None})


def inline(drawing: Drawing, prefix: str) -> tuple[str, str]:
    """The panel as an SVG element for a page (its own ids, the theme's colours, text as text), and its data as .csv."""
    with mpl.rc_context(cast("Any", SETTINGS | {"svg.fonttype": "none"})):
        figure = Figure(figsize=(WIDTH, drawing.height), layout="constrained")
        axes = figure.subplots()
        _paint(drawing, axes)
        data = hover.readings(axes) if drawing.data is None else drawing.data
        names = hover.names(axes)
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None}, transparent=True)
    text = hover.titled(file.getvalue(), names)
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r"\n\s+", "\n", text)
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\1{prefix}-", text)
    text = text.replace("font-family: 'DejaVu Sans'; ", "")
    text = re.sub(r"<[^>]+>", lambda tag: re.sub(r"(\.\d\d)\d+", r"\1", tag[0]), text)  # hundredths of a point
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, f"var(--{variable}, {colour})")
    text = _lean(text, prefix)
    opening, rest = text.split(">", 1)
    element = re.sub(r' (width|height)="[^"]+"', "", opening) + f' font-family="{FONTS}">' + rest
    return element, data.to_csv(index=False, float_format="%.5g", lineterminator="\n")


def _lean(svg: str, prefix: str) -> str:
    """The same picture in fewer letters: groups without names, no turns by nothing, each style once, as a class."""
    svg = re.sub(r'<g id="[^"]+">', "<g>", svg)
    svg = re.sub(r' transform="rotate\(-0 [\d.]+ [\d.]+\)"', "", svg)
    for _ in range(3):  # groups of one thing, inside others
        svg = re.sub(r"<g>\n((?:<(?:path|use|text)\b[^>]*>(?:[^<]*</text>)?\n)*)</g>\n", r"\1", svg)
    styles = list(dict.fromkeys(re.findall(r' style="([^"]*)"', svg)))
    svg = re.sub(r' style="([^"]*)"', lambda style: f' class="{prefix}-{styles.index(style[1])}"', svg)
    rules = "\n".join(f".{prefix}-{place}{{{style}}}" for place, style in enumerate(styles))
    return svg.replace("</style>", f"\n{rules}</style>", 1)


def _paint(drawing: Drawing, axes: Axes) -> None:
    drawing.draw(axes)
    axes.set_axisbelow(True)
    axes.set_title(drawing.subtitle, loc="left", fontsize=8.2, color=MUTED, pad=5)
    axes.annotate(
        drawing.title, (0, 1), (0, 17), xycoords="axes fraction", textcoords="offset points", fontsize=10.5,
        fontweight="bold", ha="left", va="bottom",
    )  # fmt: skip
