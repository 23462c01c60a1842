"""The numbers in README.md and docs/findings/ are those that the pages in results/reference/ measured.

Every interval in the text (1.6 [1.4, 1.7]) and every count of points (128 of 128 points) must be that of a claim, a
comparison, a point or a law of a folder that the paragraph is about, rounded as it stands. A number that changed, or
that nothing measured, stops `make test`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "results" / "reference"
FINDINGS = sorted((ROOT / "docs" / "findings").glob("*.md"))
NUMBER = r"[+\-−]?(?:\d[\d,]*)?\.?\d+"
INTERVAL = re.compile(rf"({NUMBER})(?: ?%| points| nats| bits per byte)? \[({NUMBER}), ({NUMBER})\]")
COUNT = re.compile(r"\d+ of \d+ points")
SCALES = (1, 100, -1, -100)  # a share as percent; a difference told the other way round
Triples = list[tuple[float, ...]]


def number(text: str) -> float:
    return float(text.replace("−", "-").replace(",", ""))


@cache
def published(folder: str) -> tuple[Triples, str]:
    """(value, low, high) of all that the folder's claims.json and points.csv say, and the text of the first."""
    text = (REFERENCE / folder / "claims.json").read_text(encoding="utf-8")
    found = list(triples(json.loads(text)))
    if (points := REFERENCE / folder / "points.csv").exists():
        table = pd.read_csv(points)
        names = [name.removesuffix("_low") for name in table if name.endswith("_low")]
        sides = [(name, f"{name}_low", f"{name}_high") for name in names]
        sides += [("mean", "low", "high")] if "mean" in table else []
        found += [tuple(map(float, row)) for side in sides for row in table[list(side)].dropna().to_numpy()]
    return found, text


def triples(value: Any) -> Iterator[tuple[float, ...]]:
    if isinstance(value, dict):
        ends = (value.get("effect", value.get("value")), value.get("low"), value.get("high"))
        if all(isinstance(one, int | float) for one in ends):
            yield tuple(map(float, ends))
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from triples(one)
    if isinstance(value, str):  # a law's parameter, a verdict
        yield from (tuple(map(number, one)) for one in INTERVAL.findall(value))


def measured(said: tuple[str, ...], found: Triples) -> bool:
    """Whether one of the triples is what is said, to the digits that are said."""
    digits = [len(one.partition(".")[2]) for one in said]

    def same(scale: float, triple: tuple[float, ...]) -> bool:
        value, low, high = (scale * one for one in triple)
        pairs = zip((value, min(low, high), max(low, high)), map(number, said), digits, strict=True)
        return all(math.isclose(one, wanted, abs_tol=0.50001 * 10.0**-places) for one, wanted, places in pairs)

    return any(same(scale, triple) for triple in found for scale in SCALES)


def paragraphs(page: Path) -> Iterator[tuple[str, list[str]]]:
    """Each, with the reference folders that the page's file name, or a name in it, begins; all where none does.

    `pruning_then_equal` names `pruning_then_equal_text`, too: the page of an experiment is about all of its sizes.
    """
    folders = sorted(path.parent.name for path in REFERENCE.glob("*/claims.json"))
    for block in re.split(r"\n(?=\|)|\n\n+", page.read_text(encoding="utf-8")):
        text = " ".join(block.split())
        names = {page.stem, *re.findall(r"`(\w+)`", text)}
        yield text, [one for one in folders if any(f"{one}_".startswith(f"{name}_") for name in names)] or folders


@pytest.mark.parametrize("page", [ROOT / "README.md", *FINDINGS], ids=lambda page: page.stem)
def test_every_number_in_the_text_is_one_that_was_measured(page: Path) -> None:
    wrong = []
    for text, folders in paragraphs(page):
        found = [triple for folder in folders for triple in published(folder)[0]]
        plain = text.replace("n^-", "n^")  # the exponent of a fall
        wrong += [one[0] for one in INTERVAL.finditer(plain) if not measured(one.groups(), found)]
        wrong += [one for one in COUNT.findall(text) if not any(one in published(folder)[1] for folder in folders)]
    assert not wrong, f"{page.name} says what no page in results/reference/ says"
