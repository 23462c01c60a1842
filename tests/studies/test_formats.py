"""study=formats: what its rows say, the base, and a small run with its page."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from prune_lab.experiments.contracts import IGNORED
from prune_lab.experiments.seeds import torch_stream
from prune_lab.experiments.studies.formats import Formats
from prune_lab.experiments.studies.formats.corpus import corpus
from prune_lab.experiments.studies.formats.measuring import counted
from prune_lab.experiments.studies.formats.pretraining import ByTokens, pretrained, task_of
from prune_lab.experiments.studies.formats.results import optimum, runs, verdict, winner, with_settings
from prune_lab.experiments.training.policies.uniform import Uniform

from ..command_line import call

TINY: dict[str, Any] = {
    "least": 2, "most": 3, "examples": 200, "width": 8, "heads": 1, "steps": 6, "batch_size": 50, "tested": 12,
    "samples": 4, "k": (1, 4), "looks": 2,
}  # fmt: skip
ARM = "rollouts: 2, prompts: 4, samples: 4, streams: 2"


def work(folder: Path, seed: int = 1) -> Any:
    return SimpleNamespace(seed=seed, resume=folder, decide=lambda _: None, notify=lambda *_: None)


def test_the_optimum_is_computed_chain_by_chain() -> None:
    sampled, right = np.array([[4.0, 4, 0], [2, 0, 6], [1, 1, 2]]), np.array([[1.0, 3, 0], [2, 0, 2], [0, 0, 0]])
    beta = 0.5
    gain = math.exp(1 / beta)
    first = np.array([1 * gain + 3, 3 * gain + 1, 0])
    second = np.array([2 * gain, 0, 2 * gain + 4])
    third = np.array([0.25, 0.25, 0.5])  # never right: it keeps its shares
    expected = (first / first.sum() + second / second.sum() + third) / 3
    assert optimum(sampled, right, beta).tolist() == pytest.approx(expected.tolist())
    limit = np.array([0.25 + 0.5 + 0.25, 0.75 + 0.25, 0.5 + 0.5]) / 3
    assert optimum(sampled, right, 0.0).tolist() == pytest.approx(limit.tolist())
    assert optimum(sampled, right, 1e-4).tolist() == pytest.approx(limit.tolist())
    assert optimum(sampled, right, 1e6).tolist() == pytest.approx((sampled / sampled.sum(1, keepdims=True)).mean(0))


def test_a_winner_has_half_of_the_samples() -> None:
    found = winner({"share_prog": 0.2, "share_expr": 0.55, "share_words": 0.2})
    assert (found["largest"], found["won_expr"], found["won_prog"]) == (0.55, 1, 0)
    assert winner({"share_prog": 0.2, "share_expr": 0.4, "share_words": 0.3})["won_expr"] == 0


def test_the_loss_of_a_batch_is_the_mean_of_its_tokens() -> None:
    study = Formats(**TINY)
    made = corpus(study, 1)
    task = task_of(study, made, made, torch.device("cpu"))
    model = task.model(torch_stream(0, "init"))
    (batch,) = task.batches("train", size=200)
    weights = ByTokens(task.examples("train").units["tokens"], Uniform()).weights(0, batch.index)
    loss = (weights * task.losses(model, batch)).sum() / weights.sum()
    plain = torch.nn.functional.cross_entropy(
        model(batch.inputs).detach().flatten(0, 1), batch.targets.flatten(), ignore_index=IGNORED
    )
    assert loss.item() == pytest.approx(float(plain), rel=1e-5)


def test_a_killed_pretraining_goes_on_to_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from prune_lab.experiments.training import run as training

    study = Formats(**TINY)
    made = corpus(study, 1)
    task = task_of(study, made, made, torch.device("cpu"))
    whole = pretrained(study, task, work(tmp_path / "whole"), 0.3).state_dict()
    monkeypatch.setattr(training.fit, "__kwdefaults__", (training.fit.__kwdefaults__ or {}) | {"checkpoint_seconds": 0})
    killed = work(tmp_path / "half")

    def notify(sentence: str, share: float) -> None:
        if share > 0.3 * 3.5 / 6:  # the fourth step
            raise KeyboardInterrupt

    killed.notify = notify
    with pytest.raises(KeyboardInterrupt):
        pretrained(study, task, killed, 0.3)
    assert (tmp_path / "half" / "base.pretraining").exists()
    resumed = pretrained(study, task, work(tmp_path / "half"), 0.3).state_dict()
    assert all(torch.equal(one, resumed[name]) for name, one in whole.items())
    again = pretrained(study, task, work(tmp_path / "half"), 0.3).state_dict()  # read, not trained again
    assert all(torch.equal(one, again[name]) for name, one in whole.items())


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Any:
    small = {"rollouts": 2, "prompts": 4, "samples": 4, "streams": 2}
    arms = [small, small | {"algorithm": "ppo", "kl": 0.0}, small | {"algorithm": "ei", "online": True}]
    study = Formats(**TINY | {"arms": arms})
    found: list[Any] = [study.measure(work(tmp_path_factory.mktemp("formats"), seed)) for seed in (1, 1, 2)]
    return study, found


def test_equal_seeds_give_equal_tables_and_others_give_others(measured: Any) -> None:
    _, ((one, metrics), (same, _), (other, _)) = measured
    for name in ("corpus", "base", "rollouts", "looks"):
        assert repr(one[name].to_dict("list")) == repr(same[name].to_dict("list"))
    assert repr(one["rollouts"].to_dict("list")) != repr(other["rollouts"].to_dict("list"))
    assert metrics["parameters"] > 500
    assert len(one["rollouts"]) == 3 * 2 * 2
    assert one["base"].groupby("chain")["sampled"].sum().unique().tolist() == [4]
    own = one["rollouts"].groupby("repeat")["share_none"].first()
    assert repr(own[0]) == repr(one["rollouts"]["share_none"].iloc[0])


def test_arms_meet_the_same_chains_and_streams_do_not(measured: Any) -> None:
    _, ((tables, _), *_) = measured
    first = tables["rollouts"][tables["rollouts"]["rollout"] == 1]
    by = first.pivot_table(index="algorithm", columns="repeat", values="token_entropy")
    assert by.loc["grpo", 0] == by.loc["ppo", 0]  # the same base, chains and draws
    assert by.loc["grpo", 0] != by.loc["grpo", 1]


def test_rows_compare_the_last_look_with_the_base(measured: Any) -> None:
    study, ((tables, _), *_) = measured
    settings = {name: getattr(study, name) for name in ("width", "most", "tested", "samples")}
    given = {name: table.assign(seed=1, shares="0.3,0.4,0.3", **settings) for name, table in tables.items()}
    found = runs(given)
    assert len(found) == 6
    look = given["looks"].query("algorithm == 'grpo' and repeat == 1")
    (row,) = found.query("algorithm == 'grpo' and repeat == 1").to_dict("records")
    assert (row["rollouts"], row["share_none"]) == (2, look["share_none"].iloc[-1])
    assert row["gained_pass_4"] == pytest.approx(look["pass_4"].iloc[-1] - look["pass_4"].iloc[0])
    assert sum(row[f"predicted_{name}"] for name in ("prog", "expr", "words", "none")) == pytest.approx(1)
    assert math.isnan(found.query("algorithm == 'ei'")["kl"].iloc[0])
    assert "pretraining" in Formats.caveat(given)
    assert Formats.verdict(found).startswith("The most common format")
    assert {"share_expr", "pass_4", "base_pass_4"} <= set(Formats.points(found)["measure"])


def test_the_corpus_is_counted() -> None:
    table = counted(corpus(Formats(examples=8000), 1)).set_index("format")
    assert table["share"].tolist() == pytest.approx([0.3, 0.4, 0.3])
    assert table["right"]["words"] == 1
    assert table["right"]["expr"] == pytest.approx(0.75, abs=0.05)


def test_a_run_has_its_page(capsys: pytest.CaptureFixture[str], results: str) -> None:
    words = [f"study.{name}={str(list(one) if isinstance(one, tuple) else one).replace(' ', '')}"
             for name, one in TINY.items()]  # fmt: skip
    arms = f"study.arms=[{{{ARM}}},{{{ARM}, learning_rate: 0.01}},{{{ARM}, algorithm: ppo, kl: 0}}]"
    answer = call(capsys, "simulate", "study=formats", *words, arms, "seed=0", results, "--json")
    assert answer.code == 0, answer.err
    page = Path(answer.objects[-1]["path"])
    shown = (page / "index.html").read_text()
    assert "Scale and learning rate" in shown
    assert "The KL-regularised optimum, predicted and observed" in shown
    table = pd.read_csv(page / "table.csv")
    assert len(table) == 3 * 2
    assert set(table["rate"]) == {0.001, 0.01}


def test_a_mistake_in_an_arm_is_said_before_the_run(capsys: pytest.CaptureFixture[str], results: str) -> None:
    answer = call(capsys, "simulate", "study=formats", "study.shares=[0.5,0.5,0.5]", results)
    assert (answer.code, "sum to 1.5: they must sum to 1" in answer.err) == (2, True)


def test_two_settings_never_have_one_name() -> None:
    """A setting is named where nothing else tells two apart, and only there."""
    row = {"width": 20, "depth": 1, "steps": 1500, "loss": "sequence", "arm": "GRPO", "shares": "0.3,0.4,0.3"}
    rows = [
        row,
        row | {"seed": 1},
        row | {"depth": 2},
        row | {"width": 64, "depth": 2},
        row | {"errors": "0.0,0.0,0.0"},
    ]
    named = with_settings(pd.DataFrame(rows).fillna({"errors": "0.1,0.25,0.0"}))["setting"].tolist()
    assert named[:2] == ["width 20; GRPO, depth 1"] * 2
    pruned = [row | {"keep": 0.5, "rule": "hard", "balance": share} for share in (0.5, 1.0)]
    assert with_settings(pd.DataFrame(pruned))["setting"].nunique() == 2
    assert named[2:] == ["width 20; GRPO, depth 2", "width 64; GRPO", "width 20, no errors; GRPO"]


def test_the_verdict_says_what_pruning_kept_and_what_weights_changed() -> None:
    seeds = [0, 1, 2]

    def row(**own: Any) -> pd.DataFrame:
        usual = {"algorithm": "grpo", "width": 20, "rate": 0.001, "kl": 0.001, "loss": "sequence", "seed": seeds,
                 "keep": 1.0, "rule": "random", "scorer.name": "loss", "balance": 0.0, "policy.name": "uniform",
                 "share_prog": 0.1, "share_expr": 0.8, "share_words": 0.1, "largest": 0.8,
                 "kept_prog": 0.3, "kept_expr": 0.4, "kept_words": 0.3, "kept_over_prog": 1.0}  # fmt: skip
        return pd.DataFrame(usual | own)

    hard = row(keep=0.5, rule="hard", kept_prog=0.03, kept_over_prog=0.1, share_prog=[0.0, 0.01, 0.02])
    said = verdict(pd.concat([row(), row(keep=0.5), hard, hard.assign(keep=0.3), hard.assign(balance=1.0)]))
    assert "width 20, rate 0.001: expr 80 [80, 80] %." in said
    assert "Share of prog, 30 % of the corpus," in said
    assert said.endswith("0.5 random 30 %, then 10 [10, 10] %; 0.5 hard by loss 3 %, then 1 [0, 11] %.")
    moved = row(**{"policy.name": "equal_contribution", "largest": 0.6, "share_expr": 0.6})
    assert "uniform 80 [80, 80] %, equal_contribution 60 [60, 60] %." in verdict(pd.concat([moved, row()])[::-1])
    assert "rate 0.001: expr 80 [80, 80] %." in verdict(pd.concat([moved, row()]))
