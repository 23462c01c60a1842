"""docs/findings/ has a page of a screen for each study, in one order, with numbers that results/reference/ measured."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .test_numbers import COUNT, INTERVAL, REFERENCE, ROOT, measured, published

PAGES = {path.stem: path for path in sorted((ROOT / "docs" / "findings").glob("*.md"))}
SECTIONS = ["What was done", "What was found", "What it means", "What it does not say", "Run it again"]
FOLDERS = sorted(path.parent.name for path in REFERENCE.glob("*/claims.json"))


def folders(page: Path, text: str) -> list[str]:
    """Those that the page's file name, or a name in the text, begins; all where none does."""
    names = {page.stem, *re.findall(r"`(\w+)`", text)}
    return [one for one in FOLDERS if any(one == name or one.startswith(f"{name}_") for name in names)] or FOLDERS


@pytest.mark.parametrize("name", PAGES)
def test_every_number_on_a_page_is_one_that_was_measured(name: str) -> None:
    wrong = []
    for block in re.split(r"\n(?=\|)|\n\n+", PAGES[name].read_text(encoding="utf-8")):
        text = " ".join(block.split())
        own = folders(PAGES[name], text)
        found = [triple for folder in own for triple in published(folder)[0]]
        wrong += [one[0] for one in INTERVAL.finditer(text) if not measured(one.groups(), found)]
        wrong += [one for one in COUNT.findall(text) if not any(one in published(folder)[1] for folder in own)]
    assert not wrong


@pytest.mark.parametrize("name", sorted(set(PAGES) - {"index"}))
def test_a_page_is_a_screen_and_in_the_order_of_all(name: str) -> None:
    lines = PAGES[name].read_text(encoding="utf-8").splitlines()
    assert re.fullmatch(r"# .+\?", lines[0])
    assert [line[3:] for line in lines if line.startswith("## ")] == SECTIONS
    assert len(lines) <= 70
    assert not [line for line in lines if len(line) > 120 and not line.startswith("![")]


def test_links_on_the_pages_lead_somewhere() -> None:
    for page in PAGES.values():
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert target.startswith("http") or (page.parent / target).exists(), (page, target)


def test_every_page_is_in_the_index_and_every_result_on_a_page() -> None:
    assert set(re.findall(r"\]\((\w+)\.md\)", PAGES["index"].read_text(encoding="utf-8"))) == set(PAGES) - {"index"}
    words = "".join(page.read_text(encoding="utf-8") for page in PAGES.values())
    assert set(re.findall(r"results/reference/(\w+)", words)) == {*FOLDERS, "benchmarks"}
