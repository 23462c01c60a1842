"""Panels, and figures of some panels: as files of record, and as elements of a page."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, cast

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .style import HEIGHT, MUTED, SETTINGS, VARIABLES, WIDTH

FONTS = "'DejaVu Sans', Verdana, sans-serif"  # of the second, letters are about as wide as of the first


@dataclass(frozen=True, slots=True)
class Drawing:
    """One panel: what it is called, what a reader who cannot see it is told, and how it is drawn."""

    title: str
    subtitle: str
    words: str
    draw: Callable[[Axes], None]


@dataclass(frozen=True, slots=True)
class Figures:
    """Some panels under one heading, and one figure of record of them (None: an empty place)."""

    name: str  # of its files
    heading: str
    words: str
    drawings: Sequence[Drawing | None]
    columns: int = 3  # at most
    height: float = HEIGHT  # of a panel, in inches


def save(drawings: Sequence[Drawing | None], stem: Path, *, columns: int, height: float) -> None:
    """One figure of all panels (None: an empty place) as SVG, PDF and PNG; the same bytes for the same data."""
    rows = -(-len(drawings) // columns)
    with mpl.rc_context(cast("Any", SETTINGS)):
        figure = Figure(figsize=(WIDTH * columns, height * rows), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for one, axis in zip_longest(drawings, axes):
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
    """The panel as an SVG element for a page: its own ids, the theme's colours, text as text, no XML prolog."""
    with mpl.rc_context(cast("Any", SETTINGS | {"svg.fonttype": "none"})):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        _paint(drawing, figure.subplots())
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None}, transparent=True)
    text = file.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r"\n\s+", "\n", text)
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\1{prefix}-", text)
    text = text.replace("font-family: 'DejaVu Sans'; ", "")
    text = re.sub(r"<[^>]+>", lambda tag: re.sub(r"(\.\d\d)\d+", r"\1", tag[0]), text)  # hundredths of a point
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, f"var(--{variable}, {colour})")
    opening, rest = text.split(">", 1)
    return re.sub(r' (width|height)="[^"]+"', "", opening) + f' font-family="{FONTS}">' + rest


def _paint(drawing: Drawing, axes: Axes) -> None:
    drawing.draw(axes)
    axes.set_axisbelow(True)
    axes.set_title(drawing.subtitle, loc="left", fontsize=8.2, color=MUTED, pad=5)
    axes.annotate(
        drawing.title, (0, 1), (0, 17), xycoords="axes fraction", textcoords="offset points", fontsize=10.5,
        fontweight="bold", ha="left", va="bottom",
    )  # fmt: skip
