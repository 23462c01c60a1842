"""An encoder that SimCLR trains without labels, in place of a proxy. Its head stays as it was drawn."""

from __future__ import annotations

from typing import Any

from ..contracts import Work
from ..seeds import torch_stream


def train_encoder(work: Work) -> dict[str, Any]:
    """Train the run's model below its head (arXiv:2002.05709). The dev split is not looked at."""
    import pandas as pd
    from safetensors.torch import save_model

    from ..devices import resolve_precision
    from ..training.begin import begin, state_of
    from ..training.contrastive import contrast, projecting
    from ..training.run import CHECKPOINT_SECONDS
    from ..training.views import described

    recipe, seed, task = work.run.recipe, work.seed, work.task
    model = task.model(torch_stream(seed, "init"))
    precision, reason = resolve_precision(recipe.precision, task.device)
    duration, sizes = begin(work, model, task.size("train"))
    work.decide(reason)
    work.decide(described(task.examples("train").inputs.shape[1]))
    with projecting(model, torch_stream(seed, "projection")):
        steps = contrast(
            task,
            state_of(model, recipe, duration.steps),
            duration,
            seed=seed,
            batch_size=recipe.batch_size,
            precision=precision,
            temperature=work.asks["temperature"],
            clip=recipe.clip,
            checkpoint=work.resume / "checkpoint.pt",
            notify=work.notify,
            checkpoint_seconds=CHECKPOINT_SECONDS,
        )
    save_model(model, str(work.folder / "model.safetensors"))
    table = pd.DataFrame(steps)
    table.to_parquet(work.folder / "steps.parquet", index=False)
    last = table["loss"][table["epoch"] == table["epoch"].max()]
    return sizes | {"examples_seen": int(table["examples"].sum()), "train_loss_last": float(last.mean())}
