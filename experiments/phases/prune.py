"""The phase prune: which examples are kept, what that does to the distribution, and a few of them to look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..contracts import Floats, Indices
from ..data.groups import Names, groups_of
from ..data.splits import check_enough
from ..pruning.distribution import compare
from ..pruning.gallery import gallery
from ..pruning.select import select, tied
from ..pruning.shares import shares
from ..pruning.units import documents_of, mean_over_tokens
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
    names, groups = groups_of(train, data.kind, data.classes)
    balanced = labels if train.named is None else groups  # (N,) what balance is over
    ids, ranked, of_unit = train.ids, scores, np.arange(len(train.ids))
    if by_document(run):
        ids, of_unit = documents_of(train.ids)
        balanced = None if balanced is None else balanced[np.unique(of_unit, return_index=True)[1]]  # (D,)
        ranked, probability = (
            None if values is None else mean_over_tokens(values, of_unit, train.units["tokens"])
            for values in (scores, probability)
        )
    chosen = select(
        ranked,
        run.keep,
        rule=run.rule,
        labels=labels,
        groups=balanced,
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
        by_lot, equal = tied(ranked, chosen, balanced if run.balance else None)
        metrics["kept_by_lot"] = by_lot
        if by_lot:
            work.decide(
                f"{work.job.name}: {by_lot} of the {len(chosen)} kept ({by_lot / len(chosen):.1%}) were drawn at "
                f"random among {equal} examples whose scores are equal at the threshold"
            )
    if labels is not None:
        metrics |= _counted(work, "class", data.classes, labels, kept)
    if train.named is not None and groups is not None:
        metrics |= _counted(work, "group", names, groups, kept)
        work.decide(f"{work.job.name}: {shares(names, groups, groups[kept])}")
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


def _counted(work: Work, what: str, names: Sequence[str], groups: Indices, kept: Indices) -> dict[str, Any]:
    """Write classes.parquet or groups.parquet: label, name, how many are in the pool and kept; say which are gone."""
    pool_counts = np.bincount(groups, minlength=len(names))
    kept_counts = np.bincount(groups[kept], minlength=len(names))
    table = {"label": np.arange(len(names)), "name": names, "pool": pool_counts, "kept": kept_counts}
    plural = {"class": "classes", "group": "groups"}[what]
    pd.DataFrame(table).to_parquet(work.folder / f"{plural}.parquet", index=False)
    lost = [names[place] for place in np.flatnonzero((kept_counts == 0) & (pool_counts > 0)).tolist()]
    if lost:
        work.decide(f"every example of {', '.join(lost)} was dropped (balance={work.run.balance}): see balance=0.5")
    share = kept_counts / np.maximum(1, pool_counts)
    return {f"smallest_{what}_kept": float(share.min()), f"largest_{what}_kept": float(share.max())}


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
