"""The phase score: a difficulty for every training example, from what its scorer sees in trained proxies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ..data.load import unchanged
from ..errors import LabError
from ..scoring.folds import judged as cross_fitted
from .plan import scorer_recipe
from .work import Evidence, Work, say_if_equal, say_if_proxies_guess


def score(work: Work) -> dict[str, Any]:
    scorer, data = work.run.scorer, work.data
    train, evidence = data.splits["train"], Evidence(work)
    judged = cross_fitted(scorer, evidence)  # (proxies, N)
    unchanged(scorer_recipe(scorer), work.job.settings["scorer"], f"what scorer={scorer.name} reads")
    if judged.ndim != 2 or judged.shape[1] != len(train.ids):
        raise LabError(f"scorer={scorer.name} returned scores of shape {judged.shape} for {len(train.ids)} examples")
    if np.isinf(judged).any():
        raise LabError(f"scorer={scorer.name} returned {int(np.isinf(judged).sum())} infinite scores")
    counted = (~np.isnan(judged)).sum(0)
    if not counted.all():
        mend = "a recipe.epochs that shows every example"
        raise LabError(f"{int((counted == 0).sum())} examples got no score from any proxy", mend)
    mean = np.nanmean(judged, axis=0)
    say_if_equal(work, mean)
    spread = np.nanstd(judged, axis=0)
    table = pd.DataFrame({"index": np.arange(len(train.ids)), "id": train.ids, "score": mean})
    if data.kind != "text":
        table["label"] = train.targets
    table["spread"] = spread
    if again := sorted(set(evidence.columns) & set(map(str, table))):
        raise LabError(f"scorer={scorer.name} records columns that scores have already: {', '.join(again)}")
    table = table.assign(**evidence.columns)
    table.to_parquet(work.folder / "scores.parquet", index=False)
    say_if_proxies_guess(work)
    return {
        "examples": len(table),
        "scorer": scorer.name,
        "called": scorer.called(),
        "proxies": len(judged),
        "mean": float(mean.mean()),
        "mean_spread": float(spread.mean()),
    }
