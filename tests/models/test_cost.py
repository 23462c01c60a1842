"""Counted parameters and operations are those of the modules."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from prune_lab.experiments.models.cost import (
    cache_size,
    decoding_flops,
    parameters,
    training_flops,
)
from prune_lab.experiments.models.decoding import empty_cache
from prune_lab.experiments.models.gpt import Gpt as Choice
from prune_lab.experiments.models.networks.gpt import Gpt
from prune_lab.experiments.seeds import torch_stream

CONTEXT, VOCABULARY = 12, 20
SHAPES: list[dict[str, Any]] = [
    {"width": 16, "heads": 2},
    {"width": 24, "heads": 6, "kv_heads": 2, "head_size": 8, "mlp": "swiglu", "mlp_ratio": 1.3, "depth": 3},
    {"width": 16, "heads": 4, "kv_heads": 1, "positions": "learned", "tied": False, "mlp_ratio": 2.0},
]


def built(shape: dict[str, Any]) -> tuple[Choice, Gpt]:
    class Data:
        vocabulary = VOCABULARY

    choice = Choice(**shape)
    tokens = torch.zeros(1, CONTEXT, dtype=torch.int64)
    model = choice.build(Data(), tokens, torch_stream(0, "init"))  # type: ignore[arg-type]
    assert isinstance(model, Gpt)
    return choice, model


@pytest.mark.parametrize("shape", SHAPES)
def test_parameters_are_those_of_the_modules(shape: dict[str, Any]) -> None:
    choice, model = built(shape)
    counts = parameters(choice, VOCABULARY, CONTEXT)
    sizes = {name: weight.numel() for name, weight in model.named_parameters()}
    assert counts.total == sum(sizes.values())
    assert counts.body == sum(size for name, size in sizes.items() if name.startswith(("layers", "norm")))
    mlp, attention = (
        sum(size for name, size in sizes.items() if part in name) for part in ("feedforward.", "attention.")
    )
    assert (counts.mlp, counts.attention) == (mlp, attention)
    assert counts.ratio == mlp / attention


@pytest.mark.parametrize("shape", SHAPES)
def test_operations_are_those_that_torch_counts(shape: dict[str, Any]) -> None:
    choice, model = built(shape)
    tokens = torch.zeros(3, CONTEXT, dtype=torch.int64)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(tokens).sum().backward()
    assert counter.get_total_flops() == tokens.numel() * training_flops(choice, VOCABULARY, CONTEXT)
    cache = empty_cache(model, 3, CONTEXT)
    assert cache[:, :, 0, :, 0].numel() == cache_size(choice)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(tokens[:, -1:], cache, CONTEXT - 1)
    assert counter.get_total_flops() == 3 * decoding_flops(choice, VOCABULARY, CONTEXT)
