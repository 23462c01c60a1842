"""The end-to-end version: one transformer, trained on masked tokens or on the latents of its own moving average.

The second is data2vec (arXiv:2202.03555), which arXiv:2605.27734 §5 takes apart: the student sees a masked string, the
teacher, whose weights are a moving average of the student's, sees all of it, and the student regresses the mean of the
teacher's last layers at the masked places. Both targets share the network, the masks, the batches and the schedule.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ...contracts import Indices
from ...seeds import derive, torch_stream
from .settings import Network


class Encoder(nn.Module):
    """Tokens (B, T) to the hidden states (B, T, d) of the embedding and of every layer."""

    def __init__(self, settings: Network, vocabulary: int, length: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary + 1, settings.width)  # the last is the mask
        self.places = nn.Parameter(0.02 * torch.randn(length, settings.width))
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                settings.width, settings.heads, 4 * settings.width, dropout=0.0, activation="gelu", batch_first=True,
                norm_first=True,
            )
            for _ in range(settings.layers)
        )  # fmt: skip

    def forward(self, tokens: Tensor) -> list[Tensor]:
        states = [self.tokens(tokens) + self.places]
        for layer in self.layers:
            states.append(layer(states[-1]))
        return states


def built(settings: Network, vocabulary: int, length: int, seed: int) -> Encoder:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "encoder"))
        return Encoder(settings, vocabulary, length)


def trained(
    settings: Network, tokens: Indices, vocabulary: int, branching: int, target: str, seed: int, device: torch.device
) -> Iterator[tuple[int, float, Encoder]]:
    """(step, mean loss since the last look, the network) at each look, for own latents the teacher; tokens (P, T)."""
    strings = torch.from_numpy(tokens).to(device)
    student = built(settings, vocabulary, strings.shape[1], seed).to(device)
    teacher = copy.deepcopy(student).requires_grad_(False) if target == "latents" else None
    width = settings.width if teacher is not None else vocabulary
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "head"))
        head = nn.Sequential(nn.LayerNorm(settings.width), nn.Linear(settings.width, width)).to(device)
    weights = [*student.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(weights, lr=settings.learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.learning_rate, total_steps=settings.steps, pct_start=0.1, cycle_momentum=False
    )
    draw, every = torch_stream(seed, "batches"), max(1, settings.steps // settings.looks)
    losses = torch.zeros((), device=device)
    for step in range(1, settings.steps + 1):
        rows = torch.randint(len(strings), (settings.batch_size,), generator=draw)
        batch = strings[rows.to(device)]
        masked = masks(settings, len(batch), batch.shape[1], branching, draw).to(device)
        states = student(batch.masked_fill(masked, vocabulary))
        given = head(states[-1][masked])
        if teacher is None:
            loss = nn.functional.cross_entropy(given, batch[masked])
        else:
            with torch.no_grad():
                wanted = teacher_latents(teacher, batch, settings.averaged)[masked]
            loss = nn.functional.smooth_l1_loss(given, wanted)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        schedule.step()
        losses += loss.detach()
        if teacher is not None:
            follow(teacher, student, settings.decay + (settings.last_decay - settings.decay) * step / settings.steps)
        if step % every == 0 or step == settings.steps:
            yield step, float(losses) / every, student if teacher is None else teacher
            losses.zero_()


def masks(settings: Network, number: int, length: int, branching: int, draw: torch.Generator) -> Tensor:
    """(B, T) which tokens are masked: of each string as many whole patches, at random, as make the share."""
    patch = branching**settings.patch
    patches = length // patch
    hidden = min(max(1, round(settings.masked * patches)), patches - 1)
    turns = torch.rand((number, patches), generator=draw).argsort(1)
    chosen: Tensor = (turns < hidden).repeat_interleave(patch, dim=1)
    return chosen


def teacher_latents(teacher: Encoder, tokens: Tensor, averaged: int) -> Tensor:
    """(B, T, d) the mean of the last layers, each normalised over its features and then over the batch."""
    states = [nn.functional.layer_norm(one, one.shape[-1:]) for one in teacher(tokens)[-averaged:]]
    mean = torch.stack(states).mean(0)
    latents: Tensor = (mean - mean.mean((0, 1))) / (mean.std((0, 1)) + 1e-3)
    return latents


@torch.no_grad()
def follow(teacher: Encoder, student: Encoder, decay: float) -> None:
    """Move the teacher's weights a little toward the student's."""
    for own, other in zip(teacher.parameters(), student.parameters(), strict=True):
        own.lerp_(other, 1 - decay)
