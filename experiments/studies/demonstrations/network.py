"""A transformer that learns from labelled examples in its context (as TabPFN, arXiv:2207.01848), and its training."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from ...contracts import Work
from ...store import checkpoints

EVERY = 250  # steps between checkpoints
WARMUP = 100  # steps
Model = TypeVar("Model", bound=nn.Module)


class Block(nn.Module):
    """Attention and two layers, each after a norm."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm, self.feedforward_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.projections = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.feedforward = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, hidden: Tensor, seen: Tensor) -> Tensor:
        batch, length, width = hidden.shape
        projected = self.projections(self.attention_norm(hidden))
        query, key, value = projected.view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=seen)
        hidden = hidden + self.out(mixed.transpose(1, 2).reshape(batch, length, width))
        deeper: Tensor = hidden + self.feedforward(self.feedforward_norm(hidden))
        return deeper


class InContext(nn.Module):
    """Labelled examples see each other, in no order; a query sees them and itself. No weight changes at test time."""

    def __init__(self, features: int, labels: int, outputs: int, *, width: int, depth: int, heads: int = 4) -> None:
        super().__init__()
        self.inputs, self.labels = nn.Linear(features, width), nn.Linear(labels, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, outputs)

    def forward(self, examples: Tensor, labels: Tensor, queries: Tensor) -> Tensor:
        """(B, K, outputs) at queries (B, K, d), from examples (B, C, d) with labels (B, C, labels)."""
        number, asked = examples.shape[1], queries.shape[1]
        hidden = torch.cat([self.inputs(examples) + self.labels(labels), self.inputs(queries)], 1)
        seen = torch.eye(number + asked, dtype=torch.bool, device=hidden.device)
        seen[:, :number] = True
        for block in self.blocks:
            hidden = block(hidden, seen)
        found: Tensor = self.head(self.norm(hidden[:, number:]))
        return found


def in_context(init: Generator, *, features: int, labels: int, outputs: int, width: int, depth: int) -> InContext:
    """With weights of normal(0, 1 / root of fan-in), and half of that where a residual branch ends."""
    model = InContext(features, labels, outputs, width=width, depth=depth)
    for name, weight in model.named_parameters():
        if weight.ndim == 2:
            ends = name.endswith(("out.weight", "feedforward.2.weight"))
            nn.init.normal_(weight, 0, weight.shape[1] ** -0.5 * (0.5 if ends else 1), generator=init)
        elif name.endswith("bias"):
            nn.init.zeros_(weight)
    return model


def fitted(
    model: Model, loss: Callable[[Model, int], Tensor], *, steps: int, rate: float, work: Work, share: float
) -> Model:
    """The model after AdamW steps on the loss of (model, step); continued from its last checkpoint where it was killed.

    The rate rises over the first steps and falls along a cosine. `share`: of the run's progress.
    """
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.01)
    file, start = work.resume / "training.pt", 0
    if (saved := checkpoints.read(file, work.notify)) is not None:
        with checkpoints.taken(file):
            model.load_state_dict(saved["model"])
            optimizer.load_state_dict(saved["optimizer"])
            start = saved["step"]
    for step in range(start, steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1, (step + 1) / WARMUP) * 0.5 * (1 + math.cos(math.pi * step / steps))
        optimizer.zero_grad(set_to_none=True)
        loss(model, step).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if (step + 1) % EVERY == 0 or step + 1 == steps:
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1}
            checkpoints.write(file, state)
            work.notify("", share * (step + 1) / steps)
    return model.eval()
