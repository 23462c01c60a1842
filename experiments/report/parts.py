"""What the sections of a page are made of: notes, figures, tables, lists. Each is a macro of parts.html, filled."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from ..figures import panels
from ..figures.panels import Drawing, Figures

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, the parts under it, and its figures of record."""

    heading: str
    parts: Sequence[Markup]
    figures: Sequence[Figures] = ()


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table, as style.css colours it."""

    words: str
    style: str = ""
    title: str = ""  # shown on hovering
    small: str = ""  # a second line


@cache
def templates() -> Environment:
    found = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    found.filters["linked"] = linked
    return found


def linked(part: str) -> Markup:
    """With every arXiv number as a link; those in attributes stay as they are."""
    link = r'<a href="https://arxiv.org/abs/\1">arXiv:\1</a>'
    return Markup(re.sub(r"arXiv:(\d{4}\.\d{5})(?=[^<>]*(<|$))", link, str(escape(part))))


def shown(figures: Figures) -> Section:
    """A section of some panels alone."""
    drawings = [one for one in figures.drawings if one is not None]
    return Section(figures.heading, [note(figures.words), grid(drawings, figures.name)], [figures])


def heading(text: str) -> Markup:
    return Markup("<h3>{}</h3>").format(text)


def note(text: str, style: str = "note") -> Markup:
    """A paragraph: small and grey, or as the style says."""
    return Markup('<p class="{}">{}</p>').format(style, text)


def code(text: str) -> Markup:
    return Markup("<pre>{}</pre>").format(text)


def box(style: str, *parts: Markup) -> Markup:
    """Parts laid out by a class of style.css."""
    return Markup('<div class="{}">{}</div>').format(style, Markup("\n").join(parts))


def details(summary: str, *parts: Markup, opened: bool = False) -> Markup:
    attribute = Markup(" open" if opened else "")
    return Markup("<details{}><summary>{}</summary>{}</details>").format(attribute, summary, Markup("\n").join(parts))


def drawing(one: Drawing, prefix: str) -> Markup:
    """A panel on the page, and its data to take away; `prefix` keeps its identifiers apart from those of others."""
    svg, data = panels.inline(one, prefix)
    name = re.sub(r"\W+", "-", f"{one.title} {one.subtitle}".lower()).strip("-")
    return _part("drawing", svg, one.words, name, base64.b64encode(data.encode()).decode())


def grid(drawings: Iterable[Drawing], prefix: str) -> Markup:
    return box("grid", *(drawing(one, f"{prefix}{place}") for place, one in enumerate(drawings)))


def definitions(pairs: Iterable[tuple[str, str]], style: str = "") -> Markup:
    return _part("definitions", pairs, style)


def table(head: Sequence[str], rows: Iterable[Sequence[str | Cell]], style: str = "") -> Markup:
    """The first cell of a row is its head. `stacked`: on a narrow screen the cells of a row are under each other."""
    told = [[one if isinstance(one, Cell) else Cell(str(one)) for one in row] for row in rows]
    return _part("table", head, told, style)


def titled(title: str, body: Markup) -> Markup:
    """A table with its title, for a box of several."""
    return Markup("<div><h4>{}</h4>{}</div>").format(title, body)


def cells(rows: Sequence[Mapping[str, Any]], style: str = "") -> Markup:
    """A table of rows by column; every row has the columns of the first, in any order, or none."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    return table(names, [[row.get(name, "") for name in names] for row in rows], style)


def examples(name: str, shown: Sequence[Any], *, text: bool, pairs: bool = False) -> Markup:
    """Pictures, or texts, with their classes and scores; `pairs`: each two pictures stay side by side."""
    return _part("texts", name, shown) if text else _part("pictures", name, shown, pairs)


def count(number: int, noun: str, nouns: str = "") -> str:
    return f"{number} {noun if number == 1 else nouns or f'{noun}s'}"


def _part(name: str, *values: Any) -> Markup:
    return Markup(getattr(templates().get_template("parts.html").module, name)(*values))
