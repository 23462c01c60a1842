"""The study of latents: its sampler, its k-means, its whole sweep, and the memory of its largest fit.

    python -m benchmarks.latents [--quick]

A line of JSON a measurement. sampler: strings a second, against one that walks the tree of each string node by node.
k-means: fits a second, against scikit-learn's with as many restarts. sweep: seconds of 5 depths, 5 grammars, 10 numbers
of strings and 3 targets on this machine's cores; the target is under 240 on two. memory: MiB that recovering every
level of 131,072 strings of 6 levels adds to the process; the target is under 2,048. `load` is the machine's before a
measurement: on a busy one only the ratios mean something. results/reference/benchmarks/latents.jsonl has the lines.
"""

from __future__ import annotations

import json
import os
import random
import resource
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np

from prune_lab.experiments.seeds import derive, numpy_stream
from prune_lab.experiments.studies.latents.clustering import given, learn, recover
from prune_lab.experiments.studies.latents.contexts import TARGETS
from prune_lab.experiments.studies.latents.grammar import Grammar
from prune_lab.experiments.studies.latents.kmeans import k_means

from .contest import machine

DEPTHS, SEEDS, SIZES = (2, 3, 4, 5, 6), (0, 1, 2, 3, 4), tuple(256 * 2**power for power in range(10))


def walked(grammar: Grammar, number: int, seed: int) -> list[list[int]]:
    """The visible tokens of strings that are drawn node by node, as one would write it first."""
    draw = random.Random(seed)
    rules = [one.tolist() for one in grammar.rules]

    def tokens(symbol: int, level: int) -> list[int]:
        if level == len(rules):
            return [symbol]
        return [token for child in draw.choice(rules[level][symbol]) for token in tokens(child, level + 1)]

    return [tokens(draw.randrange(grammar.num_classes), 0) for _ in range(number)]


def rate(run: Callable[[], Any], each: int, laps: int) -> float:
    """How many a second, in the fastest of some laps."""
    seconds = []
    for _ in range(laps):
        begin = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - begin)
    return each / min(seconds)


def sampler(quick: bool) -> dict[str, Any]:
    grammar, number = Grammar(6, 16, 4, 2, seed=0), 50 if quick else 2000
    ours = rate(lambda: grammar.sample(number, 1), number, 5)
    theirs = rate(lambda: walked(grammar, number, 1), number, 3)
    return {"unit": "strings/s", "ours": ours, "baseline": theirs, "ratio": ours / theirs, "target": 10}


def clustering(quick: bool) -> dict[str, Any]:
    from sklearn.cluster import KMeans

    cloud, weights = np.random.default_rng(0).standard_normal((64, 15)), np.ones(64)
    KMeans(2).fit(cloud)  # what scikit-learn imports at its first fit
    ours = rate(lambda: k_means(cloud, weights, 16, numpy_stream(0, "benchmark")), 1, 2 if quick else 10)
    theirs = rate(lambda: KMeans(16, n_init=20, max_iter=60, random_state=0).fit(cloud), 1, 1 if quick else 5)
    return {"unit": "fits/s", "ours": ours, "baseline": theirs, "ratio": ours / theirs}


def fits(task: tuple[int, int, tuple[int, ...]]) -> int:
    """All sizes and targets of one grammar."""
    depth, seed, sizes = task
    grammar = Grammar(depth, 16, 4, 2, seed=seed)
    pool, tested = (grammar.sample(number, derive(seed, name)) for number, name in ((max(sizes), "l"), (2000, "t")))
    for number in sizes:
        strings, _ = given([one[:number] for one in pool], "latents", tested)
        for target in TARGETS:
            learn(strings, target=target, seed=seed)
    return len(sizes) * len(TARGETS)


def whole_sweep(quick: bool) -> dict[str, Any]:
    sizes, seeds, depths = (SIZES[:2], SEEDS[:1], DEPTHS[:2]) if quick else (SIZES, SEEDS, DEPTHS)
    tasks = [(depth, seed, sizes) for depth in reversed(depths) for seed in seeds]
    workers = 1 if quick else os.cpu_count() or 1
    begin = time.perf_counter()
    if workers == 1:
        number = sum(map(fits, tasks))
    else:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            number = sum(pool.map(fits, tasks))
    seconds = time.perf_counter() - begin
    return {"unit": "s", "ours": seconds, "fits": number, "workers": workers, "target": 240, "met": seconds < 240}


def memory(quick: bool) -> dict[str, Any]:
    def peak() -> float:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    before, number = peak(), 256 if quick else 131_072
    recover(Grammar(6, 16, 4, 2, seed=0).sample(number, 1), target="tokens", seed=0)
    used = peak() - before
    return {"unit": "MiB", "ours": used, "strings": number, "target": 2048, "met": used < 2048}


def measured(quick: bool) -> Iterator[dict[str, Any]]:
    for name, of in (("sampler", sampler), ("k-means", clustering), ("memory", memory), ("sweep", whole_sweep)):
        yield {"benchmark": f"latents.{name}", "load": os.getloadavg()[0]} | of(quick) | {"machine": machine()}


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    for line in measured("--quick" in sys.argv):
        print(json.dumps(line), flush=True)
