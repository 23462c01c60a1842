"""results/reference/ is light, and whole: every file that a page or a text names is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "results" / "reference"
TEXTS = [ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("results/*.md")]


def test_the_published_pages_weigh_less_than_25_megabytes() -> None:
    assert sum(path.stat().st_size for path in REFERENCE.rglob("*") if path.is_file()) < 25e6


def test_every_file_that_a_page_links_to_is_there() -> None:
    pages = list(REFERENCE.glob("*/index.html"))
    links = {page: re.findall(r'(?:href|src)="([^"#:]+)"', page.read_text(encoding="utf-8")) for page in pages}
    assert len(pages) > 20
    assert all(links.values())
    assert not [(page, link) for page in pages for link in links[page] if not (page.parent / link).exists()]


def test_every_published_figure_is_shown_by_a_text() -> None:
    texts = "".join(text.read_text(encoding="utf-8") for text in TEXTS)
    shown = {ROOT.resolve() / "results" / name for name in re.findall(r"reference/\w+/figures/[\w.-]+\.png", texts)}
    assert shown == {path.resolve() for path in REFERENCE.glob("*/figures/*")}
