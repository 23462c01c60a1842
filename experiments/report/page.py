"""One self-contained HTML page: its sections laid out, its figures as files, and the tables and claims behind it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from markupsafe import Markup

from ..figures import panels
from ..laws.claims import Outcome, Verdict
from ..laws.sequential import SAID
from . import provenance
from .parts import HERE, Cell, Section, table, templates
from .table import write as write_table

if TYPE_CHECKING:
    import pandas as pd


ADDED = (
    "A confidence sequence: seeds could be added until it was decided. Every other interval on this page is one of a "
    "fixed number of seeds."
)


def write(
    folder: Path,
    sections: Sequence[Section | None],
    outcomes: Sequence[Outcome],
    *,
    title: str,
    verdict: str,
    caveat: str,
    tables: Mapping[str, pd.DataFrame],
    origin: Mapping[str, Any],
    runs: int,
    points: int,
    claims: Mapping[str, Any] | None = None,
    warnings: Iterable[str] = (),
) -> dict[str, Any]:
    """Write index.html, figures/*, the tables, claims.json and record.json into `folder`; say what came out.

    `failed` names the claims whose verdict is not the expected one.
    """
    shown = [one for one in sections if one is not None]
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in tables.items():
        write_table(rows, folder / name)
    figures = [one for section in shown for one in section.figures]
    for sheet in figures:
        columns = min(sheet.columns, len(sheet.drawings))
        panels.save(sheet.drawings, folder / "figures" / sheet.name, columns=columns)
    shown.append(provenance.section(origin, [*tables, "claims.json"], [sheet.name for sheet in figures]))
    said = {
        "title": title,
        "command": origin["command"],
        "verdict": verdict,
        "caveat": caveat,
        "warnings": list(warnings),
        "sections": shown,
    }
    css = Markup((HERE / "style.css").read_text())
    (folder / "index.html").write_text(templates().get_template("page.html").render(css=css, **said))
    everything = {"verdict": verdict, "expectations": [asdict(outcome) for outcome in outcomes]} | dict(claims or {})
    (folder / "claims.json").write_text(json.dumps(plain(everything), indent=1, allow_nan=False) + "\n")
    (folder / "record.json").write_text(json.dumps(plain(origin), indent=1) + "\n")
    counts = Counter(outcome.verdict for outcome in outcomes)
    return {
        "runs": runs,
        "points": points,
        "verdict": verdict,
        "claims": {name: counts[name] for name in get_args(Verdict)},
        "failed": [outcome.said for outcome in outcomes if outcome.surprising],
    }


def expected(outcomes: Sequence[Outcome]) -> Section | None:
    """The claims, and what came out."""
    rows = [
        [
            Cell(one.verdict, one.verdict, small="" if one.expected == "holds" else f"expected: {one.expected}"),
            Cell(one.claim, "wide", small=one.differs and f"Here: {one.differs}"),
            Cell(one.sentence, "wide", small=ADDED if SAID in one.sentence else ""),
            Cell(one.source, "wide"),
        ]
        for one in outcomes
    ]
    head = ("verdict", "claim", "measured", "source")
    return Section("What was expected", [table(head, rows, "stacked")]) if rows else None


def plain(value: Any) -> Any:
    """JSON's own types: numpy's numbers become Python's, what is not finite becomes null."""
    if isinstance(value, dict):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not np.isfinite(value) else value
