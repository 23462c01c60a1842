"""The relaxed top-k and its derivative, and what a learned mask makes of flipped labels and copies."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prune_lab.experiments.contracts import Data, Examples, Indices
from prune_lab.experiments.contribution import masks as masking
from prune_lab.experiments.contribution.masks import Learned, learn, pull_back, relax
from prune_lab.experiments.contribution.updates import Descent
from prune_lab.experiments.data.task import DeviceTask
from prune_lab.experiments.models.networks.dense import perceptron
from prune_lab.experiments.report.pruning.runs import _row
from prune_lab.experiments.seeds import numpy_stream
from prune_lab.experiments.store.folders import Store

from ..command_line import TINY, call

PLAIN, FLIPPED, COPIED, COPIES = 80, 20, 10, 4  # 140 examples: ten of them are there four times


def gaussian() -> tuple[DeviceTask, dict[str, Indices]]:
    """Two classes, a unit apart from the origin in 6 dimensions; the rows of a copied example are (10, 4)."""
    draw = numpy_stream(0, "gaussian")

    def split(number: int) -> tuple[Any, Any]:
        labels = draw.integers(0, 2, number)
        inputs = draw.normal(size=(number, 6))
        inputs[:, 0] += 2 * (2 * labels - 1)
        return inputs.astype(np.float32), labels

    inputs, labels = split(PLAIN + FLIPPED + COPIED)
    labels[PLAIN : PLAIN + FLIPPED] ^= 1
    order = np.concatenate([np.arange(len(labels)), np.repeat(np.arange(PLAIN + FLIPPED, len(labels)), COPIES - 1)])
    names = np.array([f"row {n}" for n in range(len(order))])
    train = Examples(inputs[order], labels[order], names)
    held = {name: Examples(*split(200), names[np.arange(200) % len(names)]) for name in ("dev", "test")}
    data = Data("gaussian", "vectors", {"train": train, **held}, ("a", "b"))  # type: ignore[dict-item]
    first, more = np.split(np.arange(PLAIN + FLIPPED, len(order)), [COPIED])
    rows = {
        "plain": np.arange(PLAIN),
        "flipped": np.arange(PLAIN, PLAIN + FLIPPED),
        "copied": np.concatenate([first[:, None], more.reshape(COPIED, COPIES - 1)], axis=1),
    }
    return DeviceTask(data, perceptron, device=torch.device("cpu")), rows


def learned(task: DeviceTask, checkpoint: Path | None = None, notify: Any = None, **changes: Any) -> Learned:
    chosen: dict[str, Any] = {
        "keep": 0.5, "steps": 15, "runs": 1, "outer": "end", "relaxation": "topk", "temperature": 1.0,
        "learning_rate": 0.3, "batch_size": 35, "seed": 0,
    }  # fmt: skip
    chosen |= {"checkpoint": checkpoint, "notify": notify or (lambda sentence, share: None)} | changes
    return learn(task, Descent([0.1] * 8, 0.9), **chosen)


def test_the_metasmoothness_of_inner_runs_tells_when_the_mask_cannot_be_read() -> None:
    """Small steps of a perceptron are smooth in the mask; a run that diverges has none."""
    task, _ = gaussian()
    even = torch.full((task.size("train"),), 0.5, dtype=torch.float64)
    found = [
        masking.smoothness(task, Descent([rate] * 8, 0.9), even, 0.5, batch_size=35, seed=0) for rate in (0.1, 1e30)
    ]
    assert found[0] == pytest.approx(1, abs=0.1)
    assert not found[1] >= 0.8


# ---- the relaxed top-k -----------------------------------------------------------------------------------------------


def test_the_relaxed_top_k_golden() -> None:
    """Logits ln 9 apart, half of two kept: tau lies between them, and m = 1 / (1 + 3) and 3 / (1 + 3)."""
    mask, tau = relax(torch.tensor([1.0, 9.0], dtype=torch.float64).log(), 0.5, 1.0)
    assert mask.tolist() == pytest.approx([0.25, 0.75])
    assert float(tau) == pytest.approx(np.log(3))
    slope = pull_back(mask, torch.tensor([1.0, 0.0], dtype=torch.float64), 1.0)
    assert slope.tolist() == pytest.approx([3 / 32, -3 / 32])  # q = 3/16 each, times the slope minus its mean


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.floats(-30, 30), min_size=2, max_size=40),
    st.floats(0.02, 0.98),
    st.sampled_from([0.1, 1.0, 5.0]),
)
def test_the_budget_is_met_and_the_order_kept(values: list[float], keep: float, temperature: float) -> None:
    logits = torch.tensor(values, dtype=torch.float64)
    mask, _ = relax(logits, keep, temperature)
    assert float(mask.sum()) == pytest.approx(keep * len(values), rel=1e-9)
    assert ((mask >= 0) & (mask <= 1)).all()
    order = logits.argsort()
    assert (mask[order].diff() >= -1e-12).all()


def test_the_derivative_of_the_mask_is_that_of_finite_differences_and_keeps_the_budget() -> None:
    draw = torch.Generator().manual_seed(0)
    logits, slope = (torch.randn(7, generator=draw, dtype=torch.float64) for _ in range(2))
    found = pull_back(relax(logits, 0.3, 0.7)[0], slope, 0.7)
    for place in range(7):
        nudge = 1e-5 * torch.eye(7, dtype=torch.float64)[place]
        higher, lower = (float(relax(logits + sign * nudge, 0.3, 0.7)[0] @ slope) for sign in (1, -1))
        assert float(found[place]) == pytest.approx((higher - lower) / 2e-5, rel=1e-4, abs=1e-9)
    assert float(found.sum()) == pytest.approx(0, abs=1e-12)  # logits that all move alike move no mask


# ---- learning --------------------------------------------------------------------------------------------------------


def test_a_mask_drops_flipped_labels_and_lowers_the_dev_loss() -> None:
    task, rows = gaussian()
    found = learned(task)
    assert float(found.mask.sum()) == pytest.approx(70)
    assert np.mean(found.outer[-3:]) < np.mean(found.outer[:3])
    kept = np.argsort(-found.logits.numpy(), kind="stable")[:70]
    assert np.isin(rows["flipped"], kept).mean() < 0.1
    assert np.isin(rows["plain"], kept).mean() > 0.5


def test_copies_are_kept_or_dropped_together_so_a_mask_does_not_thin_them_out() -> None:
    """Their gradients are one, and the run sees the sum of their weights alone: nothing tells one from the others.

    Independent choice at the same rate would leave more of the copied examples in at least once.
    """
    task, rows = gaussian()
    logits = learned(task).logits.numpy()
    groups = logits[rows["copied"]]  # (10, 4)
    assert groups.std(axis=1).mean() < 0.25 * groups.mean(axis=1).std()
    times = np.isin(rows["copied"], np.argsort(-logits, kind="stable")[:70]).sum(axis=1)
    independent = 1 - (1 - times.mean() / COPIES) ** COPIES
    assert 0.2 < times.mean() / COPIES < 0.8
    assert (times > 0).mean() < 0.75 * independent


def test_the_same_seed_learns_the_same_mask_interrupted_or_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task, _ = gaussian()
    changes: dict[str, Any] = {"steps": 4, "relaxation": "bernoulli", "outer": "area", "runs": 2}
    whole = learned(task, **changes)
    assert learned(task, **changes, seed=1).outer != whole.outer
    monkeypatch.setattr(masking, "CHECKPOINT_SECONDS", -1.0)
    said: list[str] = []

    def stop(sentence: str, share: float) -> None:
        if share == 0.75:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        learned(task, tmp_path / "checkpoint.pt", stop, **changes)
    resumed = learned(task, tmp_path / "checkpoint.pt", lambda sentence, share: said.append(sentence), **changes)
    assert said[0] == "resuming from outer step 2 of 4"
    assert resumed.outer == whole.outer
    assert torch.equal(resumed.logits, whole.logits)


# ---- the phases ------------------------------------------------------------------------------------------------------

SMALL = ["scorer=mask", "scorer.steps=2", "scorer.inner_steps=3", "scorer.runs=1"]


def test_a_mask_is_a_train_run_that_the_score_reads(
    capsys: pytest.CaptureFixture[str], results: str, tmp_path: Path
) -> None:
    answer = call(capsys, "prune", *TINY, *SMALL, "keep=0.3", "--json", results)
    assert answer.code == 0
    assert "1 proxy run, 1 score run first" in answer.err
    assert "warning: keep=0.3, and scorer=mask was made for 0.5: scorer.keep=0.3" in answer.err
    store = Store(tmp_path / "results")
    pruned = store.get("prune", answer.objects[0]["key"])
    scored = store.get("score", pruned.record["inputs"]["score"])
    made = store.get("train", scored.record["inputs"]["train_0"])
    mask, outer = (pd.read_parquet(made.path / f"{name}.parquet") for name in ("mask", "outer"))
    assert list(mask.columns) == ["index", "id", "logit", "mask"]
    assert mask["mask"].sum() == pytest.approx(100)
    assert outer["step"].tolist() == [1, 2]
    assert made.record["metrics"]["outer_last"] == outer["outer"].iloc[-1]
    assert made.record["recipe"]["mask"]["inner_steps"] == 3
    kept = pd.read_parquet(pruned.path / "kept.parquet")
    assert set(kept["id"]) == set(mask.nlargest(60, "logit")["id"])


def test_a_mask_of_the_right_keep_warns_of_nothing(capsys: pytest.CaptureFixture[str], results: str) -> None:
    answer = call(capsys, "prune", *TINY, *SMALL, "keep=0.3", "scorer.keep=0.3", results)
    assert answer.code == 0
    assert "warning" not in answer.err


# ---- the report ------------------------------------------------------------------------------------------------------


def selection(keep: float, learned_for: float) -> tuple[str, Any]:
    """What the table calls the selection, and its column of the mask's own fraction."""
    task = {"name": "digits"}
    recipes: dict[str, Any] = {
        "score": {"task": task, "scorer": {"name": "mask", "keep": learned_for}, "seed": 0},
        "prune": {"task": task, "keep": keep, "rule": "hard"},
        "train": {"task": task, "model": {"name": "mlp"}, "recipe": {}, "seed": 0},
        "evaluate": {"split": "test"},
    }
    folders: dict[str, Any] = {
        phase: SimpleNamespace(key=phase, record={"recipe": recipe, "metrics": {}, "inputs": {}})
        for phase, recipe in recipes.items()
    }
    row = _row(folders)
    return row["selection"], row.get("scorer.keep")


def test_masks_learned_for_what_is_kept_are_one_method_at_every_fraction() -> None:
    assert selection(0.3, 0.3) == selection(0.5, 0.5)
    assert selection(0.3, 0.5)[0] != selection(0.3, 0.3)[0]
    assert (selection(0.3, 0.3)[1], selection(0.3, 0.5)[1]) == (None, 0.5)
