"""The figure of a capacity study: where the sign changes, what is drawn, and that other studies have none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from prune_lab.experiments.figures import panels
from prune_lab.experiments.laws import claims
from prune_lab.experiments.report.pruning import build as page
from prune_lab.experiments.report.pruning import capacity
from prune_lab.experiments.report.pruning.runs import table
from prune_lab.experiments.studies.perceptron.theory import generalization_error

from ..synthetic_store import build

Gain = Callable[[float, float], float]  # of the hardest at a width and a number of epochs
EASY = -0.05


def turning(width: float, epochs: float) -> float:
    """Loses 10 points, but at width 128 and at 32 units for 20 epochs, where it gains 2; 0 at width 32 and 5 epochs."""
    return 0.02 if width == 128 or (width, epochs) == (32, 20) else 0.0 if width == 32 else -0.1


def table_of(gain: Gain, *, widths: tuple[float, ...] = (8, 32, 128), rate: float = 0.1) -> pd.DataFrame:
    """Three seeds of random, hardest and easiest at 5 and 20 epochs; the seeds' gains differ by a point at most."""
    rows = []
    for width in widths:
        for epochs in (5, 20):
            setting = {
                "task": "digits", "fingerprint": "f", "model": "mlp", "width": width, "model.width": width,
                "setup": f"{width} {epochs} {rate}", "recipe.learning_rate": rate, "recipe.epochs": epochs,
                "policy": "uniform", "recipe.steps": np.nan, "label_noise": 0.0, "pool": 100, "balance": 0.0,
                "budget": "epochs", "split": "test", "keep": 0.5, "examples": 50,
            }  # fmt: skip
            for rule, effect in (("random", 0.0), ("hard", gain(width, epochs)), ("easy", EASY)):
                scored = {"scorer": "none", "selection": "none", "score": ""}
                if rule != "random":
                    scored = {"scorer": "el2n", "selection": "s", "score": setting["setup"]}
                for seed in range(3):
                    accuracy = 0.8 + 0.01 * seed + effect + (0.005 * (seed - 1) if rule != "random" else 0.0)
                    rows.append(setting | {"rule": rule, "seed": seed, "accuracy": accuracy} | scored)
    return pd.DataFrame(rows)


def studies(runs: pd.DataFrame) -> list[capacity.Study]:
    return list(capacity.studies(runs, claims.advantage(runs)))


def drawn(study: capacity.Study, place: int) -> Axes:
    axes = Figure().subplots()
    capacity.drawings(study)[place].draw(axes)
    return axes


def test_the_sentence_says_where_the_sign_changes() -> None:
    (study,) = studies(table_of(turning))
    assert capacity.sentence(study, "hard") == (
        "The gain of the hardest 0.5 over a random subset of its size turns positive between width 8 and width 128 at "
        "5 epochs, between width 8 and width 32 at 20 epochs (of 6 settings negative in 2, positive in 3, undecided in "
        "1)."
    )
    assert "is negative wherever it is decided (of 6 " in capacity.sentence(study, "easy")
    (falling,) = studies(table_of(lambda width, epochs: 0.02 if epochs == 5 else -0.1, widths=(8, 32)))
    assert "turns negative between 5 epochs and 20 epochs at width 8, between " in capacity.sentence(falling, "hard")
    (apart,) = studies(table_of(lambda width, epochs: {(8, 5): -0.1, (128, 20): 0.02}.get((width, epochs), 0.0)))
    assert "only between settings that differ in both" in capacity.sentence(apart, "hard")
    (undecided,) = studies(table_of(lambda width, epochs: 0.0))
    assert "is decided nowhere" in capacity.sentence(undecided, "hard")


def test_the_gains_are_drawn_a_line_a_schedule() -> None:
    (study,) = studies(table_of(turning))
    assert [one.title for one in capacity.drawings(study)][:2] == ["Hardest against random", "Easiest against random"]
    lines = {bars.get_label(): bars for bars in drawn(study, 0).containers}
    assert list(lines) == ["5 epochs", "20 epochs"]
    for label, epochs in (("5 epochs", 5), ("20 epochs", 20)):
        line, _, (bars,) = lines[label].lines
        assert np.allclose(line.get_xdata(), [8, 32, 128], rtol=0.1)
        assert np.allclose(line.get_ydata(), [100 * turning(width, epochs) for width in (8, 32, 128)])
        reach = 0.5 * 4.302653 / np.sqrt(3)  # of 3 gains half a point apart: t at 2 degrees of freedom
        assert np.allclose([np.ptp(bar[:, 1]) for bar in bars.get_segments()], 2 * reach)
    assert drawn(study, 0).get_xscale() == "log"


def test_without_several_widths_or_schedules_there_is_no_figure() -> None:
    runs = table_of(turning)
    assert studies(runs)
    assert not studies(runs[(runs["width"] == 8) & (runs["recipe.epochs"] == 5)])
    assert not studies(runs[runs["rule"] != "hard"])
    assert not studies(runs[runs["rule"] != "random"])
    (one,) = studies(runs[runs["width"] == 8])  # a line against the length
    assert np.allclose(drawn(one, 0).containers[0].lines[0].get_xdata(), [5, 20], rtol=0.1)


def test_what_differs_in_more_than_width_and_schedule_is_not_one_study() -> None:
    other = table_of(turning, rate=0.2)
    one, two = (runs[runs["recipe.epochs"] == 5] for runs in (table_of(turning), other))
    assert not studies(pd.concat([one[one["width"] == 8], two[two["width"] == 128]]))
    assert len(studies(pd.concat([one, two]))) == 2
    assert len(studies(pd.concat([one, one.assign(keep=0.2)]))) == 2


def test_it_says_whether_each_setting_ranked_by_its_own_score() -> None:
    runs = table_of(turning)
    assert studies(runs)[0].proxies
    assert not studies(runs.assign(score="common"))[0].proxies


def test_the_theory_is_the_closed_form() -> None:
    alpha = float(capacity.ALPHAS[3])
    random = generalization_error(alpha, 0.5, rule="random")
    (study,) = studies(table_of(turning))
    axes = drawn(study, -1)
    for label, rule, theta in (("hardest", "hard", 0.0), ("easiest, probe 20° off", "easy", 20.0)):
        line = next(line for line in axes.get_lines() if line.get_label() == label)
        error = generalization_error(alpha, 0.5, theta=theta, rule=rule)  # type: ignore[arg-type]
        assert np.asarray(line.get_ydata())[3] == pytest.approx(100 * (random - error), abs=1e-9)
    crossing = capacity.crossover_of(0.5)
    assert crossing is not None
    errors = [generalization_error(crossing, 0.5, rule=rule) for rule in ("hard", "random")]
    assert errors[0] == pytest.approx(errors[1], abs=1e-6)
    assert any(np.allclose(line.get_xdata(), crossing) for line in axes.get_lines())
    assert capacity.crossover_of(1.0) is None


@pytest.mark.usefixtures("real_figures")
def test_the_page_and_its_files_have_the_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save = panels.save
    monkeypatch.setattr(
        panels, "save", lambda drawings, stem, **how: stem.name != "capacity" or save(drawings, stem, **how)
    )
    for width in (0.25, 1.0):
        store = build(
            tmp_path / "results",
            width=width,
            pools=(2000,),
            keeps=(0.5,),
            rules=("random", "hard"),
            budgets=("epochs",),
        )
    page.build(store, None, tmp_path / "page", title="Capacity", command="prune-lab report")
    (study,) = studies(table(store))
    text = (tmp_path / "page" / "index.html").read_text()
    assert f"{capacity.sentence(study, 'hard')} In theory the gain of the hardest 0.5 turns positive at 1.5 ex" in text
    assert text.count('aria-label="theory: gain of hardest') == 1
    assert {path.suffix for path in tmp_path.glob("page/figures/capacity.*")} == {".svg", ".pdf", ".png"}
    assert not studies(table(store).query("width == 1"))
