"""The phase prune: which examples are kept, what that does to the distribution, and a few of them to look at."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ..data.splits import check_enough
from ..pruning.distribution import compare
from ..pruning.gallery import gallery
from ..pruning.select import select, tied
from ..store.files import rows
from .work import Work, say_if_equal


def prune(work: Work) -> dict[str, Any]:
    run = work.run
    made_for = getattr(run.scorer, "keep", run.keep)
    if "score" in work.inputs and made_for != run.keep:
        work.decide(
            f"warning: keep={run.keep:g}, and scorer={run.scorer.name} was made for {made_for:g}: "
            f"scorer.keep={run.keep:g} makes one for it"
        )
    data = work.data
    train = data.splits["train"]
    labels = None if data.kind == "text" else train.targets
    scores = probability = None
    if "score" in work.inputs:
        scored = rows(work.inputs["score"].path / "scores.parquet", train.ids, ["score"])  # the pool may be a part
        scores = scored["score"].to_numpy(np.float64)
        probability = scored["probability"].to_numpy(np.float64) if "probability" in scored else None
        say_if_equal(work, scores)
    kept = select(
        scores,
        run.keep,
        rule=run.rule,
        labels=labels,
        ids=train.ids,
        seed=run.seed,
        balance=run.balance,
        probability=probability,
    )
    check_enough(len(kept), train.targets, f"keep={run.keep:g}")
    pd.DataFrame({"index": kept, "id": train.ids[kept]}).to_parquet(work.folder / "kept.parquet", index=False)
    metrics: dict[str, Any] = {"kept": len(kept), "pool": len(train.ids)}
    if scores is not None and not run.rule.draws:
        by_lot, equal = tied(scores, kept, labels if run.balance else None)
        metrics["kept_by_lot"] = by_lot
        if by_lot:
            work.decide(
                f"{work.job.name}: {by_lot} of the {len(kept)} kept ({by_lot / len(kept):.1%}) were drawn at random "
                f"among {equal} examples whose scores are equal at the threshold"
            )
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
            work.decide(f"every example of {', '.join(lost)} was dropped (balance={run.balance}): see balance=0.5")
    if train.noisy is not None:
        work.decide(
            f"{work.job.name}: {train.noisy[kept].mean():.1%} of the labels kept are known to be wrong, and "
            f"{train.noisy.mean():.1%} of those of the pool"
        )
    measures, sentences = compare(train, kept, kind=data.kind, classes=data.classes)
    pd.DataFrame(measures).to_parquet(work.folder / "distribution.parquet", index=False)
    for sentence in sentences:
        work.decide(f"{work.job.name}: {sentence}")
    gallery(data, kept, scores).to_parquet(work.folder / "gallery.parquet", index=False)
    return metrics
