"""Equal contribution: the step of the weights by hand, its fixed point, planted harm, and nothing else moved."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Generator, Tensor, nn

from prune_lab.cli import compose
from prune_lab.experiments.contracts import Data, Examples, Split
from prune_lab.experiments.contribution.meter import contributions
from prune_lab.experiments.contribution.online import EqualContribution, moved
from prune_lab.experiments.data.load import build_task
from prune_lab.experiments.data.task import DeviceTask
from prune_lab.experiments.models.networks.dense import mlp
from prune_lab.experiments.phases.plan import job_of
from prune_lab.experiments.report.pruning import laws
from prune_lab.experiments.report.pruning.runs import points, table
from prune_lab.experiments.seeds import numpy_stream, torch_stream
from prune_lab.experiments.store import checkpoints
from prune_lab.experiments.store.folders import Store
from prune_lab.experiments.training.loop import State, train
from prune_lab.experiments.training.optimizers import optimizers, schedulers
from prune_lab.experiments.training.recipes import plan

from ..command_line import TINY, call
from ..training.test_training import CPU

# ---- the step of the weights -----------------------------------------------------------------------------------------


def test_a_step_by_hand() -> None:
    """Shares 1/2, 1/4, 1/4 of contributions 1, -1, 3: the mean is 1, the mean square 3."""
    found = moved(torch.tensor([2.0, 1.0, 1.0]), torch.tensor([1.0, -1.0, 3.0]), rate=0.3, bound=5.0)
    reach = 0.3 * 2 / math.sqrt(3)
    assert found.tolist() == pytest.approx([2.0, math.exp(-reach), math.exp(reach)])


def test_weights_stay_within_the_bound_and_their_sum_to_first_order() -> None:
    weights, found = torch.tensor([0.5, 1.0, 2.0]), torch.tensor([-1.0, 0.5, 0.7])
    assert moved(weights, found, rate=100.0, bound=4.0).tolist() == [0.25, 4.0, 4.0]
    assert float(moved(weights, found, rate=1e-3, bound=4.0).sum()) == pytest.approx(3.5, abs=1e-5)


def test_equal_contributions_move_nothing() -> None:
    weights = torch.tensor([0.5, 1.0, 2.0])
    for value in (2.0, 0.0, -3.0):
        assert moved(weights, torch.full((3,), value), rate=0.5, bound=5.0).tolist() == pytest.approx(weights.tolist())


def test_where_a_contribution_falls_with_its_weight_all_become_equal() -> None:
    """c = a / w is equal where the weights are as the a; reached, because a step shrinks with the differences."""
    potential, weights = torch.tensor([1.0, 2.0, 4.0]), torch.ones(3)
    for _ in range(60):
        weights = moved(weights, potential / weights, rate=0.3, bound=5.0)
    equal = potential / weights
    assert equal.tolist() == pytest.approx([float(equal.mean())] * 3, rel=1e-4)


# ---- in the loop -----------------------------------------------------------------------------------------------------


def planted() -> tuple[DeviceTask, np.ndarray]:  # type: ignore[type-arg]
    """Two clusters in the plane; a quarter of the training labels, and none of dev's, are those of the other."""
    draw = numpy_stream(0, "planted")

    def split(number: int, wrong: int) -> Examples:
        labels = np.arange(number) % 2
        inputs = (draw.normal(size=(number, 2)) + 2 * (2 * labels[:, None] - 1)).astype(np.float32)
        flipped = np.arange(number) < wrong
        return Examples(inputs, labels ^ flipped, np.arange(number).astype(str), noisy=flipped)

    splits: dict[Split, Examples] = {"train": split(80, 20), "dev": split(60, 0), "test": split(10, 0)}
    noisy = splits["train"].noisy
    assert noisy is not None

    def architecture(examples: Tensor, init: Generator) -> nn.Module:
        return mlp(examples, init, classes=2, width=8, depth=1)

    return DeviceTask(Data("planted", "vectors", splits, ("a", "b")), architecture, device=CPU), noisy


def policy_of(
    task: DeviceTask, model: nn.Module, *, every: int = 1, precision: torch.dtype = torch.float32
) -> EqualContribution:
    return EqualContribution(
        task, model, None, every=every, target=16, rate=0.3, bound=5.0, seed=3, precision=precision
    )


def begin(task: DeviceTask, steps: int) -> State:
    model = task.model(torch_stream(3, "init"))
    made = optimizers(model, "sgd", learning_rate=0.05, momentum=0.9, weight_decay=1e-3)
    return State(model, made, schedulers(made, "linear", steps=steps, warmup=0.2))


def train_all(task: DeviceTask, state: State, policy: EqualContribution, *, epochs: int) -> None:
    duration = plan(80, 80, batch_size=16, budget="epochs", epochs=epochs)
    list(train(task, state, policy, duration, seed=3, batch_size=16, device=CPU, precision=torch.float32))


def test_what_helps_the_target_comes_to_weigh_more_than_what_harms_it() -> None:
    task, noisy = planted()
    state = begin(task, 50)
    policy = policy_of(task, state.model)
    train_all(task, state, policy, epochs=10)
    weights = policy.weights(0, torch.arange(80)).numpy()
    assert weights[noisy].max() < 0.5
    assert np.median(weights[~noisy]) > 1
    assert weights[noisy].mean() < 0.3 * weights[~noisy].mean()


def test_only_the_steps_examples_move_and_only_at_every_so_many_steps() -> None:
    task, _ = planted()
    model = task.model(torch_stream(3, "init"))
    policy, index = policy_of(task, model, every=3), torch.tensor([7, 2, 40])
    for step, ones in ((0, 80), (1, 80), (2, 77), (3, 77)):
        policy.observe(step, index, torch.zeros(3))
        assert int((policy.weights(step, torch.arange(80)) == 1).sum()) == ones
    aims = numpy_stream(3, "target", 2).choice(60, 16, replace=False)
    found = contributions(task, model, index=index.numpy(), target=aims)
    expected = moved(torch.ones(3), torch.from_numpy(found).float(), rate=0.3, bound=5.0)
    assert policy.weights(3, index).tolist() == expected.tolist()


@pytest.mark.parametrize("stop_after", [1, 4, 7])
def test_resumed_the_weights_and_the_model_are_the_same_to_the_bit(tmp_path: Path, stop_after: int) -> None:
    task, _ = planted()

    def fresh() -> tuple[State, EqualContribution]:
        state = begin(task, 15)
        return state, policy_of(task, state.model, every=2)

    whole, policy = fresh()
    train_all(task, whole, policy, epochs=3)
    cut, before = fresh()
    duration = plan(80, 80, batch_size=16, budget="epochs", epochs=3)
    for step in train(task, cut, before, duration, seed=3, batch_size=16, device=CPU, precision=torch.float32):
        if step.number == stop_after:
            cut.save(tmp_path / "checkpoint.pt", {"policy": before.state()})
            break
    resumed, after = fresh()
    after.restore(resumed.load(checkpoints.read(tmp_path / "checkpoint.pt", lambda *_: None) or {})["policy"])
    train_all(task, resumed, after, epochs=3)
    assert torch.equal(policy.state()["weights"], after.state()["weights"])
    assert len(policy.state()["weights"].unique()) > 40
    for name, weight in whole.model.state_dict().items():
        assert torch.equal(weight, resumed.model.state_dict()[name]), name


MODELS = {
    "convnet": ["task=digits", "task.examples=100", "model=convnet", "model.width=0.0625", "recipe=images"],
    "mlp": ["task=digits", "task.examples=100", "model=mlp"],
    "gpt": ["task=pydoc", "task.documents=100", "task.context=16", "model.width=16", "model.heads=2", "model.depth=1"],
}


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", MODELS)
def test_measuring_moves_nothing_of_the_model(name: str, precision: torch.dtype) -> None:
    """Batch norm's running values, the parameters, their gradients and the mode are as they were."""
    (run,) = compose.runs("train", MODELS[name])
    task = build_task(run, CPU)
    model = task.model(torch_stream(0, "init"))
    policy = policy_of(task, model, precision=precision)
    index = torch.tensor([5, 3, 11, 60])
    for training in (True, False):
        model.train(training)
        for weight in model.parameters():
            weight.grad = torch.full_like(weight, 0.5) if weight.requires_grad else None
        before = {key: value.clone() for key, value in model.state_dict().items()}
        trainable = [weight.requires_grad for weight in model.parameters()]
        policy.observe(0, index, torch.zeros(4))
        assert all(module.training == training for module in model.modules())
        assert trainable == [weight.requires_grad for weight in model.parameters()]
        for key, value in model.state_dict().items():
            assert torch.equal(value, before[key]), key
        for weight in model.parameters():
            assert weight.grad is None or bool((weight.grad == 0.5).all())
    assert len(policy.weights(0, index).unique()) == 4


@pytest.mark.parametrize("name", MODELS)
def test_a_run_in_bfloat16_is_measured_nearly_as_one_in_float32(name: str) -> None:
    (run,) = compose.runs("train", MODELS[name])
    task = build_task(run, CPU)
    found = {}
    for precision in (torch.float32, torch.bfloat16):
        state = begin(task, 10)
        policy = policy_of(task, state.model, precision=precision)
        duration = plan(64, 64, batch_size=16, budget="steps", steps=2)
        list(train(task, state, policy, duration, seed=0, batch_size=16, device=CPU, precision=precision))
        found[precision] = policy.state()["weights"].log()
    assert len(found[torch.float32].unique()) > 20
    error, reach = ((found[torch.bfloat16] - found[torch.float32]).norm(), found[torch.float32].norm())
    assert 0 < error < 0.2 * reach


# ---- with pruning, from the command line -----------------------------------------------------------------------------

EQUAL = ("policy=equal_contribution", "policy.every=2", "policy.target=50")


def test_prune_then_equalise_then_train(capsys: pytest.CaptureFixture[str], results: str, tmp_path: Path) -> None:
    pruned = ("keep=0.5", "rule=easy", "scorer.proxies=1")
    words = [*TINY, "--json", results, *pruned]
    for more in ((), EQUAL, (*EQUAL, "policy.rate=0.1"), ("policy=loss_proportional",)):
        made = call(capsys, "evaluate", *words, *more)
        assert made.code == 0, made.err
    whole = call(capsys, "evaluate", *TINY, "--json", results, *EQUAL)
    assert whole.code == 0, whole.err
    store = Store(tmp_path / "results")
    runs = table(store)
    assert len(points(runs)) == len(runs) == 5  # a rate is a point of its own
    assert runs[runs["keep"] == 0.5]["policy"].value_counts().to_dict() == {
        "uniform": 1, "equal_contribution": 2, "loss_proportional": 1,
    }  # fmt: skip
    assert set(runs[runs["keep"] == 0.5]["rule"]) == {"easy"}
    assert runs[runs["keep"] == 1.0][["rule", "policy", "budget"]].values.tolist() == [
        ["none", "equal_contribution", "both"]
    ]
    folders = [store.path("train", key) for key in runs[runs["policy"] == "equal_contribution"]["train"]]
    weights = [pd.read_parquet(folder / "weights.parquet") for folder in folders]
    assert sorted(len(one) for one in weights) == [100, 100, 200]
    assert all(one["weight"].between(0.2, 5).all() and one["weight"].nunique() > 20 for one in weights)
    (kept,) = {tuple(pd.read_parquet(store.path("prune", key) / "kept.parquet")["id"]) for key in runs["prune"] if key}
    assert [tuple(one["id"]) == kept for one in weights].count(True) == 2
    names = {panel.setup for panel in laws.panels(runs, pd.DataFrame(columns=_advantage()))}
    assert names == {
        "digits · linear", "digits · linear weights by loss",
        "digits · linear equal contribution, rate 0.1", "digits · linear equal contribution, rate 0.5",
    }  # fmt: skip


def _advantage() -> list[str]:
    return ["setup", "label_noise", "selection", "balance", "budget", "verdict"]


def test_weighing_everything_is_one_run_under_both_budgets() -> None:
    def key(*words: str) -> str:
        (run,) = compose.runs("train", [*TINY, *words])
        return job_of("train", run).key

    assert key(*EQUAL, "budget=steps") == key(*EQUAL) != key()
    assert key("keep=0.5", *EQUAL, "budget=steps") != key("keep=0.5", *EQUAL) != key("keep=0.5")
    assert key("policy=rs2", "budget=steps") != key("policy=rs2")


def test_a_run_too_short_to_measure_anything_is_refused(capsys: pytest.CaptureFixture[str], results: str) -> None:
    refused = call(capsys, "train", *TINY, "policy=equal_contribution", "policy.every=13", results)
    assert refused.code != 0
    assert "13 is more than the 12 steps" in refused.err
    said = call(capsys, "train", *TINY, "policy=equal_contribution", "policy.every=6", results)
    assert said.code == 0
    assert "each about 0.5 times" in said.err


def test_what_chooses_among_everything_is_still_refused_a_part(capsys: pytest.CaptureFixture[str]) -> None:
    refused = call(capsys, "train", *TINY, "policy=rs2", "keep=0.5")
    assert refused.code == 2
    assert "keep=1" in refused.err
