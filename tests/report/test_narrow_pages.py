"""Pages on narrow screens and of few examples: nothing is cut, scales are shared, and what is cut is marked."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from matplotlib.figure import Figure

from prune_lab.cli import reports
from prune_lab.experiments.choices import get
from prune_lab.experiments.figures import dots
from prune_lab.experiments.report import parts
from prune_lab.experiments.report.inspection import build
from prune_lab.experiments.report.pruning import kept, words


def data_of(**sizes: int) -> Any:
    splits = {
        split: SimpleNamespace(ids=pd.Series([f"{split}/{row}" for row in range(size)]))
        for split, size in sizes.items()
    }
    return SimpleNamespace(splits=splits, kind="images", classes=("cat", "dog"))


def test_the_title_of_an_inspection_says_what_the_data_are() -> None:
    task: Any = SimpleNamespace(path="/my/photos", name="images")
    assert build.named(task, data_of(train=700, test=120)) == "photos: 820 images in 2 classes"
    found: Any = SimpleNamespace(data=data_of(train=820))
    assert build._judged(found) == "All 820 examples were judged."


def test_the_title_of_a_report_names_what_is_compared() -> None:
    def run(rule: str, keep: float, scorer: str = "el2n") -> Any:
        own = SimpleNamespace(name=rule, label="", scored=rule != "random")
        return SimpleNamespace(
            task=SimpleNamespace(name="digits"), rule=own, keep=keep, scorer=SimpleNamespace(called=lambda: scorer)
        )

    runs = [run("hard", 0.5), run("random", 0.5), run("hard", 1.0)]
    assert (
        reports._titled("evaluate", runs, "3 runs") == "digits: hard, random at keep 0.5 by el2n and unpruned (3 runs)"
    )
    assert reports._titled("search", runs[2:], "1 searches") == "digits: 1 searches"


def test_pictures_and_cells_are_laid_out_for_narrow_screens() -> None:
    one = {"picture": "data:", "words": "w", "name": "two → nine", "score": "96%", "file": "two/1.png"}
    assert '<div class="pictures pairs">' in parts.examples("copies", [one], text=False, pairs=True)
    assert "<h4>" not in parts.examples("", [one], text=False)
    told = parts.table(("verdict", "claim"), [["holds", "it learns"]], "stacked")
    assert '<th scope="row" data-head="verdict">holds</th>' in told
    assert '<td data-head="claim">it learns</td>' in told
    assert "data-head" not in parts.table(("verdict", "claim"), [["holds", "it learns"]])
    css = (parts.HERE / "style.css").read_text()
    assert re.search(r"\.pictures img \{[^}]*max-width: 96px", css)
    assert re.search(r"pre \{[^}]*white-space: pre-wrap", css)


def test_the_settings_of_a_score_are_said_with_its_meaning() -> None:
    runs = pd.DataFrame({
        "keep": [0.5], "budget": ["epochs"], "rule": ["random"], "scorer": ["el2n"],
        "scorer.convention": ["data_diet"], "scorer.proxies": [3.0], "scorer.epoch": [None],
    })  # fmt: skip
    assert words._here(runs, get("scorer", "el2n").model_fields) == "Here: convention=data_diet proxies=3."


@pytest.mark.usefixtures("real_figures")
def test_an_interval_beyond_the_axis_has_an_arrow_and_bars_of_classes_one_scale() -> None:
    axes = Figure().subplots()
    rows = [dots.Dot("a", 1.0, -50.0, 52.0, "red", "a: 1"), dots.Dot("b", 2.0, 1.9, 2.1, "red", "b: 2")]
    dots.draw(axes, rows, limits=dots.reach(rows), words="gain")
    assert {str(line.get_marker()) for line in axes.get_lines()} >= {"<", ">"}
    assert "arrow: the interval reaches beyond" in axes.get_xlabel()
    ends = set()
    for counts in ([5, 5], [9, 1]):
        classes = pd.DataFrame({"name": ["cat", "dog"], "pool": [10, 10], "kept": counts})
        row = pd.Series({"rule": "hard", "keep": 0.5, "task": "digits", "scorer": "el2n", "pool": 20})
        axes = Figure().subplots()
        kept._drawing(row, classes, 0.9).draw(axes)
        ends.add(axes.get_xlim())
    assert len(ends) == 1
