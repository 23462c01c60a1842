"""The phase evaluate: the test split under a trained model, the last epoch's and the best dev epoch's."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd

from ..data.load import second_fingerprint, shifted_task, unchanged
from ..laws.guessing import chance
from .work import Work, model_of

BEST = ("accuracy", "error", "loss", "bits_per_byte", "shifted_loss", "shifted_bits_per_byte")  # of the best dev epoch


def evaluate(work: Work) -> dict[str, Any]:
    from ..training.evaluation import evaluate as measure

    task = work.task
    second = _second_task(work, task)
    trained = work.inputs["train"]

    def measured(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
        model = model_of(trained, task, name)
        metrics, examples = measure(task, model, "test")
        if second is not None:
            shifted, _ = measure(second, model, "test")
            metrics |= {f"shifted_{metric}": shifted[metric] for metric in ("loss", "bits_per_byte")}
        return metrics, examples

    metrics, examples = measured("model")
    test = task.examples("test")
    table = pd.DataFrame({"index": np.arange(len(test.ids)), "id": test.ids} | examples)
    best = measured("best")[0] if trained.has("best.safetensors") else metrics
    metrics |= {f"{name}_best": best[name] for name in BEST if name in best}
    if task.classes:
        metrics["chance"] = chance(np.bincount(test.targets))[0]
    table.to_parquet(work.folder / "examples.parquet", index=False)
    (work.folder / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n")
    return dict(metrics)


def _second_task(work: Work, task: Any) -> Any:
    """The task with the second text as its test split; None where no second text is asked for."""
    run = work.run
    if run.shifted is None:
        return None
    unchanged(second_fingerprint(run.shifted), work.job.settings["shifted_fingerprint"], "the second text")
    second, notes = shifted_task(run.task, run.model, run.shifted, task.device)
    number = second.size("test")
    work.decide(f"second text: {'; '.join(notes)}; {number:,} windows in the tokens of {run.task.name}")
    return second
