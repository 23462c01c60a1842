"""The study of architecture: decoding with a cache of keys and values, against a loop that reads the whole text again.

    python -m benchmarks.architecture [--quick]

A line of JSON a measurement, in tokens a second of one thread. cache: 16 texts of 512 tokens, of which the last 64 are
new; both sides choose the same tokens. The target is 5 times. `load` is the machine's before a measurement: on a busy
one only the ratios mean something.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

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


def measured(quick: bool) -> Iterator[dict[str, Any]]:
    for name, of in (("cache", cache),):
        yield {"benchmark": f"architecture.{name}", "load": os.getloadavg()[0]} | of(quick) | {"machine": machine()}


if __name__ == "__main__":
    torch.set_num_threads(1)
    for line in measured("--quick" in sys.argv):
        print(json.dumps(line), flush=True)
