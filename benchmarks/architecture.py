"""The study of architecture: decoding with a cache of keys and values, and the fit of Chinchilla's law.

    python -m benchmarks.architecture [--quick]

A line of JSON a measurement, on one thread, in processor time.
cache      tokens a second of 16 texts of 512 tokens, of which the last 64 are new, against a loop that reads the whole
           text again; both choose the same tokens. Target: 5 times.
fit        starts a second of the law fitted to 245 runs, against scipy's L-BFGS-B with the same analytic gradient and
           tolerances at which it ends at the minimum. `seconds` is the whole fit of 432 starts. Target: under 2 s.
bootstrap  seconds of 300 resamples of 245 runs, five starts each. Target: under 20 s.
public     the law of the 245 points of arXiv:2203.15556 as read off by arXiv:2404.10102, where the data set
           chinchilla/svg_extracted_data.csv is in $PRUNE_LAB_DATA: what was found beside what is known.
`load` is the machine's before a measurement: on a busy one only the ratios mean something.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.optimize import minimize
from torch import Tensor

from prune_lab.experiments.contracts import Floats
from prune_lab.experiments.laws import chinchilla, compute_optimal
from prune_lab.experiments.models.decoding import generate
from prune_lab.experiments.models.networks.gpt import Gpt, gpt
from prune_lab.experiments.seeds import torch_stream

from .contest import machine


@torch.no_grad()
def whole(model: Gpt, prompts: Tensor, length: int) -> Tensor:
    """The most likely next tokens, as one would write it first."""
    text = prompts
    for _ in range(length):
        text = torch.cat([text, model(text)[:, -1].argmax(-1, keepdim=True)], 1)
    return text[:, prompts.shape[1] :]


def seconds(run: Callable[[], Any], laps: int) -> float:
    """Processor time of the fastest of some laps."""
    spent = []
    for _ in range(laps):
        begin = time.process_time()
        run()
        spent.append(time.process_time() - begin)
    return min(spent)


def cache(quick: bool) -> dict[str, Any]:
    batch, context, length = (2, 32, 8) if quick else (16, 512, 64)
    model = gpt(
        torch_stream(0, "init"), vocabulary=256, context=context, width=64, depth=4, heads=4, kv_heads=2,
        positions="rotary", tied=True, mlp="swiglu",
    )  # fmt: skip
    prompts = torch.randint(0, 256, (batch, context - length), generator=torch_stream(0, "prompts"))
    assert torch.equal(generate(model, prompts, length=length), whole(model, prompts, length))
    ours = batch * length / seconds(lambda: generate(model, prompts, length=length), 3)
    theirs = batch * length / seconds(lambda: whole(model, prompts, length), 1)
    return {"unit": "tokens/s", "ours": ours, "baseline": theirs, "ratio": ours / theirs, "target": 5}


def runs(quick: bool) -> tuple[Floats, Floats, Floats]:
    """N, D and L of 245 runs of a law that is known, 1 % off it."""
    draw = np.random.default_rng(0)
    sizes = np.exp(draw.uniform(np.log(5e7), np.log(1e10), 40 if quick else 245))
    tokens = sizes * np.exp(draw.uniform(np.log(3), np.log(300), len(sizes)))
    losses = 1.8 + 480 / sizes**0.35 + 2100 / tokens**0.37
    return sizes, tokens, losses * np.exp(0.01 * draw.standard_t(3, len(sizes)))


def by_scipy(sizes: Floats, tokens: Floats, losses: Floats, start: Floats) -> float:
    """The sum of Huber's losses where L-BFGS-B ends, of (ln E, ln A, ln B, alpha, beta), logarithms centred."""
    n, d, target = np.log(sizes / 1e9), np.log(tokens / 1e10), np.log(losses)

    def objective(of: Floats) -> tuple[float, Floats]:
        terms = np.stack([of[0] + 0 * n, of[1] - of[3] * n, of[2] - of[4] * d])
        top = terms.max(0)
        shares = np.exp(terms - top)
        residual = top + np.log(shares.sum(0)) - target
        shares /= shares.sum(0)
        size, delta = np.abs(residual), chinchilla.DELTA
        cost = np.where(size <= delta, residual**2 / 2, delta * (size - delta / 2)).sum()
        slopes = np.stack([*shares, -n * shares[1], -d * shares[2]])
        return 1e6 * cost, 1e6 * slopes @ np.clip(residual, -delta, delta)

    options = {"ftol": 1e-15, "gtol": 1e-9, "maxiter": 5000}
    return float(minimize(objective, start, jac=True, method="L-BFGS-B", options=options).fun) / 1e6


def fit(quick: bool) -> dict[str, Any]:
    points = runs(quick)
    law = chinchilla.fit(*points)
    spent = seconds(lambda: chinchilla.fit(*points), 1 if quick else 3)
    starts = [np.array([np.log(floor), -1, -1, power, power]) for floor in (0.5, 1, 1.5) for power in (0.2, 0.4, 0.8)]
    costs: list[float] = []
    each = seconds(lambda: costs.extend(by_scipy(*points, start) for start in starts), 1) / len(starts)
    number = len(chinchilla.FLOORS) * len(chinchilla.TERMS) ** 2 * len(chinchilla.EXPONENTS) ** 2
    ours, theirs = number / spent, 1 / each
    return {
        "unit": "starts/s", "ours": ours, "baseline": theirs, "ratio": ours / theirs, "seconds": spent, "target": 2,
        "met": spent < 2, "starts": number, "cost": law.objective, "lowest cost of the baseline": min(costs),
    }  # fmt: skip


def bootstrap(quick: bool) -> dict[str, Any]:
    law = chinchilla.fit(*runs(quick))
    spent = seconds(lambda: law.resampled(20 if quick else 300), 1)
    return {"unit": "s", "ours": spent, "target": 20, "met": spent < 20}


def public(quick: bool) -> dict[str, Any]:
    place = Path(os.environ.get("PRUNE_LAB_DATA", "")) / "chinchilla" / "svg_extracted_data.csv"
    if not place.is_file():
        return {"left out": "the data set chinchilla is not in $PRUNE_LAB_DATA"}
    columns = pd.read_csv(place)
    sizes, compute, losses = (columns[name].to_numpy() for name in ("Model Size", "Training FLOP", "loss"))
    law = chinchilla.fit(sizes, compute / 6 / sizes, losses, exclude_highest=5)
    other = chinchilla.profiled(sizes, compute / 6 / sizes, losses, exclude_highest=5)
    parameters, tokens = law.optimal(5.76e23)
    levels = [6e18, 1e19, 3e19, 6e19, 1e20, 3e20, 6e20, 1e21, 3e21]
    drawn = law.resampled(20 if quick else 300)
    found = {
        "E": law.E, "A": law.A, "B": law.B, "alpha": law.alpha, "beta": law.beta, "objective": law.objective,
        "objective by variable projection": other.objective, "exponent": law.exponent,
        "standard error of the exponent": float(drawn[:, 5].std(ddof=1)), "D / N at 5.76e23": tokens / parameters,
    }  # fmt: skip
    for name, growth in (("1", compute_optimal.lowest_losses), ("2", compute_optimal.parabolas)):
        by_levels = growth(sizes, compute, losses, levels)
        found[f"exponent by approach {name}, 80 %"] = [by_levels.exponent, *by_levels.interval(0.8)]
    known = {"E": 1.8172, "A": 477.8, "B": 2143, "alpha": 0.3473, "beta": 0.3672, "objective": 0.001018,
             "standard error of the exponent": 0.020, "D / N at 5.76e23": 17.9}  # fmt: skip
    return {"found": found, "known": known, "80 % intervals": law.interval(0.8, resamples=20 if quick else 300)}


def measured(quick: bool) -> Iterator[dict[str, Any]]:
    for of in (cache, fit, bootstrap, public):
        yield (
            {"benchmark": f"architecture.{of.__name__}", "load": os.getloadavg()[0]}
            | of(quick)
            | {"machine": machine()}
        )


if __name__ == "__main__":
    torch.set_num_threads(1)
    for line in measured("--quick" in sys.argv):
        print(json.dumps(line), flush=True)
