"""docs/findings/ has a page of a screen for each study, all in one order, and a command that makes each again."""

from __future__ import annotations

import re

import pytest

from .test_numbers import FINDINGS, REFERENCE, ROOT

PAGES = {page.stem: page.read_text(encoding="utf-8") for page in FINDINGS}
SECTIONS = ["What was done", "What was found", "What it means", "What it does not say", "Run it again"]


@pytest.mark.parametrize("name", sorted(set(PAGES) - {"index", "changes"}))
def test_a_page_is_a_screen_and_in_the_order_of_all(name: str) -> None:
    lines = PAGES[name].splitlines()
    assert re.fullmatch(r"# .+\?", lines[0])
    assert [line[3:] for line in lines if line.startswith("## ")] == SECTIONS
    assert len(lines) <= 70
    assert not [line for line in lines if len(line) > 120 and not line.startswith("![")]


def test_every_page_is_in_the_index_and_every_result_on_a_page() -> None:
    assert set(re.findall(r"\]\((\w+)\.md\)", PAGES["index"])) == set(PAGES) - {"index"}
    results = {path.parent.name for path in REFERENCE.glob("*/claims.json")} | {"benchmarks"}
    assert set(re.findall(r"results/reference/(\w+)", "".join(PAGES.values()))) == results


def test_every_experiment_that_a_page_runs_again_has_that_size() -> None:
    found = re.findall(r"reproduce experiment=(\w+)(?: experiment\.size=(\w+))?", "".join(PAGES.values()))
    assert len(found) > 15
    for name, size in found:
        text = (ROOT / "configs" / "experiment" / f"{name}.yaml").read_text(encoding="utf-8")
        assert not size or f"\n    {size}:\n" in text[text.index("\n  sizes:\n") :]
