"""The base: the lab's own GPT, trained from scratch on the corpus by the lab's own loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Generator, Tensor

from ...contracts import Indices, Policy, TrainingRun, Work
from ...data.task import DeviceTask
from ...models.networks.gpt import Gpt, gpt
from ...seeds import torch_stream
from ...store import checkpoints
from ...training.begin import state_of
from ...training.recipes import Recipe, plan
from ...training.run import fit
from .choosing import policy_of
from .corpus import Corpus, data_of

if TYPE_CHECKING:
    from . import Formats

WARMUP = 100  # steps
WIDE = 0.02  # deviation of the weights of a GPT as it begins, which is for wide ones


class ByTokens:
    """A policy of the lab, times the number of each example's tokens, so that a long solution weighs more.

    The loss of an example is the mean of its tokens; under uniform weights that of a batch is so the mean of all its
    tokens. `taken` is filled with the weights of each step, over their sum.
    """

    def __init__(self, tokens: Indices, policy: Policy, taken: list[Tensor] | None = None) -> None:
        self.tokens, self.policy, self.taken = torch.from_numpy(tokens).float(), policy, taken

    def visited(self, epoch: int, progress: float) -> Indices | None:
        return self.policy.visited(epoch, progress)

    def weights(self, step: int, index: Tensor) -> Tensor:
        found = self.tokens[index] * self.policy.weights(step, index)
        if self.taken is not None:
            self.taken.append(found / found.sum())
        return found

    def observe(self, step: int, index: Tensor, losses: Tensor) -> None:
        self.policy.observe(step, index, losses)

    def state(self) -> dict[str, Tensor]:
        return self.policy.state() | {f"step_{step}": row for step, row in enumerate(self.taken or [])}

    def restore(self, state: dict[str, Tensor]) -> None:
        self.policy.restore(state)
        if self.taken is not None:
            self.taken[:] = [state[f"step_{step}"] for step in range(sum(name.startswith("step_") for name in state))]


def task_of(study: Formats, of: Corpus, dev: Corpus, device: torch.device) -> DeviceTask:
    """The corpus as a task of the lab, and the model of this study's size: weights of deviation 1 / sqrt(width)."""

    def architecture(examples: Tensor, init: Generator) -> Gpt:
        model = gpt(init, vocabulary=data.vocabulary, context=examples.shape[1] + 1, width=study.width,
                    depth=study.depth, heads=study.heads, positions="learned", tied=False)  # fmt: skip
        with torch.no_grad():
            for weight in model.parameters():
                if weight.ndim == 2:
                    weight.mul_(study.width**-0.5 / WIDE)
        return model

    data = data_of(of, dev)
    return DeviceTask(data, architecture, device=device)


def recipe_of(study: Formats) -> Recipe:
    """AdamW with a short rise and a cosine to zero."""
    return Recipe(
        optimizer="adamw", learning_rate=study.learning_rate, weight_decay=0.01, batch_size=study.batch_size,
        steps=study.steps, schedule="cosine", warmup=min(0.5, WARMUP / study.steps), clip=study.clip or None,
        precision="float32",
    )  # fmt: skip


def pretrained(
    study: Formats, task: DeviceTask, work: Work, share: float, *, kept: Indices | None = None, name: str = "base",
    seed: int | None = None, stop: float | None = None, taken: list[Tensor] | None = None,
) -> Gpt:  # fmt: skip
    """The base of this seed, or a proxy of another; on the kept rows (None: all), for as many steps whatever is kept.

    It goes on from a checkpoint, and takes the first `share` of the run's progress. `stop`: the share of the schedule
    after which it ends. `taken` is filled with the weights of each step's examples, which sum to one.
    """
    recipe, size, seed = recipe_of(study), task.size("train"), work.seed if seed is None else seed
    visited = size if kept is None else len(kept)
    duration = plan(size, visited, batch_size=recipe.batch_size, budget="steps", steps=recipe.steps, stop_share=stop)
    model = task.model(torch_stream(seed, "init"))
    assert isinstance(model, Gpt)
    whole = work.resume / f"{name}.checkpoint"
    if (done := checkpoints.read(whole, work.notify, task.device)) is not None:
        with checkpoints.taken(whole):
            model.load_state_dict(done["model"])
            if taken is not None:
                taken[:] = done["taken"]
        return model.eval()
    training = TrainingRun(task, model, kept, seed, recipe.batch_size, torch.float32, {}, work.decide)
    policy = ByTokens(task.examples("train").units["tokens"], policy_of(study).build(training), taken)
    fit(
        task, state_of(model, recipe, duration.steps), policy, duration, seed=seed,
        batch_size=recipe.batch_size, precision=torch.float32, clip=recipe.clip,
        checkpoint=work.resume / f"{name}.pretraining",
        notify=lambda sentence, done: work.notify(sentence, share * done),
    )  # fmt: skip
    checkpoints.write(whole, {"model": model.state_dict(), "taken": taken})
    return model.eval()
