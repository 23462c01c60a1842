"""scorer=continuation: how much of a window a proxy that was trained on it cannot continue by heart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from ..choices import choice
from ..contracts import IGNORED, Batch, Evidence, Floats, ScorerChoice, Task
from .evidence import Proxies, of_text

if TYPE_CHECKING:
    from torch import Tensor, nn


@choice("scorer", "continuation", source="memorization, arXiv:2309.04564")
class Continuation(ScorerChoice):
    """One minus the share of a window's tokens that a greedy continuation hits in their place.

    The paper's memorization is that share; here higher is harder, so what is known by heart scores 0.
    """

    prompt: Annotated[float, Field(gt=0, lt=1)] = 0.5  # share of the window's tokens that is given
    proxies: Proxies = 1  # models that are trained to judge the examples

    def fits(self, run: Any) -> None:
        of_text(self.name, run)

    def score(self, evidence: Evidence) -> Floats:
        import torch

        from ..models.outputs import BATCH, evaluating, place

        task, rows = evidence.task, []
        for proxy in evidence.proxies:
            assert proxy.held_out is None, "memorization is of what a proxy was trained on"
            found: dict[str, Floats] = {}
            with evaluating(proxy.model), torch.inference_mode():
                for batch in task.batches("train", size=BATCH[task.kind]):
                    values = {"missed": missed(task, proxy.model, batch, self.prompt)}
                    place(found, batch, values, task.size("train"))
            rows.append(found["missed"])
        return np.stack(rows)


def missed(task: Task, model: nn.Module, batch: Batch, prompt: float) -> Tensor:
    """(B,) share of the continued tokens that are not the window's own.

    The first `prompt` of a window's targets is given, rounded down; from there every token that the model finds
    likeliest is what it continues from, right or wrong. All windows are run together, one forward pass a token. What
    stands before the first target, as a question does, is given.
    """
    import torch

    target = batch.targets != IGNORED  # (B, T)
    lengths = target.sum(1)
    given = (lengths * prompt).long()
    continued = target & (target.cumsum(1) > given[:, None])
    tokens = batch.inputs.clone()  # (B, T); the token at t + 1 is the target at t
    hits = torch.zeros_like(lengths)
    for t in continued.any(0).nonzero()[:, 0].tolist():
        seen = Batch(batch.index, tokens[:, : t + 1], batch.targets[:, : t + 1])
        likeliest = task.outputs(model, seen)[:, -1].argmax(-1)
        hits += (likeliest == batch.targets[:, t]) & continued[:, t]
        if t + 1 < tokens.shape[1]:
            tokens[:, t + 1] = torch.where(continued[:, t], likeliest, tokens[:, t + 1])
    share: Tensor = 1 - hits / (lengths - given)
    return share
