"""Does the ranking of prune-lab inspect find wrong labels as well as cleanlab's, on the same out-of-fold probabilities?

A tenth of the labels is made wrong (task.label_noise). `prune-lab score scorer=loss scorer.folds=3` trains nine
proxies, three a fold, as inspect does; cleanlab is given the mean probabilities of those that did not see an example.

    python -m benchmarks.inspecting digits > FILE  # or cifar10, with PRUNE_LAB_DATA=FOLDER

A line of JSON a setting and seed of the proxies: the AUC of inspect's order, and of cleanlab's self-confidence and
normalised margin (the probability that a wrong label ranks above a right one); and of the labels that inspect calls
likely wrong, and those of cleanlab's find_label_issues, how many there are, how many of them are wrong, and how many of
the wrong ones are found. Then the differences in AUC to the better of cleanlab's, of all seeds. The lines are
results/reference/benchmarks/inspecting.jsonl.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from scipy.stats import rankdata

from prune_lab.cli import compose
from prune_lab.cli.inspect import CLASSED
from prune_lab.experiments import devices
from prune_lab.experiments.contracts import Floats
from prune_lab.experiments.data.load import build_task, load_data
from prune_lab.experiments.models.outputs import BATCH
from prune_lab.experiments.phases.launch import launch
from prune_lab.experiments.phases.plan import closure, job_of
from prune_lab.experiments.phases.settings import Launcher
from prune_lab.experiments.phases.work import proxies_of
from prune_lab.experiments.report.inspection import issues
from prune_lab.experiments.store.folders import Store

SETTINGS = {
    "digits": ("task=digits",),
    "cifar10": ("task=cifar10", "task.examples=1000", "model.width=0.125"),
}
SEEDS = (0, 1, 2)


def measured(words: tuple[str, ...], seed: int) -> dict[str, Any]:
    """What inspect and cleanlab make of one set of proxies."""
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    (run,) = compose.runs("score", [*words, "task.label_noise=0.1", *CLASSED["labels"], f"seed={seed}"])
    job, data = job_of("score", run), load_data(run.task)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        for outcome in launch(closure([job]), store, Launcher(), lambda *_: None):
            if outcome.error is not None:
                raise outcome.error
        probabilities = out_of_fold(store, job.key, build_task(run, torch.device("cpu")))
        table = issues.label_errors(data, store.get("score", job.key).table("scores.parquet")).sort_values("row")
    train = data.splits["train"]
    assert train.noisy is not None
    found: Mapping[str, Floats] = {"inspect": (table["suspicion"] + table["likely"]).to_numpy(np.float64)} | {
        f"cleanlab {name}": -get_label_quality_scores(train.targets, probabilities, method=name)
        for name in ("self_confidence", "normalized_margin")
    }
    flagged = {"inspect": table["likely"].to_numpy(bool), "cleanlab": find_label_issues(train.targets, probabilities)}
    return {
        "examples": len(train.ids), "wrong": int(train.noisy.sum()), "seed": seed,
        "accuracy": float((probabilities.argmax(1) == train.targets).mean()),
        "auc": {name: auc(scores, train.noisy) for name, scores in found.items()},
        "flagged": {
            name: {
                "number": int(one.sum()), "precision": float(train.noisy[one].mean()),
                "recall": float(one[train.noisy].mean()),
            }
            for name, one in flagged.items()
        },
    }  # fmt: skip


def out_of_fold(store: Store, key: str, task: Any) -> Floats:
    """(N, C) the mean probabilities of the proxies that were not trained on an example."""
    total, number = np.zeros((task.size("train"), len(task.classes))), np.zeros(task.size("train"))
    for folder in store.get("score", key).record["inputs"].values():
        (proxy,) = proxies_of(store.get("train", folder), task)
        assert proxy.held_out is not None
        with torch.inference_mode():
            for batch in task.batches("train", size=BATCH[task.kind], index=np.flatnonzero(proxy.held_out)):
                total[batch.index.numpy()] += task.outputs(proxy.model, batch).double().softmax(-1).numpy()
        number += proxy.held_out
    mean: Floats = total / number[:, None]
    return mean


def auc(scores: Floats, kind: Any) -> float:
    """The probability that one of a kind (N,) scores above another, ties half."""
    ours = int(kind.sum())
    return float((rankdata(scores)[kind].sum() - ours * (ours + 1) / 2) / (ours * (len(kind) - ours)))


def lines(names: list[str]) -> Iterator[dict[str, Any]]:
    for name in names:
        each = [measured(SETTINGS[name], seed) for seed in SEEDS]
        yield from ({"setting": " ".join(SETTINGS[name])} | one for one in each)
        aucs = {method: np.array([one["auc"][method] for one in each]) for method in each[0]["auc"]}
        theirs = max((method for method in aucs if "cleanlab" in method), key=lambda method: aucs[method].mean())
        difference = aucs["inspect"] - aucs[theirs]
        yield {
            "setting": " ".join(SETTINGS[name]), "theirs": theirs, "difference": float(difference.mean()),
            "lowest": float(difference.min()), "highest": float(difference.max()),
        }  # fmt: skip


if __name__ == "__main__":
    torch.set_num_threads(1)
    devices.resolve_device("cpu")
    for line in lines(sys.argv[1:] or list(SETTINGS)):
        print(json.dumps(line, default=str), flush=True)
