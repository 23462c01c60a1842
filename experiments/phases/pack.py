"""The proxies of one score, trained together: what each would be alone, in a part of the time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..devices import resolve_precision
from ..models.outputs import statistics
from ..seeds import torch_stream
from ..store import checkpoints
from ..training import packing
from ..training.begin import begin
from ..training.evaluation import evaluate
from ..training.loop import Step
from ..training.recipes import Plan
from ..training.run import OBSERVED, moved
from .work import Work, say_if_guessing


def train_packed(work: Work) -> dict[str, Any]:
    """Train a score's proxies in packs; the folder holds `model_0.safetensors` and so on, and their trajectories.

    A pack that is done stays in the resume folder: interrupted, one is lost. Dev is measured at the end alone.
    """
    from safetensors.torch import save_model

    seeds, task = work.seeds, work.task
    model = task.model(torch_stream(seeds[0], "init"))
    duration, sizes = begin(work, model, task.size("train"))
    precision, reason = resolve_precision(work.run.recipe.precision, task.device)
    work.decide(reason)
    size = packing.pack_size(model)
    work.decide(f"{len(seeds)} proxies, {min(size, len(seeds))} of them trained at a time as one pack")
    parts: list[dict[str, Any]] = []
    for start in range(0, len(seeds), size):
        path, own = work.resume / f"proxies_{start}.pt", seeds[start : start + size]
        part = checkpoints.read(path, work.notify, task.device)
        if part is None:
            part = _trained(work, own, duration, precision, start / len(seeds))
            checkpoints.write(path, part)
        with checkpoints.taken(path):
            model.load_state_dict({name: stacked[len(own) - 1] for name, stacked in part["weights"].items()})
            parts.append({name: part[name] for name in ("weights", "seen", "examples")})
    found: list[dict[str, float]] = []
    for place in range(len(seeds)):
        weights = parts[place // size]["weights"]
        model.load_state_dict({name: stacked[place % size] for name, stacked in weights.items()})
        save_model(model, str(work.folder / f"model_{place}.safetensors"))
        if duration.stop:
            measured, _ = evaluate(task, model, "dev")
            found.append({f"dev_{name}_last": value for name, value in measured.items() if isinstance(value, float)})
    recorded = {name: torch.cat([part["seen"][name] for part in parts]).cpu().numpy() for name in parts[0]["seen"]}
    if recorded:
        np.savez(work.folder / "trajectory.npz", **recorded)  # type: ignore[arg-type]
    metrics: dict[str, Any] = {name: float(np.mean([one[name] for one in found])) for name in (found or [{}])[0]}
    say_if_guessing(work, task, duration.stop, metrics.get("dev_accuracy_last"))
    examples = sum(part["examples"] for part in parts)
    return sizes | {"proxies": len(seeds), "examples_seen": examples} | metrics


def _trained(work: Work, seeds: Sequence[int], duration: Plan, precision: torch.dtype, before: float) -> dict[str, Any]:
    """The weights (M, ...) of one pack, what was seen of every example (M, epochs, N), and how many examples."""
    recipe, task, asks = work.run.recipe, work.task, work.asks
    pack = packing.Pack([task.model(torch_stream(seed, "init")) for seed in seeds])
    models, epochs, size = len(seeds), math.ceil(duration.stop / duration.steps_per_epoch), task.size("train")
    names = () if not asks.get("observe") else (*OBSERVED, "movement") if asks.get("movement") else OBSERVED
    seen = {name: torch.full((models, epochs, size), torch.nan, device=task.device) for name in names}
    rows = models * size if "movement" in names else 0
    last = torch.full((rows, len(task.classes)), torch.nan, device=task.device)
    first = torch.arange(models, device=task.device).unsqueeze(1)  # (M, 1)
    examples = 0

    def watch(step: Step) -> None:
        nonlocal examples
        examples += step.losses.numel()
        if not seen:
            return
        outputs, index = step.outputs.flatten(0, 1), step.batch.index  # (M, B)
        measured: dict[str, Tensor] = statistics(outputs, step.batch.targets.flatten()) | {"loss": step.losses}
        if "movement" in names:
            measured["movement"] = moved(last, outputs, (first * size + index).flatten())
        for name, values in seen.items():
            values[first, step.epoch, index] = measured[name].view_as(index)

    share = models / len(work.seeds)
    for step in packing.train(
        task,
        pack,
        None,
        duration,
        seed=seeds,
        batch_size=recipe.batch_size,
        precision=precision,
        optimizer=recipe.optimizer,
        learning_rate=recipe.learning_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        schedule=recipe.schedule,
        warmup=recipe.warmup,
        clip=recipe.clip,
        watch=watch,
    ):
        work.notify("", before + share * step / duration.stop)
    return {"weights": pack.state(), "seen": seen, "examples": examples}
