"""The corpus pruned before anything is trained on it, and what each format's samples contribute."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError

from prune_lab.experiments.studies.formats import Formats, pruning
from prune_lab.experiments.studies.formats.contributing import contributions, losses, of_formats
from prune_lab.experiments.studies.formats.corpus import corpus
from prune_lab.experiments.studies.formats.measuring import counted
from prune_lab.experiments.studies.formats.pretraining import pretrained, task_of
from prune_lab.experiments.studies.formats.results import _foretold, kept_of

from .test_formats import TINY, work
from .test_formats_learning import network, rolled, run

RUN = {"steps": 4, "proxy_steps": 4, "examples": 200}


def pruned(tmp_path: Path, **settings: Any) -> tuple[Any, Any, list[str]]:
    """The corpus, the rows that are kept of it, and what is said."""
    study = Formats(**TINY | RUN | {"keep": 0.5} | settings)
    made, said, given = corpus(study, 1), [], work(tmp_path)
    given.decide = said.append
    task = task_of(study, made, made, torch.device("cpu"))
    return made, pruning.kept(study, made, task, given, 0.1), said


def test_the_hardest_half_has_the_largest_losses_of_a_proxy(tmp_path: Path) -> None:
    study = Formats(**TINY | RUN | {"keep": 0.5, "rule": "hard"})
    made, rows, said = pruned(tmp_path, rule="hard")
    assert len(rows) == 100
    task = task_of(study, made, made, torch.device("cpu"))
    scores = pruning._scores(study, task, work(tmp_path), 0.1)  # of the proxy that was kept beside the run
    assert scores[rows].min() >= np.delete(scores, rows).max()
    assert said[0].startswith("share of the pool -> of what is kept: ")
    for name, before, after in zip(
        ("prog", "expr", "words"), (30, 40, 30), np.bincount(made.formats[rows]), strict=True
    ):
        assert f"{name} {before:.1f}% -> {after:.1f}%" in said[0]  # 100 are kept
    easiest = pruned(tmp_path / "easy", rule="easy")[1]
    assert not set(easiest) & set(rows)


def test_a_random_half_needs_no_proxy_and_keeps_the_shares(tmp_path: Path) -> None:
    made, rows, _ = pruned(tmp_path)
    assert not list(tmp_path.glob("proxy*"))
    assert np.bincount(made.formats[rows]) / len(rows) == pytest.approx([0.3, 0.4, 0.3], abs=0.1)


def test_balance_promises_every_format_its_share(tmp_path: Path) -> None:
    made, rows, _ = pruned(tmp_path, rule="hard", balance=1.0)
    assert np.bincount(made.formats[rows]).tolist() == [30, 40, 30]


@pytest.mark.parametrize("scorer", ["el2n", "continuation"])
def test_other_scores_of_the_lab_prune_as_well(tmp_path: Path, scorer: str) -> None:
    _, rows, _ = pruned(tmp_path, rule="hard", scorer={"name": scorer, "proxies": 1})
    assert len(rows) == 100


def test_a_format_that_is_lost_is_said_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = Formats(**TINY | RUN | {"keep": 0.5})
    formats = corpus(study, 1).formats
    monkeypatch.setattr(pruning, "_scores", lambda *_: np.where(formats == 2, 0.0, 1.0) + formats / 100)
    made, rows, said = pruned(tmp_path, rule="hard")
    assert "warning: every example of the format words was dropped: the model will never write it" in said
    table = counted(made, rows).set_index("format")
    assert table["kept_share"]["words"] == 0
    assert math.isnan(table["kept_right"]["words"])
    found = kept_of(table.reset_index().assign(seed=1, width=8))({"seed": 1, "width": 8})
    assert (found["kept_words"], found["kept_over_words"]) == (0, 0)
    assert found["kept_over_expr"] > 1
    monkeypatch.setattr(pruning, "_scores", lambda *_: (formats != 2) + np.arange(200) % 7 / 100)
    assert any("times its share of the corpus" in one for one in pruned(tmp_path, rule="hard", keep=0.8)[2])


def test_the_base_is_trained_on_what_is_kept_for_as_many_steps(tmp_path: Path) -> None:
    study = Formats(**TINY | RUN)
    made = corpus(study, 1)
    task = task_of(study, made, made, torch.device("cpu"))
    visited: list[float] = []
    given = work(tmp_path)
    given.notify = lambda sentence, share: visited.append(share)
    model = pretrained(study, task, given, 1.0, kept=np.arange(50))
    assert visited[-1] == 1
    assert len(set(visited)) == study.steps
    whole = pretrained(study, task, work(tmp_path / "whole"), 1.0)
    assert any(not torch.equal(one, other) for one, other in zip(model.parameters(), whole.parameters(), strict=True))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"keep": 0.5, "rule": "hard", "scorer": {"name": "perplex"}}, "study.scorer names no scorer"),
        ({"keep": 0.5, "rule": "hardest"}, "study.rule names no rule"),
        ({"keep": 0.5, "rule": "hard", "scorer": {"name": "forgetting"}}, "counts right and wrong classes"),
        ({"keep": 0.5, "rule": "hard", "scorer": {"name": "random"}}, "does not read trained proxies alone"),
        ({"keep": 0.5, "rule": "hard", "scorer": {"name": "perplexity"}}, "trains a proxy for each fold"),
        ({"keep": 0.0}, "greater than 0"),
    ],
)
def test_what_cannot_prune_is_refused_before_the_run(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Formats(**settings)


def test_how_nothing_is_pruned_does_not_move_the_key() -> None:
    plain = Formats().simplified()
    assert Formats(rule="hard", scorer={"name": "el2n"}, balance=0.5, proxy_steps=7).simplified() == plain
    random = Formats(keep=0.5).simplified()
    assert Formats(keep=0.5, scorer={"name": "el2n"}, proxy_steps=7).simplified() == random
    assert Formats(keep=0.5, balance=0.5).simplified() != random
    assert Formats(keep=0.5, rule="hard", proxy_steps=7).simplified().proxy_steps == 7


# ---- contributions ---------------------------------------------------------------------------------------------------


def test_contributions_are_products_of_gradients() -> None:
    model, rollout, others = network(), rolled(2), rolled(1)
    weights = dict(model.named_parameters())

    def gradient(of: Any, row: int | None) -> torch.Tensor:
        own = losses(model, weights, of, 0.7)
        found = torch.autograd.grad(own.mean() if row is None else own[row], list(weights.values()))
        return torch.cat([one.flatten() for one in found])

    found = contributions(model, rollout, others, 0.7)
    target = gradient(others, None)
    expected = [float(gradient(rollout, row) @ target) for row in range(8)]
    assert found.tolist() == pytest.approx(expected, rel=1e-3, abs=1e-7)
    parts = of_formats(found, rollout)
    assert parts["contribution_words"] == pytest.approx(float(found.mean()))
    assert parts["contribution_prog"] == 0


def test_the_meter_does_not_move_what_it_measures(tmp_path: Path) -> None:
    plain, _ = run("grpo", tmp_path / "plain")
    metered, _ = run("grpo", tmp_path / "metered", meter=True)
    assert all(torch.equal(one, metered.policy.state_dict()[name]) for name, one in plain.policy.state_dict().items())
    assert "contribution_expr" in metered.rows[0]
    assert "contribution_expr" not in plain.rows[0]


def test_the_lead_is_counted_in_rollouts() -> None:
    shares = np.array([[0.4, 0.3, 0.3]] * 6 + [[0.3, 0.4, 0.3]] * 2 + [[0.1, 0.8, 0.1]])
    given = np.array([[1.0, 0, 0], [0, 3, 0]] + [[0, 1, 0]] * 7)
    table = pd.DataFrame({"rollout": range(1, 10), "seed": 0})
    for place, name in enumerate(("prog", "expr", "words")):
        table[f"share_{name}"], table[f"contribution_{name}"] = shares[:, place], given[:, place]
    (row,) = _foretold(table, ["seed"]).to_dict("records")
    assert row["dominant_after"] == 9
    assert row["lead"] == 7 - 2
    assert (row["wrong_by_meter"], row["wrong_by_shares"]) == (0, 1)
    (row,) = _foretold(table.drop(columns="contribution_prog"), ["seed"]).to_dict("records")
    assert "lead" not in row
