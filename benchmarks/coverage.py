"""How often does the interval over seeds cover the mean of real runs? Many seeds of each point, and draws of a few.

    prune-lab evaluate task=digits keep=0.2,0.5 rule=hard scorer.proxies=1,3 "seed=range(0,100)" results=STORE
    python -m benchmarks.coverage STORE

It prints one line of JSON for each point: the spread and the skew of its accuracies over seeds, and the share of 40,000
draws of 3, 5 and 10 seeds, with replacement, whose 95 % t interval holds the mean of all seeds. Its last lines are
results/reference/benchmarks/coverage.jsonl.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from prune_lab.experiments.contracts import Floats
from prune_lab.experiments.laws.intervals import LEVEL
from prune_lab.experiments.report.pruning import runs
from prune_lab.experiments.seeds import numpy_stream
from prune_lab.experiments.store.folders import Store

DRAWS = 40_000
SEEDS = (3, 5, 10)
FEWEST = 50  # seeds of a point, below which their mean is no standard


def covered(values: Floats, seeds: int) -> float:
    """The share of draws of so many values whose t interval holds the mean of all of them."""
    drawn = numpy_stream(0, "coverage", seeds).choice(values, (DRAWS, seeds))
    reach = stats.t.ppf(0.5 + LEVEL / 2, seeds - 1) * drawn.std(axis=1, ddof=1) / np.sqrt(seeds)
    return float((np.abs(drawn.mean(axis=1) - values.mean()) <= reach).mean())


def points(store: Store) -> Iterator[dict[str, Any]]:
    for _, group in runs.table(store).groupby("point", sort=False):
        values = group["accuracy"].to_numpy(np.float64)
        if len(values) < FEWEST:
            continue
        first = group.iloc[0]
        found = {name: first[name] for name in ("task", "model", "rule", "scorer", "keep", "budget")}
        found |= {"proxies": int(first["scorer.proxies"]), "seeds": len(values), "mean": float(values.mean())}
        found |= {"deviation": float(values.std(ddof=1)), "skew": float(stats.skew(values))}
        yield found | {f"coverage_{seeds}": round(covered(values, seeds), 3) for seeds in SEEDS}


if __name__ == "__main__":
    for result in points(Store(Path(sys.argv[1]))):
        print(json.dumps(result, default=str))
