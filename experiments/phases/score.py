"""The phase score: from the settings of a scorer and its trained proxies to a score for every training example."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..contracts import IGNORED, Data, Floats, Proxy, Split
from ..data.load import target_texts
from ..errors import LabError
from ..scoring import settings as scorers
from ..seeds import numpy_stream
from ..store.folders import Folder
from .work import Work, data_of, fold_of, model_of, say_if_equal, task_of


def score(work: Work) -> dict[str, Any]:
    run = work.job.run
    data = data_of(work)
    train = data.splits["train"]
    judged = _judge(work, data)
    counted = (~np.isnan(judged)).sum(0)
    if not counted.all():
        raise LabError(f"{int((counted == 0).sum())} examples got no score from any proxy")
    mean = np.nanmean(judged, axis=0)
    say_if_equal(work, mean)
    spread = np.nanstd(judged, axis=0)
    table = pd.DataFrame({"index": np.arange(len(train.ids)), "id": train.ids, "score": mean})
    if data.kind != "text":
        table["label"] = train.targets
    table = table.assign(spread=spread, **work.columns)
    table.to_parquet(work.folder / "scores.parquet", index=False)
    return {
        "examples": len(table),
        "scorer": run.scorer.name,
        "proxies": len(judged),
        "mean": float(mean.mean()),
        "mean_spread": float(spread.mean()),
    }


def _judge(work: Work, data: Data) -> np.ndarray[Any, np.dtype[np.float64]]:
    """(proxies, N) scores of the run's scorer."""
    run, scorer = work.job.run, work.job.run.scorer
    train = data.splits["train"]
    if isinstance(scorer, scorers.RandomScorer):
        return numpy_stream(scorer.seed, "score").random((1, len(train.ids)))
    if isinstance(scorer, scorers.FileScorer):
        from ..scoring.files import read

        scores, note = read(Path(scorer.path), train.ids)
        work.decide(note)
        return scores[None]
    if isinstance(scorer, scorers.MemorizationScorer):
        return _by_subsets(work, scorer)[None]
    if isinstance(scorer, scorers.MaskScorer):
        learned = pd.read_parquet(work.inputs["train_0"].path / "mask.parquet").set_index("id")
        logits: Floats = learned.loc[list(train.ids), "logit"].to_numpy(np.float64)  # a higher one is kept
        return logits[None]
    if isinstance(scorer, scorers.NgramImportanceScorer):
        from ..scoring.ngrams import ngram_importance

        target = _target(work, data, scorer)
        return ngram_importance(_texts(data, "train"), target, buckets=scorer.buckets, smoothing=scorer.smoothing)[None]
    from ..scoring import (
        attribution,
        continuation,
        duplicates,
        dynamics,
        features,
        gradients,
        graph,
        outputs,
        trajectory,
    )

    task = task_of(work)
    proxies = [_proxy(work, folder, task) for folder in work.inputs.values()]
    match scorer:
        case scorers.El2nScorer(convention="ccs"):
            return trajectory.el2n_sum(task, proxies)
        case scorers.El2nScorer():
            return outputs.el2n(task, proxies, squared=scorer.convention == "squared")
        case scorers.GrandScorer():
            return gradients.grand(task, proxies, gradients=scorer.gradients)
        case scorers.ForgettingScorer():
            return trajectory.forgetting(task, proxies, never_learned=scorer.never_learned)
        case scorers.MarginScorer(name="aum"):
            return trajectory.aum(task, proxies, measure=scorer.measure)
        case scorers.MarginScorer():
            return outputs.margin(task, proxies, measure=scorer.measure)
        case scorers.LossScorer(name="loss"):
            return outputs.loss(task, proxies)
        case scorers.LossScorer():
            return outputs.entropy(task, proxies)
        case scorers.PrototypesScorer():
            return features.prototypes(task, proxies, supervised=scorer.supervised, clusters=scorer.clusters)
        case scorers.PerplexityScorer():
            return outputs.perplexity(task, proxies)
        case scorers.ContinuationScorer():
            return continuation.continuation(task, proxies, prompt=scorer.prompt)
        case scorers.DuplicatesScorer():
            return duplicates.duplicates(task, proxies, clusters=scorer.clusters)
        case scorers.DynUncScorer():
            return dynamics.dyn_unc(task, proxies, window=_window(work, task, proxies, scorer.window))
        case scorers.DualScorer():
            window = _window(work, task, proxies, scorer.window, scorer.epochs)
            work.columns["probability"] = dynamics.mean_probability(task, proxies)
            return dynamics.dual(task, proxies, window=window)
        case scorers.TddsScorer():
            return dynamics.tdds(task, proxies, window=_window(work, task, proxies, scorer.window, scorer.epochs))
        case scorers.ModerateScorer():
            return features.moderate(task, proxies)
        case scorers.D2Scorer():
            passed_on = outputs.el2n if scorer.base == "el2n" else trajectory.forgetting
            base = passed_on(task, proxies)
            return graph.d2(task, proxies, base, neighbours=scorer.neighbours, gamma=scorer.gamma)
        case scorers.DisagreementScorer():
            return outputs.disagreement(task, proxies)
        case scorers.DddScorer():
            return outputs.ddd(task, proxies)
        case scorers.ClassErrorScorer():
            return outputs.class_error(task, proxies)
        case scorers.TracinScorer():
            return attribution.tracin(task, proxies)
        case scorers.TrakScorer():
            return attribution.trak(task, proxies, dimension=scorer.dimension, damping=scorer.damping)
        case scorers.InputNormScorer():
            return gradients.input_norm(task)
    raise AssertionError(f"no translation for scorer {run.scorer.name}")


def _by_subsets(work: Work, scorer: scorers.MemorizationScorer) -> Floats:
    """(N,) from the ensemble's membership and what its models got right."""
    from ..scoring.memorization import influence_max, influence_sum_abs, memorization

    (folder,) = work.inputs.values()
    with np.load(folder.path / "ensemble.npz", allow_pickle=False) as arrays:
        members, train, dev = (arrays[name] for name in ("members", "train", "dev"))
    match scorer.name:
        case "memorization":
            return memorization(members, train)
        case "influence_max":
            return influence_max(members, dev)
        case "influence_sum_abs":
            return influence_sum_abs(members, dev)


def _target(work: Work, data: Data, scorer: scorers.NgramImportanceScorer) -> list[str]:
    """The texts that those judged are compared with; said."""
    if scorer.target is None:
        texts, note = _texts(data, "dev"), f"target: the dev split, {len(data.splits['dev'].ids):,} windows"
    else:
        texts, note = target_texts(scorer.target, scorer.column)
    work.decide(note)
    return texts


def _texts(data: Data, split: Split) -> list[str]:
    """(N,) the text of each window, as far as its tokens go: a word at its edge may be cut."""
    assert data.decode is not None, f"{data.name} is no text"
    return [data.decode(row[row != IGNORED].tolist()) for row in data.splits[split].targets]


def _window(work: Work, task: Any, proxies: list[Proxy], window: int, epochs: int = 0) -> int:
    """The window that fits in the epochs that the proxies recorded; said."""
    from ..scoring.dynamics import num_epochs

    seen = num_epochs(task, proxies)
    wanted = f"; the schedule has no more for scorer.window={window}" + (f" scorer.epochs={epochs}" if epochs else "")
    work.decide(
        f"windows of {min(window, seen)} epochs over the first {seen}" + (wanted if seen < max(window, epochs) else "")
    )
    return min(window, seen)


def _proxy(work: Work, folder: Folder, task: Any) -> Proxy:
    model = model_of(folder, task, "model")
    path = folder.path / "trajectory.npz"
    trajectory: dict[str, Any] = {}
    if path.exists():
        with np.load(path, allow_pickle=False) as arrays:
            trajectory = {name: arrays[name].astype(np.float64) for name in arrays.files}
    proxy = folder.record["recipe"]["proxy"]
    held_out = None
    if "fold" in proxy:
        held_out = fold_of(task.examples("train").groups, proxy["folds"]) == proxy["fold"]
    return Proxy(model, trajectory, held_out)
