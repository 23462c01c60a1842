"""What each format contributes to pretraining, and a policy that makes contributions equal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from pydantic import ValidationError

from prune_lab.experiments.contribution.adjoint import first_batches
from prune_lab.experiments.contribution.meter import contributions, target_gradient
from prune_lab.experiments.models.outputs import evaluating
from prune_lab.experiments.seeds import torch_stream
from prune_lab.experiments.studies.formats import Formats, equality, figures
from prune_lab.experiments.studies.formats.corpus import corpus
from prune_lab.experiments.studies.formats.pretraining import ByTokens, pretrained, recipe_of, task_of
from prune_lab.experiments.studies.formats.results import with_pretraining
from prune_lab.experiments.training import loop
from prune_lab.experiments.training import run as training
from prune_lab.experiments.training.begin import state_of
from prune_lab.experiments.training.policies.uniform import Uniform

from .test_formats import TINY, work

METERED: dict[str, Any] = TINY | {"clip": 0, "meter": True}
EQUAL = {"name": "equal_contribution", "every": 2}


def held_out_after(study: Formats, task: Any, weights: list[torch.Tensor]) -> float:
    """The mean held-out loss after each step of a plain run under these weights: the area."""
    model = task.model(torch_stream(1, "init"))
    state = state_of(model, recipe_of(study), study.steps)
    area = 0.0
    for step, batch in enumerate(first_batches(task, study.batch_size, study.steps, 1)):
        loss = (weights[step] * task.losses(model, batch)).sum()
        loop.update(state, loss, steps=study.steps, clip=None)
        (dev,) = task.batches("dev", size=task.size("dev"))
        with evaluating(model), torch.no_grad():
            area += float(task.losses(model, dev).double().mean()) / study.steps
    return area


def test_phi_is_what_a_weight_takes_off_the_held_out_loss_of_the_run_itself(tmp_path: Path) -> None:
    study = Formats(**METERED | {"batch_size": 100})
    made = corpus(study, 1)
    task = task_of(study, made, made, torch.device("cpu"))
    taken: list[torch.Tensor] = []
    pretrained(study, task, work(tmp_path), 0.3, taken=taken)
    assert [len(row) for row in taken] == [100] * 6
    assert all(float(row.sum()) == pytest.approx(1) for row in taken)
    table = equality.contributions(study, task, made.formats, None, taken, seed=1, notify=lambda _: None)
    assert table["step"].tolist() == sorted([1, 2, 3, 4, 5, 6] * 3)
    batch, reach = first_batches(task, 100, 6, 1)[3], 0.1
    for place, name in enumerate(("prog", "expr", "words")):
        own, area = torch.from_numpy(made.formats[batch.index.numpy()] == place), []
        for sign in (1, -1):  # the format's examples of the fourth step weigh more, and less
            row = taken[3] * (1 + sign * reach * own)
            area.append(held_out_after(study, task, [*taken[:3], row, *taken[4:]]))
        slope = (area[0] - area[1]) / (2 * reach * float((taken[3] * own).sum()))
        assert -6 * slope == pytest.approx(float(table.set_index(["step", "format"])["phi"][4, name]), rel=0.05)
    assert table.groupby("step")["weight"].sum().tolist() == pytest.approx([1] * 6)


def test_ct_is_what_a_step_takes_off_the_held_out_loss_at_once() -> None:
    study = Formats(**METERED | {"batch_size": 100})
    made = corpus(study, 1)
    task = task_of(study, made, made, torch.device("cpu"))
    batches = first_batches(task, 100, 6, 1)
    weights = [torch.full((100,), 0.01) for _ in batches]
    table = equality.contributions(study, task, made.formats, None, weights, seed=1, notify=lambda _: None)
    model, index = task.model(torch_stream(1, "init")), batches[0].index.numpy()
    each = contributions(task, model, index=index, target=target_gradient(task, model))
    for place, name in enumerate(("prog", "expr", "words")):
        expected = each[made.formats[index] == place].mean()
        assert table.set_index(["step", "format"])["ct"][1, name] == pytest.approx(float(expected), rel=1e-3)


def test_the_run_that_is_measured_takes_the_batches_that_pretraining_took(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = Formats(**METERED)
    made, rows, seen = corpus(study, 1), np.arange(0, 200, 2), []
    task = task_of(study, made, made, torch.device("cpu"))
    weights = ByTokens.weights

    def watched(self: ByTokens, step: int, index: torch.Tensor) -> torch.Tensor:
        seen.append(index.tolist())
        return weights(self, step, index)

    monkeypatch.setattr(ByTokens, "weights", watched)
    pretrained(study, task, work(tmp_path), 0.3, kept=rows)
    again = first_batches(task, study.batch_size, study.steps, 1, index=rows)
    assert [batch.index.tolist() for batch in again] == seen


def test_a_policy_of_the_lab_moves_the_weights_and_a_killed_run_keeps_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = Formats(**METERED | {"policy": EQUAL, "steps": 12})
    made = corpus(study, 1)
    task = task_of(study, made, made, torch.device("cpu"))
    given = work(tmp_path / "whole")
    whole: list[torch.Tensor] = []
    model = pretrained(study, task, given, 0.3, taken=whole).state_dict()
    plain: list[torch.Tensor] = []
    pretrained(Formats(**METERED | {"steps": 12}), task, work(tmp_path / "plain"), 0.3, taken=plain)
    assert torch.equal(whole[0], plain[0])
    assert not torch.equal(whole[9], plain[9])  # an example that was measured in the epoch before
    monkeypatch.setattr(training.fit, "__kwdefaults__", (training.fit.__kwdefaults__ or {}) | {"checkpoint_seconds": 0})
    killed = work(tmp_path / "half")

    def notify(sentence: str, share: float) -> None:
        if share > 0.3 * 9.5 / 12:
            raise KeyboardInterrupt

    killed.notify = notify
    with pytest.raises(KeyboardInterrupt):
        pretrained(study, task, killed, 0.3, taken=[])
    resumed: list[torch.Tensor] = []
    again = pretrained(study, task, work(tmp_path / "half"), 0.3, taken=resumed).state_dict()
    assert all(torch.equal(one, again[name]) for name, one in model.items())
    assert all(torch.equal(*pair) for pair in zip(whole, resumed, strict=True))
    read: list[torch.Tensor] = []
    pretrained(study, task, work(tmp_path / "half"), 0.3, taken=read)
    assert all(torch.equal(*pair) for pair in zip(whole, read, strict=True))


def test_a_measured_run_has_the_table_and_its_rows(tmp_path: Path) -> None:
    arm = {"rollouts": 1, "prompts": 4, "samples": 4, "streams": 1}
    shares: list[float] = []
    given = work(tmp_path)
    given.notify = lambda _, share: shares.append(share)
    tables, _ = Formats(**METERED | {"arms": [arm]}).measure(given)
    assert shares == sorted(shares)
    assert 0.9 < shares[-1] <= 1
    assert set(tables["pretraining"]["format"]) == {"prog", "expr", "words"}


def test_rows_have_what_the_pretraining_gave_and_phi_only_where_it_can_be_read() -> None:
    steps = np.repeat([1, 2, 3, 4], 3)
    table = pd.DataFrame({
        "seed": 1, "width": 20, "step": steps, "format": ["prog", "expr", "words"] * 4, "weight": [0.2, 0.3, 0.5] * 4,
        "ct": [1.0, 3.0, 2.0] * 3 + [9.0, 0.0, 0.0], "phi": [3.0, 1.0, 2.0] * 3 + [0.0, 9.0, 0.0],
        "between_ct": steps / 10, "between_phi": steps / 5, "metasmoothness": 0.9,
    })  # fmt: skip
    rows = pd.DataFrame([{"seed": 1, "width": 20, "share_prog": 0.1, "share_expr": 0.8, "share_words": 0.1}])
    (row,) = with_pretraining(rows, table).to_dict("records")
    assert (row["ct_prog"], row["ct_expr"], row["wrong_by_ct"]) == (1, 3, 0)  # the last quarter is left out
    assert (row["phi_prog"], row["wrong_by_phi"]) == (3, 1)
    assert (row["between_ct"], row["between_phi"]) == (0.2, 0.4)
    assert row["weight_words"] == 0.5
    (row,) = with_pretraining(rows, table.assign(metasmoothness=0.5)).to_dict("records")
    assert row["wrong_by_ct"] == 0
    assert all(np.isnan(row[name]) for name in ("between_phi", "phi_prog", "wrong_by_phi"))


def test_uniform_weights_need_no_state() -> None:
    assert ByTokens(np.arange(3), Uniform()).state() == {}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"meter": True}, "which needs study.clip=0"),
        ({"policy": {"name": "infobatch"}}, "does not weigh examples while a model trains"),
        ({"policy": {"name": "nobody"}}, "names no policy: there are"),
        ({"policy": {}}, "names no policy"),
    ],
)
def test_what_cannot_be_measured_or_weighed_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Formats(**TINY | settings)


def test_the_page_draws_contributions_and_phi_of_readable_seeds_alone() -> None:
    steps = np.tile(np.repeat([1, 2], 3), 2)
    table = pd.DataFrame({
        "seed": np.repeat([1, 2], 6), "step": steps, "format": ["prog", "expr", "words"] * 4, "ct": 1.0, "phi": 2.0,
        "metasmoothness": np.repeat([0.9, 0.5], 6),
    })  # fmt: skip
    (drawn,) = figures._pretraining(table)
    assert [drawing.title for drawing in drawn.drawings] == ["uniform, CT", "uniform, φ"]
    assert "0.50 to 0.90" in drawn.words
    assert len(next(figures._pretraining(table.assign(metasmoothness=0.5))).drawings) == 1
    axes = Figure().subplots()
    drawn.drawings[1].draw(axes)
    assert {tuple(line.get_ydata()) for line in axes.lines[:3]} == {(2.0, 2.0)}


def test_the_page_sums_contributions_to_the_rollouts_so_far() -> None:
    curves = pd.DataFrame({
        "setting": "one", "seed": 1, "repeat": 0, "rollout": [2, 1], "contribution_prog": [1.0, 2.0],
        "contribution_expr": [0.0, 1.0], "contribution_words": [0.0, 0.0], "share_prog": 0.5, "share_expr": 0.5,
        "share_words": 0.0,
    })  # fmt: skip
    (drawn,) = figures._foretold(curves)
    axes = Figure().subplots()
    drawn.drawings[1].draw(axes)
    assert list(axes.lines[0].get_ydata()) == [2.0, 3.0]
    assert not list(figures._foretold(curves.drop(columns="contribution_prog")))
