"""The phase train: a model, or what a scorer asks for in its place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ..contracts import Indices, Policy, TrainingRun
from ..data.splits import fold_of
from ..seeds import torch_stream
from .work import Work, drawn_from, say_if_guessing, say_if_shared


def train(work: Work) -> dict[str, Any]:
    """Train the run's model on what is kept under the run's policy; a proxy on its fold, and until it stops."""
    run, asks = work.run, work.asks
    if "numbers" in asks:
        from .pack import train_packed

        return train_packed(work)
    trainer = run.scorer.trainer(asks) if asks else None
    if trainer is not None:
        return trainer(work)
    from safetensors.torch import save_model

    from ..devices import resolve_precision
    from ..training.begin import begin, state_of
    from ..training.policies.checked import Checked
    from ..training.policies.uniform import Uniform
    from ..training.run import fit

    recipe, task = run.recipe, work.task
    support = _support(work, task)
    pool = task.size("train")
    kept = pool if support is None else len(support)
    model = task.model(torch_stream(work.seed, "init"))
    precision, reason = resolve_precision(recipe.precision, task.device)
    weighed = "policy" in work.job.settings  # proxies are uniform
    policy: Policy = Uniform(support)
    built = policy
    if weighed:
        inputs = {name: folder.path for name, folder in work.inputs.items()}
        training = TrainingRun(task, model, support, work.seed, recipe.batch_size, precision, inputs, work.decide)
        if run.policy.moves:
            say_if_shared(work, task, training.rows)
        policy = built = run.policy.build(training)
        if run.policy.plugin is not None:
            policy = Checked(built, run.policy.name, training.rows)
    visited = run.policy.visits(kept) if weighed else kept
    duration, sizes = begin(work, model, visited, budget=work.job.settings.get("budget", "epochs"))
    if weighed and (said := run.policy.describe(built, duration.stop, duration.steps_per_epoch)):
        work.decide(said)
    work.decide(reason)
    if "start" in work.inputs:
        from ..training.transfer import start_from

        work.decide(start_from(model, work.inputs["start"].path / "model.safetensors", with_head=task.kind == "text"))
    result = fit(
        task,
        state_of(model, recipe, duration.steps),
        policy,
        duration,
        seed=work.seed,
        batch_size=recipe.batch_size,
        precision=precision,
        clip=recipe.clip,
        observe=asks.get("observe", False),
        movement=asks.get("movement", False),
        checkpoint=work.resume / "checkpoint.pt",
        notify=work.notify,
    )
    save_model(model, str(work.folder / "model.safetensors"))
    if result.best is not None:
        model.load_state_dict(result.best)
        save_model(model, str(work.folder / "best.safetensors"))
    pd.DataFrame(result.steps).to_parquet(work.folder / "steps.parquet", index=False)
    pd.DataFrame(result.epochs).to_parquet(work.folder / "epochs.parquet", index=False)
    if result.trajectory:
        np.savez(work.folder / "trajectory.npz", **result.trajectory)  # type: ignore[arg-type]
    if weighed and run.policy.moves:
        sizes |= _weights(work, policy, support, task)
    say_if_guessing(work, task, duration.stop, result.metrics.get("dev_accuracy_last"))
    return sizes | result.metrics


def _support(work: Work, task: Any) -> Indices | None:
    """The examples that may be trained on: what is kept, or all but a proxy's fold; None: all."""
    if "fold" not in work.asks:
        return work.kept()
    seed = drawn_from(work.job.settings)
    return np.flatnonzero(fold_of(task.examples("train"), work.asks["folds"], seed=seed) != work.asks["fold"])


def _weights(work: Work, policy: Policy, support: Indices | None, task: Any) -> dict[str, float]:
    """Write the weights at the end; their effective share is (sum w)^2 / (n sum w^2): one where all are equal."""
    import torch

    rows = np.arange(task.size("train")) if support is None else support
    weights = policy.weights(0, torch.tensor(rows, device=task.device)).double().cpu().numpy()
    table = {"index": rows, "id": task.examples("train").ids[rows], "weight": weights}
    pd.DataFrame(table).to_parquet(work.folder / "weights.parquet", index=False)
    return {"effective_share": float(weights.sum() ** 2 / (len(rows) * np.square(weights).sum()))}
