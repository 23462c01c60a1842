"""The study of formats: sampling with a cache, a whole small and large pipeline, and rollouts against TRL's.

    python -m benchmarks.formats [--quick]

A line of JSON a measurement. sampling: tokens a second of 512 traces, against the same loop without a cache; the target
is 5 times as many. small, large: processor seconds of pretraining, one epoch of GRPO and its measurements on one core;
the targets are under 90 and under 360. trl: rollouts a second, updates included, against TRL's trainer on a Llama of
the same width and depth, where the extra `rl` is installed; the target is 1. `load` is the machine's before a
measurement: on a busy one only ratios mean something. results/reference/benchmarks/formats.jsonl has the lines.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from prune_lab.experiments.extras import lacking
from prune_lab.experiments.models.decoding import generate
from prune_lab.experiments.models.networks.gpt import Gpt, gpt
from prune_lab.experiments.seeds import torch_stream
from prune_lab.experiments.studies.formats import Formats
from prune_lab.experiments.studies.formats.learning import begun
from prune_lab.experiments.studies.formats.reinforcing import taken
from prune_lab.experiments.studies.formats.settings import Arm
from prune_lab.experiments.studies.formats.task import TOKENS, chains, length, prompts

from .contest import machine


def network(width: int, depth: int, heads: int) -> Gpt:
    return gpt(torch_stream(0, "init"), vocabulary=len(TOKENS), context=11 + length(5) + 1, width=width, depth=depth,
               heads=heads, positions="learned", tied=False)  # fmt: skip


@torch.no_grad()
def uncached(model: Gpt, asked: Tensor, number: int, generator: Generator) -> Tensor:
    """As one would write it first: every token is a forward pass over all tokens before it."""
    tokens = asked
    for _ in range(number):
        chance = model(tokens)[:, -1].softmax(-1)
        tokens = torch.cat([tokens, torch.multinomial(chance, 1, generator=generator)], 1)
    return tokens[:, asked.shape[1] :]


def rate(run: Callable[[], Any], each: int, laps: int) -> float:
    """How many a second, in the fastest of some laps."""
    seconds = []
    for _ in range(laps):
        begin = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - begin)
    return each / min(seconds)


def sampling(quick: bool) -> dict[str, Any]:
    model, number, batch = network(64, 2, 4), length(5), 8 if quick else 512
    asked = torch.from_numpy(prompts(chains(np.random.default_rng(0), batch, 3, 5)))

    def ours() -> Tensor:
        return generate(model, asked, length=number, temperature=1.0, generator=torch_stream(0, "draw"))

    def theirs() -> Tensor:
        return uncached(model, asked, number, torch_stream(0, "draw"))

    assert torch.equal(ours(), theirs()), "both sides draw the same tokens"
    fast, slow = (rate(run, batch * number, 1 if quick else 5) for run in (ours, theirs))
    return {"unit": "tokens/s", "ours": fast, "baseline": slow, "ratio": fast / slow, "target": 5}


def pipeline(study: Formats, target: float) -> dict[str, Any]:
    """Processor seconds of one seed with one arm and one stream."""
    with tempfile.TemporaryDirectory() as folder:
        work: Any = SimpleNamespace(
            seed=0, resume=Path(folder), notify=lambda words, share: None, decide=lambda words: None
        )
        begin = time.process_time()
        study.measure(work)
        seconds = time.process_time() - begin
    return {"unit": "s", "ours": seconds, "target": target, "met": seconds < target}


def small(quick: bool) -> dict[str, Any]:
    return pipeline(shortened(Formats(arms=(Arm(streams=1),)), quick), 90)


def large(quick: bool) -> dict[str, Any]:
    study = Formats(width=64, heads=4, depth=2, learning_rate=0.005, arms=(Arm(streams=1),))
    return pipeline(shortened(study, quick), 360)


def shortened(study: Formats, quick: bool) -> Formats:
    if not quick:
        return study
    update = {"steps": 2, "examples": 200, "tested": 4, "samples": 4, "k": (1,), "arms": (Arm(rollouts=1, streams=1),)}
    return study.model_copy(update=update)


def trl(quick: bool) -> dict[str, Any]:
    """Seconds of `steps` rollouts of 512 solutions with their updates, after one that starts everything."""
    from .formats_trl import rollouts as theirs

    steps = 1 if quick else 10
    learner = begun(Arm(kl=0.0), network(32, 1, 4), torch_stream(0, "rollouts"))
    asked = chains(np.random.default_rng(0), 64, 3, 5)
    taken(learner, asked, lambda _: None)
    ours = rate(lambda: [taken(learner, asked, lambda _: None) for _ in range(steps)], steps, 1)
    baseline = theirs(steps)
    return {"unit": "rollouts/s", "ours": ours, "baseline": baseline, "ratio": ours / baseline, "target": 1}


def measured(quick: bool) -> Iterator[dict[str, Any]]:
    for name, of in (("sampling", sampling), ("small", small), ("large", large), ("trl", trl)):
        if name == "trl" and lacking("rl"):
            print("trl is not installed: pip install prune-lab[rl]", file=sys.stderr)
            continue
        yield {"benchmark": f"formats.{name}", "load": os.getloadavg()[0]} | of(quick) | {"machine": machine()}


if __name__ == "__main__":
    torch.set_num_threads(1)
    for line in measured("--quick" in sys.argv):
        print(json.dumps(line), flush=True)
