"""What a figure's points say: words shown on hovering, as titles in the SVG, and the values that its lines show."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.lines import Line2D

MOST = 300  # points of a line that say anything
MARK = "hover-"


def say(line: Line2D, words: Sequence[str]) -> None:
    """Words for each point of a line of markers, in their order; none of the points is missing."""
    line.set_gid(json.dumps(list(words)))


def names(axes: Axes) -> list[list[str]]:
    """The words of every line with markers, which is named by its place; without words of its own, label and values."""
    found = list[list[str]]()
    labels = dict(_labels(axes))
    for line in axes.get_lines():
        given, line_is = line.get_gid(), str(line.get_marker()) not in ("None", "none", "", " ")
        line.set_gid(None)
        values = np.asarray(line.get_xydata(), dtype=float)
        values = values[np.isfinite(values).all(1)]
        if not line_is or not 0 < len(values) <= MOST:
            continue
        label = labels.get(line, "")
        words = json.loads(given) if given else [f"{label}: {x:.4g}, {y:.4g}".removeprefix(": ") for x, y in values]
        line.set_gid(f"{MARK}{len(found)}")
        found.append(words)
    return found


def titled(svg: str, words: Sequence[Sequence[str]]) -> str:
    """The SVG with a <title> for each marker of the lines that `names` named."""
    head, *groups = re.split(rf'(?=<g id="{MARK}\d+">)', svg)
    places = (int(group.partition(MARK)[2].partition('"')[0]) for group in groups)
    return head + "".join(_marked(group, words[place]) for group, place in zip(groups, places, strict=True))


def _marked(group: str, words: Sequence[str]) -> str:
    own, end, rest = group.partition("\n  </g>")  # markers of later lines are beyond it
    left = iter(words)
    shown = re.sub(r"<use [^>]*/>", lambda use: f"<g><title>{escape(next(left, ''))}</title>{use[0]}</g>", own)
    return shown + end + rest


def readings(axes: Axes) -> pd.DataFrame:
    """(series, x, y, low, high) of what is drawn: lines with a label, bars, the cells of an image."""
    ends = {one.lines[0]: one for one in axes.containers if isinstance(one, ErrorbarContainer)}
    named, rows = dict(_labels(axes)), list[dict[str, Any]]()
    lines = [line for line in axes.get_lines() if line in named] or list(axes.get_lines())
    for line in lines:
        bars = [part for one in (ends[line].lines[2] if line in ends else ()) for part in one.get_segments()]
        values = np.asarray(line.get_xydata(), dtype=float).tolist()
        for place, (x, y) in enumerate(values):
            row = {"series": named.get(line, ""), "x": x, "y": y}
            if len(bars) == len(values) and len(bars[place]):
                along = 0 if ends[line].has_xerr else 1
                row |= {"low": bars[place][0][along], "high": bars[place][1][along]}
            rows.append(row)
    for one in axes.containers:
        for patch in one if isinstance(one, BarContainer) else ():
            across, along = (patch.get_y() + patch.get_height() / 2, patch.get_width())
            rows.append({"series": one.get_label(), "x": along, "y": across})
    for image in axes.get_images():
        values = np.asarray(image.get_array(), dtype=float)
        rows += [{"x": column, "y": row, "value": value} for (row, column), value in np.ndenumerate(values)]
    return pd.DataFrame(rows)


def _labels(axes: Axes) -> Iterator[tuple[Any, str]]:
    """Lines that a legend names, by themselves or as part of error bars."""
    artists: list[Any] = [*axes.get_lines(), *axes.containers]
    for one in artists:
        label = str(one.get_label())
        if label and not label.startswith("_"):
            yield (one.lines[0] if isinstance(one, ErrorbarContainer) else one), " ".join(label.split())
