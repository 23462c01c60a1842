"""The language model's shapes: what was published stays as it is, and the settings that came later do what they say."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torch.nn import functional

from prune_lab.experiments.models.gpt import Gpt as Choice
from prune_lab.experiments.models.networks.gpt import Gpt, attend, gpt
from prune_lab.experiments.seeds import torch_stream

SIZES: dict[str, Any] = {"vocabulary": 50, "context": 24, "width": 32, "depth": 2, "heads": 4}
PUBLISHED = {  # before kv_heads, head_size, mlp, mlp_ratio: hash of names and weights, mean square of logits
    ("rotary", True): ("34e34a1b636e927f", 0.0184520818),
    ("rotary", False): ("891cd91796397c91", 0.0118084196),
    ("learned", True): ("094d90df19a21637", 0.0159980766),
    ("learned", False): ("37022b27ec251783", 0.0120938616),
}
SHAPES: dict[str, dict[str, Any]] = {
    "grouped": {"kv_heads": 2},
    "one key head": {"kv_heads": 1, "positions": "learned"},
    "narrow heads": {"head_size": 4, "mlp": "swiglu"},
    "wide heads": {"head_size": 16, "kv_heads": 2, "mlp": "swiglu", "mlp_ratio": 1.5},
}


def model(**changes: Any) -> Gpt:
    return gpt(torch_stream(3, "init"), **{**SIZES, "positions": "rotary", "tied": True, **changes})


def tokens(length: int = 24) -> Tensor:
    return torch.randint(0, 50, (3, length), generator=torch_stream(1, "tokens"))


@pytest.mark.parametrize(("positions", "tied"), PUBLISHED)
def test_a_published_model_has_its_names_its_first_weights_and_its_outputs(positions: str, tied: bool) -> None:
    digest, square = PUBLISHED[positions, tied]
    found = gpt(torch.Generator().manual_seed(3), **SIZES, positions=positions, tied=tied)
    named = b"".join(name.encode() + weight.numpy().tobytes() for name, weight in found.state_dict().items())
    assert hashlib.sha256(named).hexdigest()[:16] == digest
    assert float(found(torch.arange(24)[None]).detach().square().mean()) == pytest.approx(square, rel=1e-5)


@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_is_causal_and_starts_small(name: str) -> None:
    found, text = model(**SHAPES[name]), tokens()
    later = text.clone()
    later[:, 12:] += 1
    before, after = found(text), found(later % 50)
    torch.testing.assert_close(before[:, :12], after[:, :12])
    assert not torch.allclose(before[:, 12:], after[:, 12:])
    ends = [weight for name, weight in found.named_parameters() if name.endswith("out.weight")]
    assert all(float(weight.detach().std()) == pytest.approx(0.01, rel=0.2) for weight in ends)


def test_a_shared_key_head_is_as_many_equal_heads() -> None:
    generator = torch_stream(0, "vectors")
    query = torch.randn(2, 6, 5, 4, generator=generator)
    key, value = (torch.randn(2, 3, 5, 4, generator=generator) for _ in range(2))
    many = (part.repeat_interleave(2, 1) for part in (key, value))
    expected = functional.scaled_dot_product_attention(query, *many, is_causal=True)
    torch.testing.assert_close(attend(query, key, value), expected)
    torch.testing.assert_close(attend(query[:, :, -1:], key, value), expected[:, :, -1:])
    rough = attend(query.bfloat16(), key.bfloat16(), value.bfloat16())
    torch.testing.assert_close(rough.float(), expected, atol=0.04, rtol=0.04)


def test_the_settings_reach_the_network() -> None:
    chosen = Choice(width=24, heads=6, kv_heads=2, head_size=8, mlp="swiglu", mlp_ratio=1.25, depth=1)

    class Data:
        vocabulary = 10

    found = chosen.build(Data(), tokens(), torch_stream(0, "init"))  # type: ignore[arg-type]
    shapes = {name: tuple(weight.shape) for name, weight in found.named_parameters() if "layers" in name}
    assert shapes == {
        "layers.0.attention_norm.weight": (24,),
        "layers.0.attention.projections.weight": (6 * 8 + 2 * 2 * 8, 24),
        "layers.0.attention.out.weight": (24, 48),
        "layers.0.feedforward_norm.weight": (24,),
        "layers.0.feedforward.projections.weight": (60, 24),
        "layers.0.feedforward.out.weight": (24, 30),
    }


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"width": 30, "heads": 4}, "model.width=30 must be a multiple of 2 x model.heads=4"),
        ({"width": 32, "heads": 4, "kv_heads": 3}, "model.heads=4 must be a multiple of model.kv_heads=3"),
        ({"head_size": 7}, "model.head_size=7 must be even"),
        ({"width": 8, "heads": 1, "mlp_ratio": 0.05}, "no hidden unit"),
    ],
)
def test_a_shape_that_cannot_be_is_refused_with_the_reason(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        Choice(**settings)
