"""Loss against compute: which runs have a joint law of parameters and data, what it says, and when it says nothing."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from prune_lab.experiments.models.cost import parameters, training_flops
from prune_lab.experiments.models.gpt import Gpt
from prune_lab.experiments.report.pruning import compute


def runs(sizes: Any = ((1e4, 2e4, 4e4, 8e4), (1000, 4000, 16_000)), seeds: int = 3) -> pd.DataFrame:
    """Of a known law: E 1, A 20, B 30, alpha .3, beta .4."""
    draw, rows = np.random.default_rng(0), []
    for number, seen, seed in product(*sizes, range(seeds)):
        loss = (1 + 20 / number**0.3 + 30 / seen**0.4) * np.exp(0.003 * draw.standard_normal())
        rows.append({"parameters": number, "examples_seen": seen, "seed": seed, "loss": loss})
    table = pd.DataFrame(rows)
    table["recipe.epochs"] = table["examples_seen"] / 1000
    table = table.assign(task="cifar10", fingerprint="f", model="convnet", split="test", rule="none")
    return table.assign(**{"policy": "uniform", "task.dev": 0.1, "recipe.learning_rate": 0.1, "task.examples": 1000})


def test_runs_that_differ_in_parameters_and_data_have_a_joint_law_with_intervals() -> None:
    (one,) = compute.laws(runs())
    assert one.law is not None
    assert one.law.alpha == pytest.approx(0.3, abs=0.06)
    assert one.law.beta == pytest.approx(0.4, abs=0.06)
    assert one.interval["beta"][0] < 0.4 < one.interval["beta"][1]
    assert "Fitted to 36 runs of 12 sizes: E = " in one.said
    assert "α = 0.3" in one.said
    assert "the best N grows as its power 0.5" in one.said
    assert one.runs["C"].tolist() == pytest.approx((6 * one.runs["N"] * one.runs["D"]).tolist())
    found = compute.section([one])
    assert found is not None
    drawing = found.figures[0].drawings[0]
    assert drawing is not None
    axes = Figure().subplots()
    drawing.draw(axes)
    assert len(axes.get_legend_handles_labels()[1]) == 4
    (row,) = compute.rows([one])
    assert row["alpha"] == one.law.alpha


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        (runs(((1e4, 2e4), (1000, 4000))), "4 different (N, D), and the law has 5 parameters"),
        (runs(((1e4, 2e4), (1000, 4000, 16_000, 64_000))), "2 different N"),
        (pd.concat([runs(((N,), (20 * N,))) for N in 1e4 * 2.0 ** np.arange(7)]), "D is 20 N in every run"),
    ],
    ids=["few", "two", "ray"],
)
def test_a_design_that_cannot_tell_the_terms_apart_is_refused_in_a_sentence(table: Any, sentence: str) -> None:
    (one,) = compute.laws(table)
    assert one.law is None
    assert one.said.startswith("No joint law: ")
    assert sentence in one.said
    assert compute.section([one]) is not None


def test_a_fit_at_its_bound_has_no_interval_and_says_so() -> None:
    table = runs()
    table["loss"] = 1 + 30 / table["examples_seen"] ** 0.4  # parameters change nothing
    (one,) = compute.laws(table)
    assert one.law is not None
    assert one.interval == {}
    assert "There is no interval: " in one.said
    assert "best N" not in one.said


def test_only_plain_runs_of_one_recipe_and_data_set_are_put_together() -> None:
    table = runs()
    assert compute.groups(table.assign(rule="hard")) == []
    assert compute.groups(table.assign(policy="equal_contribution")) == []
    assert compute.groups(table.assign(parameters=np.nan)) == []  # of runs that did not say it
    assert compute.groups(table[table["parameters"] == 1e4]) == []
    assert compute.groups(table[table["examples_seen"] == 1000]) == []
    assert compute.section([]) is None
    assert len(compute.groups(pd.concat([table, table.assign(fingerprint="g"), table.assign(split="dev")]))) == 3
    other = table.assign(**{"recipe.learning_rate": 0.2})
    assert len(compute.groups(pd.concat([table, other]))) == 2


def test_of_a_gpt_parameters_are_counted_without_embeddings_and_compute_is_exact() -> None:
    row = {"model": "gpt", "parameters": 99_999, "examples_seen": 500, "task.context": 64.0, "task.vocabulary": 257.0}
    row |= {"model.name": "gpt", "model.width": 32.0, "model.heads": 2, "model.head_size": np.nan, "model.tied": True}
    one = compute.sizes(pd.DataFrame([row])).iloc[0]
    model = Gpt(width=32, heads=2)
    assert one["N"] == parameters(model, 0, 0).body
    assert one["D"] == 500 * 64
    assert one["C"] == 500 * 64 * training_flops(model, 257, 64)
