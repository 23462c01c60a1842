"""One run of the pipeline: scores of what is left to choose, the part that is kept, weights, and what training costs.

Operations are counted, not timed: of a GPT as models.cost counts them, of other networks by PyTorch's counter, forward
and backward. A forward pass, as scores need it, is a third of that.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ... import choices
from ...contracts import Data, Floats, Indices, ModelChoice, PolicyChoice, Proxy, TrainingRun, Work
from ...data.load import data_of
from ...data.splits import fold_of
from ...data.task import DeviceTask
from ...devices import resolve_precision
from ...errors import ConfigError, RunFailed
from ...models.cost import training_flops
from ...models.gpt import Gpt
from ...pruning.by_proxies import Shown, scores
from ...pruning.select import select
from ...seeds import derive, deterministic, torch_stream
from ...training.begin import state_of
from ...training.evaluation import evaluate
from ...training.loop import train
from ...training.recipes import Plan, plan

if TYPE_CHECKING:
    from . import Pipeline

COUNTED = 2  # examples of a batch whose operations are counted
MEASURES = ("loss", "error", "bits_per_byte")  # of the test split, as far as the task has them


def measured(study: Pipeline, work: Work) -> dict[str, float]:
    """Test metrics, and what the run spent: operations in all, and of scores."""
    deterministic()
    device = work.on(work.run.device)
    data, recipe = data_of(study.chosen_task, study.fingerprint), study.chosen_recipe
    spent = study.scoring * study.compute if study.prune else 0.0
    values = scored(study, data, device, work, spent) if study.prune else None
    kept = select(values, study.keep, rule=_rule(study), labels=None if data.kind == "text" else _labels(data),
                  ids=data.splits["train"].ids, seed=work.seed)  # fmt: skip
    model = study.allocated_model if study.allocate else study.default_model
    task = task_of(study, data, model, device)
    step = recipe.batch_size * operations(task, model, data) * (study.overhead if study.equalise else 1.0)
    steps = math.floor((study.compute - spent) / step)
    if steps < 1:
        raise ConfigError(
            f"one step of this model costs {step:.3g} operations, and {study.compute - spent:.3g} are left to train it",
            "a larger study.compute",
        )
    duration = plan(task.size("train"), len(kept), batch_size=recipe.batch_size, budget="steps", steps=steps)
    network = task.model(torch_stream(work.seed, "init"))
    precision, reason = resolve_precision(recipe.precision, device)
    policy = choices.get("policy", "equal_contribution" if study.equalise else "uniform").model_validate(
        {"every": study.every} if study.equalise else {}
    )
    assert isinstance(policy, PolicyChoice)
    weighed = policy.build(TrainingRun(task, network, kept, work.seed, recipe.batch_size, precision, {}, work.decide))
    for said in (reason, policy.describe(weighed, steps, duration.steps_per_epoch)):
        if said:
            work.decide(said)
    work.decide(f"{study.title()}: {steps} steps, {duration.epochs:.2g} passes over {len(kept):,} examples")
    state = state_of(network, recipe, steps)
    sizes = {"steps": float(steps), "epochs": duration.epochs, "kept": float(len(kept)), "scored": spent}
    sizes |= {"operations": spent + steps * step, "parameters": float(sum(one.numel() for one in network.parameters()))}
    try:
        for done in train(task, state, weighed, duration, seed=work.seed, batch_size=recipe.batch_size, device=device,
                          precision=precision, clip=recipe.clip):  # fmt: skip
            if done.number % 50 == 0:
                work.notify("", (spent + done.number * step) / study.compute)
    except RunFailed as error:
        work.decide(f"warning: training diverged: {error}")
        return sizes | {"loss": math.nan}
    found, _ = evaluate(task, network, "test")
    return sizes | {name: value for name in MEASURES if isinstance(value := found.get(name), float)}


def scored(study: Pipeline, data: Data, device: torch.device, work: Work, spent: float) -> Floats:
    """(N,) scores by proxies of the default shape, which together take `spent` operations; higher is harder.

    With folds no proxy judges what it was trained on, and scores are compared within a fold.
    """
    scorer, task = study.chosen_scorer, task_of(study, data, study.default_model, device)
    asked, folds = scorer.evidence(None), getattr(scorer, "folds", None) or 1
    number, size = len(asked) * folds, task.size("train")
    of_example = operations(task, study.default_model, data)
    judging = size * of_example / 3 / folds  # of one proxy; what it says of its own examples is not used nor counted
    steps = math.floor((spent / number - judging) / (study.chosen_recipe.batch_size * of_example))
    if steps < 1:
        raise ConfigError(
            f"to judge {size:,} examples costs {judging * number:.3g} operations, and scores may take {spent:.3g}: "
            "nothing is left to train proxies",
            "a larger study.scoring, a larger study.compute or a smaller task.examples",
        )
    work.decide(f"scores: {number} proxies of {steps} steps each")
    folded = fold_of(data.splits["train"], folds, seed=work.seed) if folds > 1 else np.zeros(size, np.int64)
    found = np.empty(size)
    for fold in range(folds):
        own = folded == fold
        rows = np.flatnonzero(~own) if folds > 1 else np.arange(size)
        proxies = [
            _proxy(study, task, rows, steps, stop=one.asks.get("share", 1.0), work=work,
                   seed=derive(work.seed, "proxy", place * folds + fold))
            for place, one in enumerate(asked)
        ]  # fmt: skip
        judged = scores(scorer, Shown(task, proxies, work.seed, work.decide))
        found[own] = judged[own] - judged[own].mean()
    return found


def _proxy(
    study: Pipeline, task: DeviceTask, rows: Indices, steps: int, *, stop: float, seed: int, work: Work
) -> Proxy:
    """A model of the default shape, trained for `steps`: the share `stop` of its schedule."""
    recipe, whole = study.chosen_recipe, round(steps / stop)
    network = task.model(torch_stream(seed, "init"))
    duration = plan(task.size("train"), len(rows), batch_size=recipe.batch_size, budget="steps", steps=whole)
    duration = Plan(whole, duration.steps_per_epoch, steps)
    uniform = choices.get("policy", "uniform").model_validate({})
    assert isinstance(uniform, PolicyChoice)
    precision, _ = resolve_precision(recipe.precision, task.device)
    policy = uniform.build(TrainingRun(task, network, rows, seed, recipe.batch_size, precision, {}, work.decide))
    for _ in train(task, state_of(network, recipe, whole), policy, duration, seed=seed, batch_size=recipe.batch_size,
                   device=task.device, precision=precision, clip=recipe.clip):  # fmt: skip
        pass
    return Proxy(network.eval(), {})


def task_of(study: Pipeline, data: Data, model: ModelChoice, device: torch.device) -> DeviceTask:
    recipe = study.chosen_recipe
    return DeviceTask(data, partial(model.build, data), device=device, flip=recipe.flip, shift=recipe.shift)


def operations(task: DeviceTask, model: ModelChoice, data: Data) -> float:
    """Of training on one example: its forward and its backward pass."""
    if isinstance(model, Gpt):
        context = int(task.examples("train").inputs.shape[1])
        return float(context * training_flops(model, data.vocabulary, context))
    from torch.utils.flop_counter import FlopCounterMode

    network = task.model(torch_stream(0, "init"))
    batch = next(iter(task.batches("train", size=COUNTED, index=np.arange(COUNTED))))
    with FlopCounterMode(display=False) as counter:
        task.losses(network, batch).sum().backward()  # type: ignore[no-untyped-call]
    return float(counter.get_total_flops()) / COUNTED


def _rule(study: Pipeline) -> Any:
    return study.chosen_rule if study.prune else choices.get("rule", "random").model_validate({})


def _labels(data: Data) -> Indices:
    return np.asarray(data.splits["train"].targets)
