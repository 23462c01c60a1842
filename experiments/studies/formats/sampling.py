"""Rollouts: solutions that a model samples, verified; and the log-probability of each of their tokens."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional

from ...models.decoding import generate
from ...models.networks.gpt import Gpt
from .task import STOP, Chains, Parsed, answers, length, parse, prompts


@dataclass(frozen=True, slots=True)
class Rollout:
    """B = chains x samples solutions; those of one chain stand beside each other."""

    prompts: Tensor  # (B, P)
    tokens: Tensor  # (B, L) what was sampled, filled with STOP
    mask: Tensor  # (B, L) bool: tokens up to the first STOP, which is one of them
    rewards: Tensor  # (B,) 1 where the answer is right, else 0
    parsed: Parsed
    samples: int  # of each chain

    @property
    def groups(self) -> Tensor:
        """(chains, samples) rewards."""
        return self.rewards.view(-1, self.samples)


@torch.no_grad()
def sample(
    model: Gpt, chains: Chains, *, samples: int, temperature: float, generator: Generator | None = None
) -> Rollout:
    """Sample so many solutions of each chain and verify them; temperature 0: the most likely token, always."""
    asked = torch.from_numpy(prompts(chains)).repeat_interleave(samples, 0)
    most = chains.operands.shape[1]
    tokens = generate(model, asked, length=length(most), temperature=temperature, generator=generator, end=STOP)
    parsed = parse(tokens.numpy())
    right = torch.from_numpy(answers(chains)).repeat_interleave(samples)
    mask = torch.arange(tokens.shape[1]) < torch.from_numpy(parsed.lengths)[:, None]
    longest = int(parsed.lengths.max())
    rewards = (torch.from_numpy(parsed.answers) == right).float()
    return Rollout(asked, tokens[:, :longest], mask[:, :longest], rewards, parsed, samples)


def log_probabilities(model: Gpt, asked: Tensor, tokens: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """(B, L) of each sampled token, and (B, L) the entropy of each token's distribution, at this temperature."""
    logits = model(torch.cat([asked, tokens], 1)[:, :-1])[:, asked.shape[1] - 1 :] / temperature
    every = functional.log_softmax(logits, -1)
    entropy = -(every.exp() * every).sum(-1)
    return every.gather(-1, tokens[..., None])[..., 0], entropy


def mean(values: Tensor, mask: Tensor, loss: str) -> Tensor:
    """The mean of (B, L) values: over all tokens, or over the tokens of each trace and then over traces."""
    if loss == "token":
        return (values * mask).sum() / mask.sum()
    return ((values * mask).sum(1) / mask.sum(1)).mean()
