"""A small decoder-only transformer: RMSNorm before each part, rotary or learned positions, tied by choice."""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional


class Attention(nn.Module):
    """Causal self-attention over (B, T, D)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.projections = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, hidden: Tensor, rotation: tuple[Tensor, Tensor] | None) -> Tensor:
        batch, length, width = hidden.shape
        shape = (batch, length, 3, self.heads, width // self.heads)
        query, key, value = self.projections(hidden).view(shape).permute(2, 0, 3, 1, 4)  # (B, heads, T, D / heads)
        if rotation is not None:
            query, key = rotate(query, *rotation), rotate(key, *rotation)
        mixed = attend(query, key, value).transpose(1, 2)
        projected: Tensor = self.out(mixed.reshape(batch, length, width))
        return projected


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Causal attention over (B, heads, T, D). Written out for bfloat16 on a CPU: PyTorch's kernel is 5 times slower."""
    if query.device.type != "cpu" or query.dtype != torch.bfloat16:
        return functional.scaled_dot_product_attention(query, key, value, is_causal=True)
    batch, heads, length, size = query.shape
    query, key, value = (part.flatten(0, 1) for part in (query * size**-0.5, key, value))
    later = query.new_full((length, length), -torch.inf).triu(1)
    scores = torch.baddbmm(later, query, key.transpose(1, 2))  # (B heads, T, T)
    mixed: Tensor = scores.softmax(-1) @ value
    return mixed.view(batch, heads, length, size)


class Norm(nn.Module):
    """RMSNorm (arXiv:1910.07467), as a norm and two products: `nn.RMSNorm` takes twice as long on a CPU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, hidden: Tensor) -> Tensor:
        norm = torch.linalg.vector_norm(hidden, dim=-1, keepdim=True)
        normed: Tensor = hidden * (hidden.shape[-1] ** 0.5 / (norm + 1e-6)) * self.weight
        return normed


class Layer(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention_norm = Norm(width)
        self.attention = Attention(width, heads)
        self.feedforward_norm = Norm(width)
        self.feedforward = nn.Sequential(
            nn.Linear(width, 4 * width, bias=False), nn.ReLU(), nn.Linear(4 * width, width, bias=False)
        )

    def forward(self, hidden: Tensor, rotation: tuple[Tensor, Tensor] | None) -> Tensor:
        hidden = hidden + self.attention(self.attention_norm(hidden), rotation)
        deeper: Tensor = hidden + self.feedforward(self.feedforward_norm(hidden))
        return deeper


class Gpt(nn.Module):
    """(B, T) tokens to (B, T, vocabulary) logits of the next token."""

    def __init__(
        self, vocabulary: int, context: int, *, width: int, depth: int, heads: int, positions: str, tied: bool
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(context, width) if positions == "learned" else None
        self.layers = nn.ModuleList(Layer(width, heads) for _ in range(depth))
        self.norm = Norm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        if tied:
            self.head.weight = self.embedding.weight
        cosine, sine = rotary_tables(context, width // heads)
        self.register_buffer("cosine", cosine, persistent=False)
        self.register_buffer("sine", sine, persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        length = tokens.shape[1]
        hidden = self.embedding(tokens)
        rotation = None
        if self.positions is None:
            rotation = (self.get_buffer("cosine")[:length], self.get_buffer("sine")[:length])
        else:
            hidden = hidden + self.positions.weight[:length]
        for layer in self.layers:
            hidden = layer(hidden, rotation)
        logits: Tensor = self.head(self.norm(hidden))
        return logits


def rotary_tables(context: int, size: int) -> tuple[Tensor, Tensor]:
    """Cosine and sine (T, size / 2) of the rotary angles (arXiv:2104.09864)."""
    frequency = 10_000.0 ** (-torch.arange(0, size, 2) / size)
    angle = torch.arange(context)[:, None] * frequency
    return angle.cos(), angle.sin()


def rotate(vectors: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotate pairs of halves of (B, heads, T, D) by the position's angle."""
    first, second = vectors.chunk(2, dim=-1)
    return torch.cat([first * cosine - second * sine, first * sine + second * cosine], dim=-1).type_as(vectors)


def gpt(
    init: Generator,
    *,
    vocabulary: int,
    context: int,
    width: int,
    depth: int,
    heads: int,
    positions: str,
    tied: bool,
) -> Gpt:
    """A GPT with normal(0, 0.02) weights; those that end a residual branch are smaller by the root of 2 depth."""
    model = Gpt(vocabulary, context, width=width, depth=depth, heads=heads, positions=positions, tied=tied)
    for name, weight in model.named_parameters():
        if weight.ndim == 2:
            ends = name.endswith(("out.weight", "feedforward.2.weight"))
            nn.init.normal_(weight, 0, 0.02 / ((2 * depth) ** 0.5 if ends else 1), generator=init)
    return model
