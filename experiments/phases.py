"""The phases: score, prune, train, evaluate, simulate, search. Each turns a job into a published folder."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from . import schema
from .contracts import Indices, Policy
from .ensemble import train_ensemble
from .errors import RunFailed
from .jobs import Job
from .judging import score
from .provenance import code_version
from .scorers import MaskScorer
from .searching import search
from .seeds import derive, numpy_stream, torch_stream
from .store import Folder, Store
from .workplace import Notify, Work, data_of, fold_of, machine_of, model_of, say_if_equal, task_of

CURVE = 40  # points of a theory curve
DECIDED = 0.05  # a mask nearer than this to zero or one has decided
BEST = ("accuracy", "error", "loss", "bits_per_byte", "shifted_loss", "shifted_bits_per_byte")  # of the best dev epoch


def run(job: Job, store: Store, notify: Notify) -> Folder:
    """The job's folder: found in the store, or made and published. Its inputs must be there."""
    existing = store.find(job.phase, job.key)
    if existing is not None:
        return existing
    inputs = {name: store.get(needed.phase, needed.key) for name, needed in job.inputs.items()}
    _start_up(job)
    started = time.monotonic()
    record: dict[str, Any] = {
        "phase": job.phase,
        "key": job.key,
        "name": job.name,
        "recipe": job.recipe,
        "inputs": {name: needed.key for name, needed in job.inputs.items()},
        "code": code_version(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    with store.draft(job.phase, job.key, record) as folder:
        work = Work(job, folder, inputs, store, notify)
        phases = {"score": score, "prune": _prune, "train": _train, "evaluate": _evaluate, "simulate": _simulate}
        phases["search"] = search
        metrics = phases[job.phase](work)
        _check_finite(metrics)
        record |= {"derived": work.derived, "machine": work.machine, "metrics": metrics}
        record["seconds"] = round(time.monotonic() - started, 3)
    return store.get(job.phase, job.key)


def _start_up(job: Job) -> None:
    """Import torch before the clock starts: a command's first run is not charged for what serves all of them."""
    if job.phase in ("train", "search"):
        import_module("torch._dynamo")  # torch, and what its optimisers import at their first use
    elif any("train" in name for name in job.inputs):
        import_module("torch")


def _check_finite(metrics: Mapping[str, Any]) -> None:
    """A model that diverged at its last step, or so that only the dev split shows it, is no result."""
    wild = [name for name, value in metrics.items() if isinstance(value, float) and not np.isfinite(value)]
    if wild:
        raise RunFailed(
            f"training diverged: {', '.join(wild)} came out NaN or infinite", "a smaller recipe.learning_rate"
        )


# ---- prune -----------------------------------------------------------------------------------------------------------


def _prune(work: Work) -> dict[str, Any]:
    from .pruning import select
    from .tasks.splits import check_enough

    study = work.job.study
    if isinstance(study.scorer, MaskScorer) and "score" in work.inputs and study.scorer.keep != study.keep:
        work.decide(
            f"warning: keep={study.keep:g}, and the mask was learned for {study.scorer.keep:g}: "
            f"scorer.keep={study.keep:g} learns one for it"
        )
    data = data_of(work)
    train = data.splits["train"]
    labels = None if data.kind == "text" else train.targets
    scores = probability = None
    if "score" in work.inputs:
        scored = pd.read_parquet(work.inputs["score"].path / "scores.parquet").set_index("id")
        scored = scored.loc[list(train.ids)]  # of the pool, which may be a part of it
        scores = scored["score"].to_numpy(np.float64)
        probability = scored["probability"].to_numpy(np.float64) if "probability" in scored else None
        say_if_equal(work, scores)
    kept = select(
        scores,
        study.keep,
        rule=study.rule,
        labels=labels,
        order=numpy_stream(study.seed, "prune"),
        balance=study.balance,
        drop_hardest=study.drop_hardest,
        size=len(train.ids),
        probability=probability,
    )
    check_enough(len(kept), train.targets, f"keep={study.keep:g}")
    pd.DataFrame({"index": kept, "id": train.ids[kept]}).to_parquet(work.folder / "kept.parquet", index=False)
    metrics: dict[str, Any] = {"kept": len(kept), "pool": len(train.ids)}
    if labels is not None:
        pool_counts = np.bincount(labels, minlength=len(data.classes))
        kept_counts = np.bincount(labels[kept], minlength=len(data.classes))
        classes = {
            "label": np.arange(len(data.classes)),
            "name": data.classes,
            "pool": pool_counts,
            "kept": kept_counts,
        }
        pd.DataFrame(classes).to_parquet(work.folder / "classes.parquet", index=False)
        share = kept_counts / np.maximum(1, pool_counts)
        metrics |= {"smallest_class_kept": float(share.min()), "largest_class_kept": float(share.max())}
        lost = [data.classes[c] for c in np.flatnonzero((kept_counts == 0) & (pool_counts > 0))]
        if lost:
            work.decide(f"every example of {', '.join(lost)} was dropped (balance={study.balance}): see balance=0.5")
    from .distribution import compare
    from .gallery import gallery

    measures, sentences = compare(train, kept, kind=data.kind, classes=data.classes)
    pd.DataFrame(measures).to_parquet(work.folder / "distribution.parquet", index=False)
    for sentence in sentences:
        work.decide(f"{work.job.name}: {sentence}")
    gallery(data, kept, scores).to_parquet(work.folder / "gallery.parquet", index=False)
    return metrics


# ---- train -----------------------------------------------------------------------------------------------------------


def _train(work: Work) -> dict[str, Any]:
    if "models" in work.job.recipe.get("proxy", {}):
        return train_ensemble(work)
    if "mask" in work.job.recipe:
        return _learn_mask(work)
    from safetensors.torch import save_model

    from .devices import resolve_precision
    from .equalising import EqualContribution, described
    from .fitting import Fit, fit
    from .recipes import plan

    recipe = work.job.study.recipe
    task = task_of(work)
    seed, proxy = work.job.recipe["seed"], work.job.recipe.get("proxy", {})
    support = None
    if "prune" in work.inputs:
        support = pd.read_parquet(work.inputs["prune"].path / "kept.parquet")["index"].to_numpy(np.int64)
    elif "fold" in proxy:
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
    work.decide(f"model {work.job.study.model.name}: {parameters:,} parameters" + (f", {adapted}" if adapted else ""))
    if "start" in work.inputs:
        from .transfer import start_from

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
    return sizes | result.metrics


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

    from .contrastive import contrast, projecting
    from .fitting import CHECKPOINT_SECONDS
    from .views import described

    recipe, seed, proxy = work.job.study.recipe, work.job.recipe["seed"], work.job.recipe["proxy"]
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
    from .recipes import optimizers, schedulers
    from .training import State

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
    """A mask over the pool instead of a model: the study's recipe squeezed into short runs, differentiated through."""
    from .masking import learn
    from .metagradient import Descent
    from .recipes import factor_of, num_batches

    settings, recipe, task = work.job.study.scorer, work.job.study.recipe, task_of(work)
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
    """The study's policy, and how many examples an epoch of its plan visits. Proxies are uniform."""
    from .equalising import EqualContribution
    from .policy import Found, InfoBatch, LossProportional, Uniform

    settings, seed = work.job.study.policy, work.job.recipe["seed"]
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
        target = min(settings.target or work.job.study.recipe.batch_size, task.size("dev"))
        chosen = settings.model_dump(exclude={"name", "target"}) | {"seed": seed, "precision": precision}
        return EqualContribution(task, model, support, target=target, **chosen), len(rows)
    if isinstance(settings, schema.RepeatedRandomPolicy):
        number = max(1, round(settings.share * len(rows)))
        return Uniform(rows, number=number, seed=seed), number
    assert isinstance(settings, schema.InfoBatchPolicy)
    dropped, until, size = settings.dropped, settings.until, task.size("train")
    return InfoBatch(rows, size, dropped=dropped, until=until, seed=seed, device=task.device), len(rows)


# ---- evaluate --------------------------------------------------------------------------------------------------------


def _evaluate(work: Work) -> dict[str, Any]:
    from .evaluation import evaluate

    task = task_of(work)
    second = _second_task(work, task)
    trained = work.inputs["train"]

    def measured(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
        model = model_of(trained, task, name)
        metrics, examples = evaluate(task, model, "test")
        if second is not None:
            shifted, _ = evaluate(second, model, "test")
            metrics |= {f"shifted_{metric}": shifted[metric] for metric in ("loss", "bits_per_byte")}
        return metrics, examples

    metrics, examples = measured("model")
    test = task.examples("test")
    table = pd.DataFrame({"index": np.arange(len(test.ids)), "id": test.ids} | examples)
    best = measured("best")[0] if (trained.path / "best.safetensors").exists() else metrics
    metrics |= {f"{name}_best": best[name] for name in BEST if name in best}
    table.to_parquet(work.folder / "examples.parquet", index=False)
    (work.folder / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n")
    return dict(metrics)


def _second_task(work: Work, task: Any) -> Any:
    """The task with the second text as its test split; None where no second text is asked for."""
    from .loading import shifted_task

    study = work.job.study
    if study.shifted is None:
        return None
    second, notes = shifted_task(study, task.device)
    number = second.size("test")
    work.decide(f"second text: {'; '.join(notes)}; {number:,} windows in the tokens of {study.task.name}")
    return second


# ---- simulate --------------------------------------------------------------------------------------------------------


def _simulate(work: Work) -> dict[str, Any]:
    """The theory's curve, and the errors of students drawn at its finite dimension."""
    from .theory.perceptron import generalization_error, simulate

    machine_of(work, "cpu")
    settings, recipe = work.job.study.theory, work.job.recipe
    theta, margin = recipe["theory"]["theta"], recipe["theory"]["margin"]
    chosen = {"theta": theta, "rule": recipe["rule"], "margin": margin}
    keep, drawn = recipe["keep"], []
    for draw in range(settings.draws):
        for place, alpha in enumerate(settings.alphas):
            work.notify("", (draw + place / len(settings.alphas)) / settings.draws)
            seed = derive(recipe["seed"], "simulate", draw, place)
            drawn.append((alpha, draw, simulate(settings.dimension, alpha, keep, seed=seed, **chosen)))
    simulated = pd.DataFrame(drawn, columns=["alpha", "draw", "error"])
    simulated.to_parquet(work.folder / "simulated.parquet", index=False)
    span = np.geomspace(min(settings.alphas), max(settings.alphas), CURVE)
    alphas = np.unique(np.concatenate([span, settings.alphas]))
    errors = [generalization_error(float(alpha), keep, **chosen) for alpha in alphas]
    pd.DataFrame({"alpha": alphas, "error": errors}).to_parquet(work.folder / "theory.parquet", index=False)
    return {"points": len(settings.alphas), "draws": settings.draws, "smallest_error": float(np.min(errors))}
