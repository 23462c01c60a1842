"""Decoding with a cache says what the whole forward pass says."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from prune_lab.experiments.errors import ConfigError
from prune_lab.experiments.models.decoding import choose, empty_cache, generate
from prune_lab.experiments.models.networks.gpt import Gpt
from prune_lab.experiments.seeds import torch_stream

from .test_gpt import SHAPES, model, tokens

MODELS: list[dict[str, Any]] = [{}, {"positions": "learned", "tied": False}, *SHAPES.values()]


def sharp(changes: dict[str, Any]) -> Gpt:
    """A model with larger weights, whose likely tokens differ from place to place."""
    found = model(**changes)
    with torch.no_grad():
        for weight in found.parameters():
            if weight.ndim == 2:
                weight *= 8
    return found


def uncached(found: Gpt, prompts: Tensor, length: int, temperature: float = 0.0, seed: int = 0) -> Tensor:
    """(B, length) new tokens, the whole text read again for each."""
    text, draw = prompts, torch_stream(seed, "draws")
    for _ in range(length):
        text = torch.cat([text, choose(found(text)[:, -1], temperature, draw)], 1)
    return text[:, prompts.shape[1] :]


@pytest.mark.parametrize("changes", MODELS)
def test_the_cache_gives_the_same_logits_and_the_same_tokens(changes: dict[str, Any]) -> None:
    found, text = sharp(changes), tokens()
    whole, cache = found(text), empty_cache(found, 3, 24)
    pieces = [found(text[:, :10], cache), *(found(text[:, place, None], cache, place) for place in range(10, 24))]
    torch.testing.assert_close(torch.cat(pieces, 1), whole, atol=1e-5, rtol=1e-5)
    greedy = generate(found, text[:, :9], length=16)  # as many as the context holds
    assert greedy.tolist() == uncached(found, text[:, :9], 16).tolist()
    assert len(greedy.unique()) > 3
    drawn = generate(found, text[:, :9], length=16, temperature=1.5, generator=torch_stream(7, "draws"))
    assert drawn.tolist() == uncached(found, text[:, :9], 16, 1.5, seed=7).tolist()
    assert not torch.equal(drawn, greedy)


def test_a_row_that_has_ended_is_filled_and_decoding_stops_when_all_have() -> None:
    found, prompts = sharp({}), tokens(4)
    free = generate(found, prompts, length=12)
    end = int(free[0, 2])
    ended = generate(found, prompts, length=12, end=end)
    for row, expected in zip(ended.tolist(), free.tolist(), strict=True):
        place = expected.index(end) if end in expected else 11
        assert row[: place + 1] == expected[: place + 1]
        assert set(row[place + 1 :]) <= {end}
    calls: list[int] = []
    found.register_forward_pre_hook(lambda _, inputs: calls.append(inputs[0].shape[1]))
    generate(found, prompts[:1], length=12, end=end)
    assert calls == [4, *[1] * free[0].tolist().index(end)]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"length": 22}, "more than the model's context of 24"),
        ({"length": 0}, "both must be 1 or more"),
        ({"temperature": -1.0}, "must be 0 or a positive number"),
        ({"temperature": float("nan")}, "must be 0 or a positive number"),
        ({"temperature": 0.5}, "there is no generator"),
    ],
)
def test_what_cannot_be_decoded_is_refused_with_the_reason(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        generate(model(), tokens(4), **{"length": 2, **changes})
