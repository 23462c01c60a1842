"""An ensemble on random subsets in place of a proxy, and what each of its models gets right.

The folder holds `ensemble.npz` in place of a model: members (M, N), train (M, N) and dev (M, J), all bool.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..contracts import Split, Work
from ..errors import ConfigError
from ..seeds import torch_stream

Flags = NDArray[np.bool_]


def train_ensemble(work: Work) -> dict[str, Any]:
    """Train the models in packs. A pack that is done stays in the resume folder: interrupted, only one is lost."""
    import torch

    from ..devices import resolve_precision
    from ..models.outputs import BATCH
    from ..store import checkpoints
    from ..training import packing
    from ..training.recipes import plan

    recipe, seed, proxy = work.run.recipe, work.seed, work.asks
    task = work.task
    models, share, pool = proxy["models"], proxy["subset"], task.size("train")
    members = np.stack([packing.subset(pool, share, seed=seed, number=number) for number in range(models)])
    check_membership(members)
    duration = plan(
        pool,
        pool,
        batch_size=recipe.batch_size,
        budget="epochs",
        epochs=recipe.epochs,
        steps=recipe.steps,
        examples=recipe.examples,
    )
    precision, reason = resolve_precision(recipe.precision, task.device)
    for sentence in filter(None, (recipe.derivation(pool), reason)):
        work.decide(sentence)
    example = task.model(torch_stream(seed, "init", 0))
    parameters = sum(weight.numel() for weight in example.parameters())
    size = packing.pack_size(example)
    work.decide(
        f"to train: {models} models of {parameters:,} parameters, {size} at a time, each for {duration.steps} steps "
        f"on its own {int(members[0].sum())} of {pool} examples"
    )
    resume = work.resume
    found: dict[str, list[Flags]] = {"train": [], "dev": []}
    for start in range(0, models, size):
        numbers = range(start, min(start + size, models))
        path = resume / f"models_{start}.pt"
        pack_found = checkpoints.read(path, work.notify)
        if pack_found is None:
            pack = packing.Pack([task.model(torch_stream(seed, "init", number)) for number in numbers])
            for step in packing.train(
                task,
                pack,
                members[numbers.start : numbers.stop],
                duration,
                seed=seed,
                batch_size=recipe.batch_size,
                precision=precision,
                optimizer=recipe.optimizer,
                learning_rate=recipe.learning_rate,
                momentum=recipe.momentum,
                weight_decay=recipe.weight_decay,
                schedule=recipe.schedule,
                warmup=recipe.warmup,
                clip=recipe.clip,
            ):
                work.notify("", (start + len(numbers) * step / duration.steps) / models)
            splits: tuple[Split, ...] = ("train", "dev")
            right = {split: packing.correct(task, pack, split, size=BATCH[task.kind]) for split in splits}
            pack_found = {split: torch.from_numpy(flags) for split, flags in right.items()}
            checkpoints.write(path, pack_found)
        else:
            work.notify(f"models {numbers.start} to {numbers.stop - 1} of {models} are there", numbers.stop / models)
        with checkpoints.taken(path):
            for name, parts in found.items():
                parts.append(pack_found[name].numpy())
    train, dev = (np.concatenate(parts) for parts in found.values())
    np.savez(work.folder / "ensemble.npz", members=members, train=train, dev=dev)
    sizes = {"models": models, "examples": int(members[0].sum()), "pool": pool, "steps": duration.steps}
    return sizes | {
        "parameters": parameters,
        "epochs": duration.epochs,
        "accuracy_inside": float(train[members].mean()),
        "accuracy_outside": float(train[~members].mean()),
        "dev_accuracy_last": float(dev.mean()),
    }


def check_membership(members: Flags) -> None:
    """Refuse subsets (M, N) that some example is always in, or never: they say nothing of what it changes."""
    inside = members.sum(0)
    always, never = int((inside == len(members)).sum()), int((inside == 0).sum())
    if always or never:
        raise ConfigError(
            f"{len(members)} models are not enough: of {members.shape[1]} examples {always} are in every subset and "
            f"{never} in none",
            "a larger scorer.models, or scorer.share nearer to 0.5",
        )
