"""The phase train: a model; or, for the scorers that ask for it, an ensemble, an encoder without labels, or a mask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..contracts import Indices, Policy
from ..scoring.settings import MaskScorer
from ..seeds import torch_stream
from . import settings as schema
from .ensemble import train_ensemble
from .work import Work, fold_of, kept_of, say_if_shared, task_of

DECIDED = 0.05  # a mask nearer than this to zero or one has decided


def train(work: Work) -> dict[str, Any]:
    if "models" in work.job.recipe.get("proxy", {}):
        return train_ensemble(work)
    if "mask" in work.job.recipe:
        return _learn_mask(work)
    from safetensors.torch import save_model

    from ..contribution.online import EqualContribution, described
    from ..devices import resolve_precision
    from ..training.recipes import plan
    from ..training.run import Fit, fit

    recipe = work.job.run.recipe
    task = task_of(work)
    seed, proxy = work.job.recipe["seed"], work.job.recipe.get("proxy", {})
    support = kept_of(work)
    if "fold" in proxy:
        groups = task.examples("train").groups
        assert groups is not None
        support = np.flatnonzero(fold_of(groups, proxy["folds"]) != proxy["fold"])
    pool = task.size("train")
    model = task.model(torch_stream(seed, "init"))
    precision, reason = resolve_precision(recipe.precision, task.device)
    policy, visited = _policy(work, support, task, model, precision)
    duration = plan(
        pool,
        visited,
        batch_size=recipe.batch_size,
        budget=work.job.recipe.get("budget", "epochs"),
        epochs=recipe.epochs,
        steps=recipe.steps,
        examples=recipe.examples,
        stop_epoch=proxy.get("epoch"),
        stop_share=proxy.get("share"),
        most_epochs=proxy.get("most_epochs"),
    )
    early = "" if duration.stop == duration.steps else f", the first of a schedule of {duration.steps}"
    work.decide(
        f"to train: {duration.stop} steps{early}; {duration.stop / duration.steps_per_epoch:g} epochs of {visited} "
        f"examples in batches of about {recipe.batch_size}"
    )
    if isinstance(policy, EqualContribution):
        work.decide(described(policy, duration.stop, duration.steps_per_epoch))
    work.decide(reason)
    parameters = sum(weight.numel() for weight in model.parameters())
    adapted = getattr(model, "adapted", None)
    work.decide(f"model {work.job.run.model.name}: {parameters:,} parameters" + (f", {adapted}" if adapted else ""))
    if "start" in work.inputs:
        from ..training.transfer import start_from

        work.decide(start_from(model, work.inputs["start"].path / "model.safetensors", with_head=task.kind == "text"))
    sizes: dict[str, Any] = {"examples": visited, "pool": pool, "steps": duration.stop, "parameters": parameters}
    sizes |= {"epochs": duration.stop / duration.steps_per_epoch}
    if "encoder" in proxy:
        return sizes | _contrast(work, task, model, duration, precision)
    result: Fit = fit(
        task,
        _state(model, recipe, duration),
        policy,
        duration,
        seed=seed,
        batch_size=recipe.batch_size,
        precision=precision,
        clip=recipe.clip,
        observe=proxy.get("observe", False),
        movement=proxy.get("movement", False),
        checkpoint=_checkpoint(work),
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
    if isinstance(policy, EqualContribution):
        sizes |= _weights(work, policy, support, task)
    _say_if_guessing(work, task, duration.stop, result.metrics.get("dev_accuracy_last"))
    return sizes | result.metrics


def _say_if_guessing(work: Work, task: Any, steps: int, accuracy: float | None) -> None:
    """A model that is no better on dev than its largest class, within two standard errors."""
    if accuracy is None or not task.classes:
        return
    counts = np.bincount(task.examples("dev").targets)
    chance, number = counts.max() / counts.sum(), counts.sum()
    if accuracy <= chance + 2 * np.sqrt(chance * (1 - chance) / number):
        work.decide(
            f"warning: accuracy on dev is {accuracy:.2f} after {steps} steps, and guessing gives {chance:.2f}: scores "
            "of such a model rank nothing (more recipe.epochs, or a smaller recipe.batch_size)"
        )


def _weights(work: Work, policy: Policy, support: Indices | None, task: Any) -> dict[str, float]:
    """Write the weights at the end; their effective share is (sum w)^2 / (n sum w^2): one where all are equal."""
    import torch

    rows = np.arange(task.size("train")) if support is None else support
    weights = policy.weights(0, torch.tensor(rows, device=task.device)).double().cpu().numpy()
    table = {"index": rows, "id": task.examples("train").ids[rows], "weight": weights}
    pd.DataFrame(table).to_parquet(work.folder / "weights.parquet", index=False)
    return {"effective_share": float(weights.sum() ** 2 / (len(rows) * np.square(weights).sum()))}


def _contrast(work: Work, task: Any, model: Any, duration: Any, precision: Any) -> dict[str, Any]:
    """Train the model below its head without labels (SimCLR). The head stays as it was drawn; dev is not looked at."""
    from safetensors.torch import save_model

    from ..training.contrastive import contrast, projecting
    from ..training.run import CHECKPOINT_SECONDS
    from ..training.views import described

    recipe, seed, proxy = work.job.run.recipe, work.job.recipe["seed"], work.job.recipe["proxy"]
    work.decide(described(task.examples("train").inputs.shape[1]))
    with projecting(model, torch_stream(seed, "projection")):
        steps = contrast(
            task,
            _state(model, recipe, duration),
            duration,
            seed=seed,
            batch_size=recipe.batch_size,
            precision=precision,
            temperature=proxy["temperature"],
            clip=recipe.clip,
            checkpoint=_checkpoint(work),
            notify=work.notify,
            checkpoint_seconds=CHECKPOINT_SECONDS,
        )
    save_model(model, str(work.folder / "model.safetensors"))
    table = pd.DataFrame(steps)
    table.to_parquet(work.folder / "steps.parquet", index=False)
    last = table["loss"][table["epoch"] == table["epoch"].max()]
    return {"examples_seen": int(table["examples"].sum()), "train_loss_last": float(last.mean())}


def _state(model: Any, recipe: schema.RecipeSettings, duration: Any) -> Any:
    """The model as it begins, with the recipe's optimisers and their schedules."""
    from ..training.loop import State
    from ..training.recipes import optimizers, schedulers

    made = optimizers(
        model,
        recipe.optimizer,
        learning_rate=recipe.learning_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
    )
    return State(model, made, schedulers(made, recipe.schedule, steps=duration.steps, warmup=recipe.warmup))


def _checkpoint(work: Work) -> Path:
    return work.store.resume_folder("train", work.job.key) / "checkpoint.pt"


def _learn_mask(work: Work) -> dict[str, Any]:
    """A mask over the pool instead of a model: the run's recipe squeezed into short runs, differentiated through."""
    from ..contribution.adjoint import Descent
    from ..contribution.masks import learn
    from ..training.recipes import factor_of, num_batches

    settings, recipe, task = work.job.run.scorer, work.job.run.recipe, task_of(work)
    assert isinstance(settings, MaskScorer)
    pool, steps = task.size("train"), settings.inner_steps
    epochs = steps / num_batches(pool, recipe.batch_size)
    work.decide(
        f"to learn a mask that keeps {settings.keep:g} of {pool}: {settings.steps} steps of Adam, each over "
        f"{settings.runs} runs of {steps} steps ({epochs:g} epochs of everything), "
        f"{recipe.schedule} squeezed into them; precision float32; judged by {task.size('dev')} dev examples"
    )
    factor = factor_of(recipe.schedule, steps, recipe.warmup)
    rates = [recipe.learning_rate * factor(step) for step in range(steps)]
    learned = learn(
        task,
        Descent(rates, recipe.momentum, recipe.weight_decay),
        keep=settings.keep,
        steps=settings.steps,
        runs=settings.runs,
        outer=settings.outer,
        relaxation=settings.relaxation,
        temperature=settings.temperature,
        learning_rate=settings.learning_rate,
        batch_size=recipe.batch_size,
        seed=work.job.recipe["seed"],
        checkpoint=work.store.resume_folder("train", work.job.key) / "checkpoint.pt",
        notify=work.notify,
    )
    mask, logits, ids = learned.mask.numpy(), learned.logits.numpy(), task.examples("train").ids
    table = {"index": np.arange(pool), "id": ids, "logit": logits, "mask": mask}
    pd.DataFrame(table).to_parquet(work.folder / "mask.parquet", index=False)
    curve = {"step": np.arange(1, len(learned.outer) + 1), "outer": learned.outer}
    pd.DataFrame(curve).to_parquet(work.folder / "outer.parquet", index=False)
    decided = float(np.mean(np.minimum(mask, 1 - mask) < DECIDED))
    work.decide(
        f"outer loss {learned.outer[0]:.3f} at first, {learned.outer[-1]:.3f} at last; "
        f"{decided:.0%} of the mask within {DECIDED:g} of zero or one"
    )
    return {"examples": pool, "outer_first": learned.outer[0], "outer_last": learned.outer[-1], "decided": decided}


def _policy(work: Work, support: Indices | None, task: Any, model: Any, precision: Any) -> tuple[Policy, int]:
    """The run's policy, and how many examples an epoch of its plan visits. Proxies are uniform."""
    from ..contribution.online import EqualContribution
    from ..training.policies import Found, InfoBatch, LossProportional, Uniform

    settings, seed = work.job.run.policy, work.job.recipe["seed"]
    rows = np.arange(task.size("train")) if support is None else support
    if "policy" not in work.job.recipe:
        return Uniform(support), len(rows)
    if isinstance(settings, schema.LearningLawPolicy):
        from safetensors.torch import load_file

        found = load_file(work.inputs["search"].path / "policy.safetensors", device=str(task.device))
        return Found(found["policy"], found["rows"].cpu().numpy(), task.size("train")), len(rows)
    if isinstance(settings, schema.LossProportionalPolicy):
        return LossProportional(support, bound=settings.bound), len(rows)
    if isinstance(settings, schema.EqualContributionPolicy):
        say_if_shared(work, task, rows)
        target = min(settings.target or work.job.run.recipe.batch_size, task.size("dev"))
        chosen = settings.model_dump(exclude={"name", "target"}) | {"seed": seed, "precision": precision}
        return EqualContribution(task, model, support, target=target, **chosen), len(rows)
    if isinstance(settings, schema.RepeatedRandomPolicy):
        number = max(1, round(settings.share * len(rows)))
        return Uniform(rows, number=number, seed=seed), number
    assert isinstance(settings, schema.InfoBatchPolicy)
    dropped, until, size = settings.dropped, settings.until, task.size("train")
    return InfoBatch(rows, size, dropped=dropped, until=until, seed=seed, device=task.device), len(rows)
