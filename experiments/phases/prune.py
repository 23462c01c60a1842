"""The phase prune: which examples are kept, what that does to the distribution, and a few of them to look at."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ..contracts import Floats, Indices
from ..data.splits import check_enough
from ..pruning.distribution import compare
from ..pruning.gallery import gallery
from ..pruning.select import select, tied
from ..pruning.units import Names, documents_of, mean_over_tokens
from ..store.files import rows
from .plan import by_document
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
    ids, ranked, of_unit = train.ids, scores, np.arange(len(train.ids))
    if by_document(run):
        ids, of_unit = documents_of(train.ids)
        ranked, probability = (
            None if values is None else mean_over_tokens(values, of_unit, train.units["tokens"])
            for values in (scores, probability)
        )
    chosen = select(
        ranked,
        run.keep,
        rule=run.rule,
        labels=labels,
        ids=ids,
        seed=run.seed,
        balance=run.balance,
        probability=probability,
    )
    kept = np.flatnonzero(np.isin(of_unit, chosen))
    check_enough(len(kept), train.targets, f"keep={run.keep:g}")
    pd.DataFrame({"index": kept, "id": train.ids[kept]}).to_parquet(work.folder / "kept.parquet", index=False)
    metrics: dict[str, Any] = {"kept": len(kept), "pool": len(train.ids)}
    if by_document(run):
        metrics |= _documents(work, ids, ranked, of_unit, chosen)
    if ranked is not None and not run.rule.draws:
        by_lot, equal = tied(ranked, chosen, labels if run.balance else None)
        metrics["kept_by_lot"] = by_lot
        if by_lot:
            work.decide(
                f"{work.job.name}: {by_lot} of the {len(chosen)} kept ({by_lot / len(chosen):.1%}) were drawn at "
                f"random among {equal} examples whose scores are equal at the threshold"
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


def _documents(work: Work, ids: Names, scores: Floats | None, of_window: Indices, kept: Indices) -> dict[str, Any]:
    """Write documents.parquet: id, windows and tokens in the pool, score, kept; returns how many there are."""
    tokens = work.data.splits["train"].units["tokens"]
    table = pd.DataFrame({"id": ids, "windows": np.bincount(of_window), "tokens": np.bincount(of_window, tokens)})
    table = table.astype({"tokens": np.int64})
    if scores is not None:
        table["score"] = scores
    table["kept"] = np.isin(np.arange(len(ids)), kept)
    table.to_parquet(work.folder / "documents.parquet", index=False)
    share = table["tokens"][table["kept"]].sum() / table["tokens"].sum()
    work.decide(f"{work.job.name}: {len(kept)} of {len(ids)} documents are kept, which have {share:.1%} of the tokens")
    return {"kept_documents": len(kept), "pool_documents": len(ids)}
