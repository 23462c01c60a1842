"""Scores of the training dynamics: golden numbers, and that what they are made of is recorded to the bit."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from prune_lab.experiments.errors import ConfigError
from prune_lab.experiments.models.outputs import statistics
from prune_lab.experiments.scoring import windows
from prune_lab.experiments.scoring.dual import Dual
from prune_lab.experiments.scoring.evidence import Given
from prune_lab.experiments.seeds import torch_stream
from prune_lab.experiments.training.run import OBSERVED, Fit
from prune_lab.experiments.training.run import moved as moved_since

from ..scores import score
from ..training.test_evaluation import MemoryTask, logs
from ..training.test_training import fitted, image_task
from .test_scoring import NAN, proxy, text, three

PROBABILITIES = [[0.2, 0.9, 0.5], [0.6, 0.9, 0.1], [0.4, 0.9, 0.1]]  # (epochs, N): wavers, knows, forgets


def losses(rows: list[list[float]]) -> list[list[float]]:
    return [[-math.log(p) for p in row] for row in rows]


def test_dyn_unc_golden() -> None:
    """Two numbers a and b have the unbiased deviation |a - b| / sqrt(2)."""
    scores = score("dyn_unc", three(), [proxy(loss=losses(PROBABILITIES))], window=2)
    root = math.sqrt(2)
    assert scores[0].tolist() == pytest.approx([0.3 / root, 0.0, 0.2 / root])  # means of .4 and .2, and of .4 and 0


def test_dual_golden_and_its_mean_probability() -> None:
    proxies = [proxy(loss=losses(PROBABILITIES)), proxy(loss=losses([[0.5] * 3] * 3))]
    evidence = Given(three(), proxies)
    scores = Dual(window=2).score(evidence)
    root = math.sqrt(2)
    first = (0.4 / root * 0.6 + 0.2 / root * 0.5) / 2
    assert scores[0].tolist() == pytest.approx([first, 0.0, 0.4 / root * 0.7 / 2])
    assert scores[1].tolist() == pytest.approx([0.0, 0.0, 0.0])
    probability = evidence.columns["probability"]
    assert probability.tolist() == pytest.approx([0.45, 0.7, (0.7 / 3 + 0.5) / 2])


def test_tdds_golden() -> None:
    """Windows of three epochs hold two movements: (1, 3), (3, 2) and (2, 2) weigh 0.009, 0.09 and 0.9."""
    moved = [[NAN, NAN, NAN], [1.0, 5.0, 0.0], [3.0, 5.0, 0.0], [2.0, 5.0, 0.0], [2.0, 5.0, 4.0]]
    scores = score("tdds", three(), [proxy(movement=moved, loss=[[1.0] * 3] * 5)], window=3)
    expected = 0.009 * math.sqrt(2) + 0.09 * math.sqrt(0.5)
    assert scores[0].tolist() == pytest.approx([expected, 0.0, 0.9 * math.sqrt(8)])
    whole = score("tdds", three(), [proxy(movement=moved, loss=[[1.0] * 3] * 5)], window=5)
    assert whole[0].tolist() == pytest.approx([0.9 * math.sqrt(2), 0.0, 0.9 * math.sqrt(12)])


def test_an_epoch_cut_short_is_left_out_and_too_few_are_refused() -> None:
    cut = [*losses(PROBABILITIES), [0.1, NAN, 0.1]]
    evidence = Given(three(), [proxy(loss=cut)])
    assert windows.fitted(evidence, 10) == 3
    assert evidence.said == ["windows of 3 epochs over the first 3; the schedule has no more for scorer.window=10"]
    uncut = score("dual", three(), [proxy(loss=losses(PROBABILITIES))], window=3)
    assert score("dual", three(), [proxy(loss=cut)], window=3).tolist() == uncut.tolist()
    with pytest.raises(ConfigError, match=r"recipe\.epochs=2"):
        score("dyn_unc", three(), [proxy(loss=cut[:1])])
    with pytest.raises(ConfigError, match=r"recipe\.epochs=3"):
        score("tdds", three(), [proxy(movement=cut[:2], loss=cut[:2])])
    with pytest.raises(ConfigError, match="for classes"):
        score("dual", text(), [proxy(loss=[[1.0, 2.0]] * 3)], window=2)


def test_the_recorded_loss_is_minus_the_log_of_the_targets_probability() -> None:
    """So proxies of every age serve: no array was added for these scores."""
    task = image_task()
    (batch,) = task.batches("train", size=90)
    outputs = task.outputs(task.model(torch_stream(0, "init")), batch)
    probability = statistics(outputs, batch.targets)["probability"]
    torch.testing.assert_close((-task.losses(torch.nn.Identity(), batch, outputs)).exp(), probability)


def test_movement_golden() -> None:
    """From (.5, .5) to (.25, .75): .25 ln 2 + .75 ln 1.5."""
    (batch,) = MemoryTask(torch.zeros(2, 2), torch.tensor([0, 0])).batches("train", size=2)
    last = torch.full((2, 2), torch.nan)
    first = moved_since(last, logs([0.5, 0.5], [0.5, 0.5]), batch.index)
    assert first.isnan().all()
    second = moved_since(last, logs([0.25, 0.75], [0.5, 0.5]), batch.index)
    assert second.tolist() == pytest.approx([0.25 * math.log(2) + 0.75 * math.log(1.5), 0.0])


def test_movement_is_one_number_an_example_and_epoch(tmp_path: Path) -> None:
    _, recorded = fitted(tmp_path)
    assert set(recorded.trajectory) == {*OBSERVED, "movement"}
    moved = recorded.trajectory["movement"]
    assert moved.shape == (4, 90)
    assert np.isnan(moved[0]).all()
    assert (moved[1:] > 0).all()
    assert recorded.last is not None
    assert recorded.last.shape == (90, 3)
    assert Fit().last is None
