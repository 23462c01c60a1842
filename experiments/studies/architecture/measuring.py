"""One shape of a GPT: its loss after training, and the tokens a second that it decodes."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from ...contracts import Data, Split, Task, Work
from ...data.load import data_of
from ...data.task import DeviceTask
from ...errors import RunFailed
from ...models.cost import training_flops
from ...models.decoding import empty_cache
from ...models.networks.gpt import Gpt
from ...models.outputs import examine
from ...seeds import deterministic, torch_stream
from ...training.loop import State, train
from ...training.policies.uniform import Uniform
from ...training.recipes import Plan, factor_of

if TYPE_CHECKING:
    from . import Architecture

CLIP = 1.0  # largest norm of the gradient
BASE = 64  # inputs of a matrix whose learning rate is the study's
BETAS = (0.9, 0.95)  # of AdamW, for small batches
NEW = 32  # tokens that are decoded in a repeat
REPEATS = 5  # of which the fastest counts: what else the machine does makes the others slower


def trained(study: Architecture, work: Work) -> dict[str, float]:
    """Loss a token on the test and dev windows, in nats; none where training diverged."""
    deterministic()
    device = work.on(work.run.device)
    data = data_of(study.chosen_task, study.fingerprint)
    task = DeviceTask(data, partial(study.model.build, data), device=device)
    windows, tokens = task.size("train"), int(data.splits["train"].units["tokens"].sum())
    wanted = study.tokens_per_parameter * study.parameters
    duration = planned(windows, round(wanted / tokens * windows), study.batch_size)
    model = task.model(torch_stream(work.seed, "init"))
    state = State(model, [optimizer := adamw(study, model)],
                  [LambdaLR(optimizer, factor_of("linear", duration.steps, study.warmup))])  # fmt: skip
    epochs = wanted / tokens
    work.decide(f"{study.title()}: {duration.steps} steps, {epochs:.2g} passes over {tokens:,} tokens")
    context = task.examples("train").inputs.shape[1]
    found = {"steps": float(duration.steps), "epochs": epochs, "tokens": wanted,
             "flops": wanted * training_flops(study.model, data.vocabulary, context)}  # fmt: skip
    precision = torch.bfloat16 if study.precision == "bfloat16" else torch.float32
    try:
        for step in train(task, state, Uniform(), duration, seed=work.seed, batch_size=study.batch_size, device=device,
                          precision=precision, clip=CLIP):  # fmt: skip
            if step.number % 50 == 0:
                work.notify("", step.number / duration.steps)
    except RunFailed:
        return found | {"loss": np.nan, "dev_loss": np.nan, "diverged": 1.0}
    splits: tuple[tuple[str, Split], ...] = (("loss", "test"), ("dev_loss", "dev"))
    losses = {name: loss_of(task, model, split) for name, split in splits}
    return found | losses | {"diverged": float(not all(map(np.isfinite, losses.values())))}


def planned(windows: int, visits: int, batch_size: int) -> Plan:
    """As many steps as visit so many windows, in epochs of near-equal batches."""
    an_epoch = max(1, round(windows / batch_size))
    steps = max(1, round(visits / windows * an_epoch))
    return Plan(steps, an_epoch, steps)


def adamw(study: Architecture, model: nn.Module) -> torch.optim.AdamW:
    """Each matrix of the layers at 64 / inputs of the rate, with weight decay; embeddings and norms at the rate."""
    rate = study.learning_rate
    matrices = {
        f"{name}.weight": one.in_features
        for name, one in model.named_modules()
        if isinstance(one, nn.Linear) and name.startswith("layers")
    }
    by_inputs: dict[int, list[nn.Parameter]] = {}
    for name, weight in model.named_parameters():
        if name in matrices:
            by_inputs.setdefault(matrices[name], []).append(weight)
    others = [weight for name, weight in model.named_parameters() if name not in matrices]
    groups = [{"params": weights, "lr": rate * BASE / inputs, "weight_decay": study.weight_decay}
              for inputs, weights in sorted(by_inputs.items())]  # fmt: skip
    return torch.optim.AdamW([*groups, {"params": others, "lr": rate, "weight_decay": 0.0}], betas=BETAS)


def loss_of(task: Task, model: nn.Module, split: Split) -> float:
    """Nats a token over all windows of a split."""
    tokens = task.examples(split).units["tokens"]
    return float((examine(task, model, split)["loss"] * tokens).sum() / tokens.sum())


def decoded(study: Architecture, work: Work) -> dict[str, float]:
    """Tokens a second of `texts` texts at once, the last of NEW tokens reading `context`; of one thread on a CPU."""
    device = work.on(work.run.device)
    kind = torch.bfloat16 if study.precision == "bfloat16" else torch.float32
    data = Data("bytes", "text", {}, (), vocabulary=257)
    empty = torch.zeros(1, study.context, dtype=torch.int64)
    model = study.model.build(data, empty, torch_stream(work.seed, "init"))
    assert isinstance(model, Gpt)
    model = model.to(device, kind).eval()
    cache = empty_cache(model, study.texts, study.context).normal_()
    tokens = torch.zeros(study.texts, 1, dtype=torch.int64, device=device)

    @torch.inference_mode()
    def run() -> None:
        chosen = tokens
        for begin in range(study.context - NEW, study.context):
            chosen = model(chosen, cache, begin)[:, -1].argmax(-1, keepdim=True)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    spent = fastest(run, time.perf_counter if device.type == "cuda" else time.process_time)
    return {"speed": study.texts * NEW / spent, "milliseconds": 1000 * spent / NEW}


def fastest(run: Callable[[], None], clock: Callable[[], float]) -> float:
    """Seconds of the fastest repeat, on one thread, after one that counts for nothing."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        run()
        spent = []
        for _ in range(REPEATS):
            begin = clock()
            run()
            spent.append(clock() - begin)
        return min(spent)
    finally:
        torch.set_num_threads(threads)
