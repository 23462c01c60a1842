"""Decoding with a cache: each new token reads the stored keys and values of those before it."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from ..errors import ConfigError
from .networks.gpt import Attention, Gpt


@torch.no_grad()
def generate(
    model: Gpt,
    prompts: Tensor,
    *,
    length: int,
    temperature: float = 0.0,
    generator: Generator | None = None,
    end: int | None = None,
) -> Tensor:
    """(B, P) int64 prompts of one length to (B, length) int64 new tokens; ConfigError where the context is too short.

    Temperature 0 takes the most likely token, any other draws from softmax(logits / temperature) by `generator`. After
    the token `end` a row is filled with `end`, and decoding stops early when every row has ended.
    """
    batch, given = prompts.shape
    _check(model, given, length, temperature, generator)
    cache = empty_cache(model, batch, given + length - 1)  # nothing reads the keys of the last token
    chosen = prompts.new_full((batch, length), 0 if end is None else end)
    ended = torch.zeros(batch, dtype=torch.bool, device=prompts.device)
    tokens, begin = prompts, 0
    for step in range(length):
        logits = model(tokens, cache, begin)[:, -1]  # (B, vocabulary)
        begin += tokens.shape[1]
        tokens = choose(logits, temperature, generator)
        if end is not None:
            tokens = tokens.masked_fill(ended[:, None], end)
            ended |= tokens[:, 0] == end
        chosen[:, step : step + 1] = tokens
        if end is not None and ended.all():
            break
    return chosen


def empty_cache(model: Gpt, batch: int, length: int) -> Tensor:
    """(layers, 2, B, kv_heads, length, size): room for the keys and values of every layer."""
    attention, weight = model.layers[0].attention, model.embedding.weight
    assert isinstance(attention, Attention)
    shape = (len(model.layers), 2, batch, attention.kv_heads, length, attention.size)
    return torch.empty(shape, dtype=weight.dtype, device=weight.device)


def choose(logits: Tensor, temperature: float, generator: Generator | None) -> Tensor:
    """(B, 1) the next tokens, of (B, vocabulary) logits."""
    if temperature == 0:
        return logits.argmax(-1, keepdim=True)
    return torch.multinomial((logits.float() / temperature).softmax(-1), 1, generator=generator)


def _check(model: Gpt, given: int, length: int, temperature: float, generator: Generator | None) -> None:
    if given < 1 or length < 1:
        raise ConfigError(f"decoding {length} tokens after prompts of {given} tokens: both must be 1 or more")
    if given + length - 1 > model.context:
        raise ConfigError(
            f"prompts of {given} tokens and {length} new ones are more than the model's context of {model.context}",
            f"length={model.context + 1 - given}" if given <= model.context else "shorter prompts",
        )
    if not 0 <= temperature < float("inf"):
        raise ConfigError(f"temperature={temperature} must be 0 or a positive number")
    if temperature > 0 and generator is None:
        raise ConfigError(f"temperature={temperature} draws at random, and there is no generator", "generator=...")
