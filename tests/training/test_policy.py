"""Policies: what an epoch visits and how it weighs, through the loop and from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from prune_lab.experiments.laws import claims
from prune_lab.experiments.seeds import torch_stream
from prune_lab.experiments.store import checkpoints
from prune_lab.experiments.store.folders import Store
from prune_lab.experiments.training.loop import State, train
from prune_lab.experiments.training.optimizers import optimizers, schedulers
from prune_lab.experiments.training.policies.infobatch import InfoBatch
from prune_lab.experiments.training.policies.loss_proportional import LossProportional
from prune_lab.experiments.training.policies.uniform import Uniform
from prune_lab.experiments.training.recipes import plan

from ..command_line import TINY, call
from .test_training import CPU, image_task

SUPPORT = np.arange(10, 30)
MIXED = """\
# @package _global_
budget: steps
experiment:
  name: mixed
  title: Rules and policies
  grids:
    - ["seed=0,1,2"]
    - ["seed=0,1,2", "keep=0.25", "rule=random"]
    - ["seed=0,1,2", "keep=0.25", "rule=beta", "scorer=dual", "scorer.proxies=1"]
    - ["seed=0,1,2", "policy=rs2", "policy.share=0.25"]
    - ["seed=0,1,2", "policy=infobatch"]
"""


def infobatch(*, dropped: float = 0.5, until: float = 1.0) -> InfoBatch:
    return InfoBatch(SUPPORT, 40, dropped=dropped, until=until, seed=1, device=CPU)


def test_repeated_random_draws_a_fresh_subset_of_the_support_in_every_epoch() -> None:
    policy = Uniform(SUPPORT, number=8, seed=3)
    first, second = policy.visited(0, 0.0), policy.visited(1, 0.1)
    assert first is not None
    assert second is not None
    assert len(set(first)) == len(set(second)) == 8
    assert set(first) | set(second) <= set(SUPPORT)
    assert set(first) != set(second)
    np.testing.assert_array_equal(first, policy.visited(0, 0.0))
    drawn = [row for epoch in range(400) for row in policy.visited(epoch, 0.0)]  # type: ignore[union-attr]
    shares = np.bincount(drawn, minlength=30)[10:] / 400
    assert np.abs(shares - 0.4).max() < 0.1


def test_infobatch_skips_well_learned_examples_alone_and_weighs_the_rest_of_them_up() -> None:
    policy = infobatch(dropped=0.75)
    np.testing.assert_array_equal(policy.visited(0, 0.0), SUPPORT)  # nothing was seen yet
    losses = torch.cat([torch.full((16,), 0.1), torch.full((4,), 5.0)])
    policy.observe(0, torch.from_numpy(SUPPORT), losses)
    visited = policy.visited(1, 0.1)
    assert visited is not None
    assert set(visited) >= set(range(26, 30))
    assert len(visited) == 4 + 4  # a quarter of the sixteen
    weights = policy.weights(0, torch.from_numpy(visited))
    assert weights.sum() == pytest.approx(20)  # as if all had been visited
    assert sorted(set(weights.tolist())) == [1.0, 4.0]


def test_infobatch_visits_everything_at_the_end() -> None:
    policy = infobatch(until=0.5)
    policy.observe(0, torch.from_numpy(SUPPORT), torch.linspace(0, 1, 20))
    first, last = policy.visited(1, 0.4), policy.visited(2, 0.5)
    assert first is not None
    assert len(first) == 15
    np.testing.assert_array_equal(last, SUPPORT)


@pytest.mark.parametrize("stop_after", [3, 6, 11])
def test_infobatch_resumed_is_the_same_to_the_bit(tmp_path: Path, stop_after: int) -> None:
    def trained(*, cut: bool) -> tuple[State, list[list[int]]]:
        task = image_task()
        duration = plan(90, 90, batch_size=16, budget="steps", steps=24)

        def fresh() -> tuple[State, InfoBatch]:
            model = task.model(torch_stream(3, "init"))
            made = optimizers(model, "sgd", learning_rate=0.05, momentum=0.9, weight_decay=1e-3)
            policy = InfoBatch(np.arange(90), 90, dropped=0.5, until=0.9, seed=3, device=CPU)
            return State(model, made, schedulers(made, "linear", steps=duration.steps, warmup=0.2)), policy

        seen: list[list[int]] = []
        state, policy = fresh()
        keywords = {"seed": 3, "batch_size": 16, "device": CPU, "precision": torch.float32}
        for step in train(task, state, policy, duration, **keywords):  # type: ignore[arg-type]
            seen.append(step.batch.index.tolist())
            if cut and step.number == stop_after:
                state.save(tmp_path / "checkpoint.pt", {"policy": policy.state()})
                break
        if cut:
            state, policy = fresh()
            policy.restore(state.load(checkpoints.read(tmp_path / "checkpoint.pt", lambda *_: None) or {})["policy"])
            seen += [s.batch.index.tolist() for s in train(task, state, policy, duration, **keywords)]  # type: ignore[arg-type]
        return state, seen

    whole, visited = trained(cut=False)
    resumed, visited_again = trained(cut=True)
    assert visited == visited_again
    assert len({row for batch in visited[6:] for row in batch}) > 40
    for name, weight in whole.model.state_dict().items():
        assert torch.equal(weight, resumed.model.state_dict()[name]), name


def test_loss_proportional_weighs_by_the_losses_of_the_step() -> None:
    policy, index = LossProportional(SUPPORT, bound=2.0), torch.from_numpy(SUPPORT[:3])
    np.testing.assert_array_equal(policy.visited(0, 0.0), SUPPORT)
    policy.observe(4, index, torch.tensor([3.0, 1.5, 0.0]))  # of a mean of 1.5
    assert policy.weights(4, index).tolist() == pytest.approx([2.0, 1.0, 0.5])
    policy.observe(4, index, torch.tensor([9.0, 0.0, 0.0]))
    assert policy.weights(4, index).tolist() == pytest.approx([2.0, 0.5, 0.5])
    policy.observe(5, index, torch.zeros(3))
    shares = policy.weights(5, index) / policy.weights(5, index).sum()
    assert shares.tolist() == pytest.approx([1 / 3] * 3)


def test_policies_from_the_command_line(capsys: pytest.CaptureFixture[str], results: str, tmp_path: Path) -> None:
    def metrics(*words: str) -> dict[str, float]:
        (made,) = call(capsys, "train", *TINY, "--json", results, *words).objects
        return made["metrics"]  # type: ignore[no-any-return]

    assert metrics("policy=rs2", "policy.share=0.25")["examples_seen"] == pytest.approx(3 * 50, abs=1)
    assert metrics("policy=rs2", "policy.share=0.25", "budget=steps")["steps"] == 12
    skipped = metrics("policy=infobatch", "budget=steps")
    assert skipped["steps"] == 12
    names = {
        folder.record["recipe"].get("policy", {}).get("name") for folder in Store(tmp_path / "results").folders("train")
    }
    assert names == {"rs2", "infobatch"}
    refused = call(capsys, "train", *TINY, "policy=infobatch", results)
    assert refused.code == 2
    assert "budget=steps" in refused.err


def test_a_page_compares_policies_and_rules_under_one_budget(
    capsys: pytest.CaptureFixture[str], results: str, tmp_path: Path
) -> None:
    (tmp_path / "configs" / "experiment").mkdir(parents=True)
    (tmp_path / "configs" / "experiment" / "mixed.yaml").write_text(MIXED)
    words = ["reproduce", f"hydra.searchpath=[file://{tmp_path / 'configs'}]", "experiment=mixed", *TINY, results]
    assert call(capsys, *words).code == 0
    (page,) = (tmp_path / "results" / "report").glob("mixed_*")  # changed by words, so a page of its own
    found = json.loads((page / "claims.json").read_text())["advantage"]
    assert {(row["rule"], row["keep"], row["n"]) for row in found} == {
        ("rs2", 0.25, 3), ("beta", 0.25, 3), ("infobatch", 1.0, 3),
    }  # fmt: skip


def test_policies_are_compared_with_uniform_weights_on_the_same_examples() -> None:
    """By hand: paired by seed, within what is kept and under the same settings; another setting is no opponent."""
    rows = []
    for rule, gains in (("none", (0.03, 0.02, 0.04)), ("random", (-0.01, 0.02, 0.0))):
        for seed, gain in enumerate(gains):
            for policy, accuracy in (("uniform", 0.8 + 0.1 * seed), ("equal_contribution", 0.8 + 0.1 * seed + gain)):
                rows.append(
                    {
                        "task": "digits", "model": "mlp", "rule": rule, "scorer": "none", "selection": "none",
                        "keep": 1.0 if rule == "none" else 0.5, "balance": 0.0, "budget": "steps", "pool": 100,
                        "label_noise": 0.0, "fingerprint": "a", "recipe.epochs": 4, "policy": policy, "seed": seed,
                        "policy.every": 16 if policy != "uniform" else None, "accuracy": accuracy,
                    }
                )  # fmt: skip
    other = [{**row, "recipe.epochs": 5, "policy": "uniform", "accuracy": 0.1} for row in rows[:2]]
    other += [{**row, "budget": "epochs", "accuracy": 0.2} for row in rows if row["policy"] == "uniform"]
    runs = pd.DataFrame([*rows, *other])
    whole, half = claims.by_policy(runs).to_dict("records")
    assert (whole["rule"], half["rule"]) == ("none", "random")
    assert whole["effect"] == pytest.approx(0.03)
    assert (whole["n"], whole["verdict"], half["verdict"]) == (3, "better", "undecided")
    said = claims.weighed(claims.by_policy(runs))
    assert "equal_contribution: better in 1, worse in 0, undecided in 1 of 2 settings" in said
    assert claims.weighed(claims.by_policy(runs[runs["policy"] == "uniform"])) == ""
