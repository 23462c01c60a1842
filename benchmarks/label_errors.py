"""Do the lab's scores find wrong labels, blends and copies as well as cleanlab's label issues? From the same models.

In each of ten draws, 50 of 650 digits have a wrong label, 50 are blends of two classes, and 50 are there four times. An
MLP is trained on four fifths, five times so that each digit is left out once, three times over: 15 models. cleanlab is
given the mean probabilities of the models that did not see a digit. The lab's `loss` and `margin` judge by the same
models; `aum` and `el2n` by those that saw it, as `prune-lab score` does; `duplicates` by the features of one.

    python -m pip install cleanlab && python -m benchmarks.label_errors

A line of JSON each: the AUC of a method for a kind (the probability that one of the kind scores above a plain digit),
mean and standard error over the draws. Then for each kind one of the lab's scores, which was chosen on two other draws,
against the best of cleanlab's on these: the difference paired by draw, with its 95 % t interval, and whether it is not
worse by more than 0.01. Last, among as many digits as cleanlab flags, the share of the wrong labels that each finds.
cleanlab's label issues are not made to find copies. The lines are results/reference/benchmarks/label_errors.jsonl.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from scipy.stats import rankdata, t

from prune_lab.experiments.contracts import Floats, Indices, Proxy
from prune_lab.experiments.data.splits import fold_of
from prune_lab.experiments.data.task import DeviceTask
from prune_lab.experiments.models.networks.dense import mlp
from prune_lab.experiments.scoring.duplicates import Duplicates
from prune_lab.experiments.scoring.evidence import Given
from prune_lab.experiments.seeds import torch_stream
from prune_lab.experiments.training import packing
from prune_lab.experiments.training.recipes import plan

from .planting import KINDS, planted

DRAWS = range(2, 12)
FOLDS, REPEATS, EPOCHS = 5, 3, 30
MARGIN = 0.01  # of AUC
CHOSEN = {"flipped": "aum", "blended": "aum", "copied": "duplicates"}  # on draws 0 and 1
METHODS = ("self_confidence", "normalized_margin", "confidence_weighted_entropy")  # of cleanlab


def trained(task: DeviceTask, seed: int) -> tuple[Floats, Floats, Proxy]:
    """Logits (E, M, N, C) after each epoch, who saw which example (M, N), and the first model."""
    number = FOLDS * REPEATS
    members = np.stack([
        fold_of(task.examples("train"), FOLDS, seed=100 * (1 + repeat) + seed) != fold
        for repeat in range(REPEATS) for fold in range(FOLDS)
    ])  # fmt: skip
    pack = packing.Pack([task.model(torch_stream(seed, "init", one)) for one in range(number)])
    size = task.size("train")
    duration = plan(size, size, batch_size=64, budget="epochs", epochs=EPOCHS)
    found = []
    for step in packing.train(
        task, pack, members, duration, seed=seed, batch_size=64, precision=torch.float32, optimizer="sgd",
        learning_rate=0.05, momentum=0.9, weight_decay=5e-4, schedule="linear", warmup=0.1,
    ):  # fmt: skip
        if step % duration.steps_per_epoch == 0:
            with torch.inference_mode():
                batch = next(task.batches("train", size=size))
                found.append(pack.outputs(task, batch).double().numpy())
    model = task.model(torch_stream(seed, "init", 0))
    model.load_state_dict({name: weights[0] for name, weights in pack.state().items()})
    return np.stack(found), members, Proxy(model.eval(), {})


def scores_of(task: DeviceTask, seed: int) -> tuple[dict[str, Floats], Floats]:
    """(N,) by each of the lab's scores, higher is more suspicious; and (N, C) probabilities out of fold."""
    logits, members, first = trained(task, seed)
    labels = task.examples("train").targets
    rows = np.arange(len(labels))
    probabilities = np.exp(logits - logits.max(-1, keepdims=True))
    probabilities /= probabilities.sum(-1, keepdims=True)
    own = logits[..., rows, labels]
    others = logits.copy()
    others[..., rows, labels] = -np.inf
    margin = others.max(-1) - own  # (E, M, N)
    error = np.linalg.norm(probabilities[EPOCHS // 10 - 1] - np.eye(logits.shape[-1])[labels], axis=-1)  # (M, N)

    def over(values: Floats, who: Any) -> Floats:
        mean: Floats = np.where(who, values, 0).sum(0) / who.sum(0)
        return mean

    judged = ~members
    scores = {
        "loss": over(-np.log(probabilities[-1][:, rows, labels]), judged),
        "margin": over(margin[-1], judged),
        "aum": over(margin.mean(0), members),
        "el2n": over(error, members),
        "duplicates": -Duplicates(name="duplicates").score(Given(task, [first]))[0],  # high: a copy
    }
    unseen = judged[..., None]  # (M, N, 1)
    return scores, np.where(unseen, probabilities[-1], 0).sum(0) / unseen.sum(0)


def auc(scores: Floats, kind: Indices, plain: Indices) -> float:
    ranks = rankdata(np.concatenate([scores[kind], scores[plain]]))
    return float((ranks[: len(kind)].sum() - len(kind) * (len(kind) + 1) / 2) / (len(kind) * len(plain)))


def measured(seed: int) -> tuple[dict[tuple[str, str], float], dict[str, float]]:
    """AUCs by (kind, method) of one draw, and the shares of wrong labels found among as many as cleanlab flags."""
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    data, rows = planted(seed)
    task = DeviceTask(
        data, lambda examples, init: mlp(examples, init, classes=10, width=64, depth=1), device=torch.device("cpu")
    )
    scores, probabilities = scores_of(task, seed)
    labels = data.splits["train"].targets
    found: Mapping[str, Floats] = scores | {
        f"cleanlab {name}": -get_label_quality_scores(labels, probabilities, method=name) for name in METHODS
    }
    flagged = find_label_issues(labels, probabilities)
    ours = np.argsort(-scores[CHOSEN["flipped"]])[: flagged.sum()]
    shares = {
        "flagged": float(flagged.sum()),
        "cleanlab": float(flagged[rows["flipped"]].mean()),
        "ours": float(np.isin(rows["flipped"], ours).mean()),
    }
    return {
        (kind, name): auc(values, rows[kind], rows["plain"]) for kind in KINDS for name, values in found.items()
    }, shares


def lines(draws: Sequence[int]) -> Iterator[dict[str, Any]]:
    """What is printed."""
    found = [measured(seed) for seed in draws]
    each = {key: np.array([aucs[key] for aucs, _ in found]) for key in found[0][0]}
    for (kind, name), values in each.items():
        yield {"kind": kind, "method": name, "auc": float(values.mean()), "se": error(values)}
    for kind in KINDS:
        theirs = max((f"cleanlab {name}" for name in METHODS), key=lambda name: each[kind, name].mean())
        difference = each[kind, CHOSEN[kind]] - each[kind, theirs]
        mean, half = float(difference.mean()), float(t.ppf(0.975, len(draws) - 1) * error(difference))
        yield {
            "kind": kind, "ours": CHOSEN[kind], "theirs": theirs, "difference": mean, "low": mean - half,
            "high": mean + half, "not_worse": mean - half > -MARGIN,
        }  # fmt: skip
    for name in ("flagged", "ours", "cleanlab"):
        values = np.array([shares[name] for _, shares in found])
        yield {"wrong labels found among as many flagged": name, "mean": float(values.mean()), "se": error(values)}


def error(values: Floats) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(
        json.dumps({"cleanlab": version("cleanlab"), "draws": len(DRAWS), "models": FOLDS * REPEATS, "epochs": EPOCHS})
    )
    for line in lines(DRAWS):
        print(json.dumps({name: round(one, 4) if isinstance(one, float) else one for name, one in line.items()}))
