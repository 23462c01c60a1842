"""A whole training run: the loop, the dev split after an epoch, what is recorded on the way, and its checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..contracts import Policy, Task
from ..models.outputs import statistics
from ..store import checkpoints
from .evaluation import evaluate
from .loop import State, Step, train
from .recipes import Plan

CHECKPOINT_SECONDS = 30.0
DEV_EVALUATIONS = 20  # at most, over a run: a small subset's epochs are short
OBSERVED = ("loss", "correct", "margin", "margin_probability", "error")  # of each example, in each epoch


@dataclass(slots=True)
class Fit:
    """What a run recorded. `best` is the weights at the best dev epoch; None where that was the last one."""

    steps: dict[str, list[Any]] = field(default_factory=lambda: {"step": [], "epoch": [], "loss": [], "examples": []})
    epochs: dict[str, list[Any]] = field(default_factory=dict)
    trajectory: dict[str, NDArray[np.float32]] = field(default_factory=dict)  # name -> (epochs, N); NaN: not visited
    best: dict[str, Tensor] | None = None
    last: Tensor | None = None  # (N, classes) log-probabilities at the last presentation, where movement is recorded
    metrics: dict[str, Any] = field(default_factory=dict)


def fit(
    task: Task,
    state: State,
    policy: Policy,
    plan: Plan,
    *,
    seed: int,
    batch_size: int,
    precision: torch.dtype,
    checkpoint: Path,
    notify: Callable[[str, float], None],
    clip: float | None = None,
    observe: bool = False,
    movement: bool = False,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> Fit:
    """Train to the end of the plan, from `checkpoint` where there is one. Same result, interrupted or not.

    `observe` records OBSERVED of every example; `movement` also how far its prediction moved since the epoch before.
    """
    result = Fit()
    device = next(state.model.parameters()).device
    seen: dict[str, Tensor] = {}
    if observe:
        shape = (math.ceil(plan.stop / plan.steps_per_epoch), task.size("train"))
        names = (*OBSERVED, "movement") if movement else OBSERVED
        seen = {name: torch.full(shape, torch.nan, device=device) for name in names}
        if movement:
            result.last = torch.full((task.size("train"), len(task.classes)), torch.nan, device=device)
    if (content := checkpoints.read(checkpoint, notify, device)) is not None:
        with checkpoints.taken(checkpoint):
            saved = state.load(content)
            result.steps, result.epochs, result.best = (saved[name] for name in ("steps", "epochs", "best"))
            seen, result.last = saved["seen"], saved["last"]
            policy.restore(saved["policy"])
        notify(f"resuming from step {state.step} of {plan.stop}", state.step / plan.stop)
    every = max(1, math.ceil(plan.stop / plan.steps_per_epoch / DEV_EVALUATIONS))
    last_saved = time.monotonic()
    for step in train(
        task, state, policy, plan, seed=seed, batch_size=batch_size, device=device, precision=precision, clip=clip
    ):
        _record(result, seen, step)
        ended = step.number % plan.steps_per_epoch == 0
        if step.number == plan.stop or (ended and (step.epoch + 1) % every == 0):
            _look_at_dev(result, task, state, step)
        notify("", step.number / plan.stop)
        if time.monotonic() - last_saved > checkpoint_seconds and step.number < plan.stop:
            extra = {"steps": result.steps, "epochs": result.epochs, "best": result.best, "seen": seen}
            state.save(checkpoint, extra | {"policy": policy.state(), "last": result.last})
            last_saved = time.monotonic()
    result.trajectory = {name: values.cpu().numpy() for name, values in seen.items()}
    result.steps["loss"] = [float(loss) for loss in result.steps["loss"]]
    _conclude(result)
    return result


def _record(result: Fit, seen: dict[str, Tensor], step: Step) -> None:
    row = {"step": step.number, "epoch": step.epoch, "loss": step.losses.mean(), "examples": len(step.losses)}
    for name, value in row.items():
        result.steps[name].append(value)
    if seen:
        measured = statistics(step.outputs, step.batch.targets) | {"loss": step.losses}
        if result.last is not None:
            measured["movement"] = moved(result.last, step.outputs, step.batch.index)
        for name, values in seen.items():
            values[step.epoch, step.batch.index] = measured[name]


def moved(last: Tensor, outputs: Tensor, index: Tensor) -> Tensor:
    """(B,) sum over classes of |p (log p - log q)|, q the last prediction (NaN at first); `last` becomes this one.

    A number an example and epoch instead of its probabilities (arXiv:2311.13613).
    """
    now = outputs.float().log_softmax(-1)
    change = (now.exp() * (now - last[index])).abs().sum(-1)
    last[index] = now
    return change


def _look_at_dev(result: Fit, task: Task, state: State, step: Step) -> None:
    """Measure the dev split; keep the weights where it is at its best."""
    measured, _ = evaluate(task, state.model, "dev")
    row = {f"dev_{name}": value for name, value in measured.items() if isinstance(value, float)}
    for name, value in ({"step": step.number, "epoch": step.epoch + 1} | row).items():
        result.epochs.setdefault(name, []).append(value)
    if _best(result) == len(result.epochs["step"]) - 1:
        result.best = {name: value.detach().clone() for name, value in state.model.state_dict().items()}


def _best(result: Fit) -> int:
    """The first dev measurement of the lowest error (classes) or loss (text)."""
    return int(np.argmin(result.epochs.get("dev_error", result.epochs["dev_loss"])))


def _conclude(result: Fit) -> None:
    """The metrics of the run; weights are kept apart only where the best epoch was not the last."""
    result.metrics = {"examples_seen": sum(result.steps["examples"]), "train_loss_last": _last_epoch_loss(result)}
    if not result.epochs:  # a proxy stopped before its first step
        return
    best = _best(result)
    for name, values in result.epochs.items():
        if name.startswith("dev_"):
            result.metrics |= {f"{name}_last": values[-1], f"{name}_best": values[best]}
    result.metrics["best_epoch"] = result.epochs["epoch"][best]
    if best == len(result.epochs["step"]) - 1:
        result.best = None


def _last_epoch_loss(result: Fit) -> float | None:
    last = [loss for loss, epoch in zip(result.steps["loss"], result.steps["epoch"], strict=True)
            if epoch == result.steps["epoch"][-1]]  # fmt: skip
    return float(np.mean(last)) if last else None
