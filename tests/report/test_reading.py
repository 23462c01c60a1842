"""What a reader of a page meets: numbers and words as the field writes them, and nothing about what nobody asked."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from markupsafe import Markup

from prune_lab.experiments.figures import panels
from prune_lab.experiments.figures.style import count_label
from prune_lab.experiments.laws import scaling
from prune_lab.experiments.laws.intervals import worded
from prune_lab.experiments.report import parts
from prune_lab.experiments.report.pruning import build as page
from prune_lab.experiments.report.pruning import fits

from ..synthetic_store import build

HERE = Path(parts.__file__).parent


def text_of(page: Path) -> str:
    return re.sub(r"\s+", " ", page.read_text())


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    """A page on a single pool, with its own words alone: figures are half of the time."""
    root = tmp_path_factory.mktemp("single")
    store = build(root / "store", pools=(2000,), keeps=(0.5,), rules=("random", "hard"), budgets=("epochs",))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(panels, "save", lambda *_, **__: None)
        metrics = page.build(store, None, root / "page", title="t", command="c")
    return text_of(root / "page" / "index.html"), metrics


def test_nobody_is_told_that_a_law_needs_more_sizes_who_asked_for_one(single: tuple[str, dict[str, Any]]) -> None:
    assert "needs at least 3" not in single[0]
    assert "Which law" not in single[0]
    assert "needs several" not in single[0]


def test_words_are_explained_before_the_first_figure(single: tuple[str, dict[str, Any]]) -> None:
    before = single[0].partition("<svg")[0]
    for words in ("<dt>keep</dt>", "<dt>equal epochs</dt><dd>A pruned set is passed over", "<dt>el2n</dt>", "one-hot"):
        assert words in before, words
    assert "<dt>equal steps</dt>" not in before


def test_arxiv_numbers_are_links_and_attributes_stay() -> None:
    link = '<a href="https://arxiv.org/abs/2206.14486">arXiv:2206.14486</a>'
    assert parts.linked("a & arXiv:2206.14486, <b>") == f"a &amp; {link}, &lt;b&gt;"
    assert parts.linked(Markup('<td title="arXiv:2206.14486">arXiv:2206.14486</td>')) == (
        f'<td title="arXiv:2206.14486">{link}</td>'
    )


def test_a_law_is_set_as_mathematics_and_kept_as_text() -> None:
    row = dict.fromkeys(fits.COLUMNS, "") | {"law": "E + A x^−a", "preferred": True}
    cell = fits._cells(row)[list(fits.COLUMNS).index("law")]
    assert cell.words == "<i>E</i> + <i>A x</i><sup>−<i>a</i></sup> ✓"
    assert isinstance(cell.words, Markup)


def test_a_law_that_misses_its_points_is_not_ticked() -> None:
    """Envelopes with a residual of 30 % were called power laws, since an exponential was worse still."""
    x = np.geomspace(100, 20_000, 8)
    near = 3 * x**-0.4 * np.exp(0.02 * np.tile([1, -1], 4))
    far = 3 * x**-0.4 * np.exp(0.25 * np.tile([1, -1], 4))
    assert scaling.compare(x, near).verdict == "power law"
    missed = scaling.compare(x, far)
    assert missed.power is not None
    assert missed.power.residual > scaling.RESIDUAL
    assert missed.verdict == "undecided"
    assert "above 10 %" in missed.reason
    law: Any = SimpleNamespace(residual=0.05, converged=True, rate=0.4, n=8, family="power")
    verdict, reason = scaling._judge(x, law, law, 9.0, [0.25, 0.5])
    assert (verdict, reason[-30:]) == ("undecided", "largest sizes is 25.0 %, above 20 %"[-30:])
    assert "residual of at most 10 %" in scaling.CRITERION


@pytest.mark.parametrize(("value", "said"), [
    (160, "160"), (1024, "1,024"), (1000, "1k"), (1300, "1.3k"), (2048, "2,048"), (47_500, "47,500"), (32_000, "32k"),
    (1.5e6, "1.5M"), (0.5, "0.5"),
])  # fmt: skip
def test_counts_are_in_full_where_two_digits_do_not_tell_them(value: float, said: str) -> None:
    assert count_label(value) == said


def test_a_zero_has_no_sign() -> None:
    assert worded(-0.04, -0.73, -0.004, "+z.1f", " points") == "0.0 points [−0.7, 0.0]"
    assert worded(0.04, -0.04, 1.2, "+.1f") == "0.0 [0.0, +1.2]"
    assert worded(-0.04, -0.06, 10, "+.2f") == "−0.04 [−0.06, +10.00]"


def test_a_wide_table_scrolls_and_its_first_column_stays() -> None:
    css = (HERE / "style.css").read_text()
    assert re.search(r"\.scroll \{[^}]*overflow-x: auto", css)
    assert re.search(r"\.scroll tr > :first-child \{[^}]*position: sticky", css)
    assert "@media print" in css
    assert "prefers-color-scheme: dark" in css
    assert fits.HEAD.index("beats the law") == 2  # in sight where a table is cut
