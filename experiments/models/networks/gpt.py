"""A small decoder-only transformer: RMSNorm before each part, rotary or learned positions, tied by choice.

Query heads may share keys and values (grouped-query attention, arXiv:2305.13245), and a head's size is apart from the
width; the MLP is of ReLU units or SwiGLU (arXiv:2002.05202).
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional


class Attention(nn.Module):
    """Causal self-attention over (B, T, W); each key head serves heads / kv_heads query heads of `size` numbers."""

    def __init__(self, width: int, heads: int, kv_heads: int, size: int) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.size = heads, kv_heads, size
        self.projections = nn.Linear(width, (heads + 2 * kv_heads) * size, bias=False)
        self.out = nn.Linear(heads * size, width, bias=False)

    def forward(self, hidden: Tensor, rotation: tuple[Tensor, Tensor] | None, cache: Tensor | None = None) -> Tensor:
        """`cache` (2, B, kv_heads, S, size) has keys and values of S - T earlier tokens, and takes those of these T."""
        batch, length, _ = hidden.shape
        parts = self.projections(hidden).view(batch, length, -1, self.size).transpose(1, 2)
        query, key, value = parts.split((self.heads, self.kv_heads, self.kv_heads), 1)  # (B, heads, T, size)
        if rotation is not None:
            query, key = rotate(query, *rotation), rotate(key, *rotation)
        if cache is not None:
            cache[0, :, :, -length:], cache[1, :, :, -length:] = key, value
            key, value = cache
        mixed = attend(query, key, value).transpose(1, 2)
        projected: Tensor = self.out(mixed.reshape(batch, length, self.heads * self.size))
        return projected


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Causal attention of (B, heads, T, D) to keys and values (B, kv_heads, T, D), or of the last token alone to all.

    Written out for bfloat16 on a CPU: PyTorch's kernel is 5 times slower.
    """
    batch, heads, length, size = query.shape
    kv_heads = key.shape[1]
    if length == 1:  # no mask, and one product for the queries that share a key
        together = query.reshape(batch, kv_heads, heads // kv_heads, size)
        return functional.scaled_dot_product_attention(together, key, value).reshape(query.shape)
    if query.device.type != "cpu" or query.dtype != torch.bfloat16:
        grouped = heads != kv_heads
        return functional.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=grouped)
    query = (query * size**-0.5).reshape(batch * kv_heads, -1, size)  # (B kv_heads, heads / kv_heads T, D)
    later = query.new_full((length, length), -torch.inf).triu(1).repeat(heads // kv_heads, 1)
    scores = torch.baddbmm(later, query, key.flatten(0, 1).transpose(1, 2))
    mixed: Tensor = scores.softmax(-1) @ value.flatten(0, 1)
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


class SwiGlu(nn.Module):
    """silu(x G) * (x V), projected back (arXiv:2002.05202, equation 6)."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.projections = nn.Linear(width, 2 * inner, bias=False)
        self.out = nn.Linear(inner, width, bias=False)

    def forward(self, hidden: Tensor) -> Tensor:
        gate, value = self.projections(hidden).chunk(2, dim=-1)
        projected: Tensor = self.out(functional.silu(gate) * value)
        return projected


def feedforward(width: int, inner: int, mlp: str) -> nn.Module:
    """The MLP of a layer, with `inner` hidden units."""
    if mlp == "swiglu":
        return SwiGlu(width, inner)
    return nn.Sequential(nn.Linear(width, inner, bias=False), nn.ReLU(), nn.Linear(inner, width, bias=False))


class Layer(nn.Module):
    def __init__(self, width: int, attention: Attention, mlp: nn.Module) -> None:
        super().__init__()
        self.attention_norm = Norm(width)
        self.attention = attention
        self.feedforward_norm = Norm(width)
        self.feedforward = mlp

    def forward(self, hidden: Tensor, rotation: tuple[Tensor, Tensor] | None, cache: Tensor | None = None) -> Tensor:
        hidden = hidden + self.attention(self.attention_norm(hidden), rotation, cache)
        deeper: Tensor = hidden + self.feedforward(self.feedforward_norm(hidden))
        return deeper


class Gpt(nn.Module):
    """(B, T) tokens to (B, T, vocabulary) logits of the next token."""

    def __init__(
        self, vocabulary: int, context: int, *, width: int, depth: int, heads: int, positions: str, tied: bool,
        kv_heads: int, head_size: int, mlp: str, inner: int,
    ) -> None:  # fmt: skip
        super().__init__()
        self.context = context
        self.embedding = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(context, width) if positions == "learned" else None
        self.layers = nn.ModuleList(
            Layer(width, Attention(width, heads, kv_heads, head_size), feedforward(width, inner, mlp))
            for _ in range(depth)
        )
        self.norm = Norm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        if tied:
            self.head.weight = self.embedding.weight
        cosine, sine = rotary_tables(context, head_size)
        self.register_buffer("cosine", cosine, persistent=False)
        self.register_buffer("sine", sine, persistent=False)

    def forward(self, tokens: Tensor, cache: Tensor | None = None, begin: int = 0) -> Tensor:
        """`cache` (layers, 2, B, kv_heads, S, size) has keys and values of `begin` tokens before these."""
        assert begin == 0 or tokens.shape[1] == 1, "after the first tokens the next come one by one"
        place = slice(begin, begin + tokens.shape[1])
        hidden = self.embedding(tokens)
        rotation = None
        if self.positions is None:
            rotation = (self.get_buffer("cosine")[place], self.get_buffer("sine")[place])
        else:
            hidden = hidden + self.positions.weight[place]
        for number, layer in enumerate(self.layers):
            hidden = layer(hidden, rotation, None if cache is None else cache[number, ..., : place.stop, :])
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
    kv_heads: int | None = None,
    head_size: int | None = None,
    mlp: str = "relu",
    mlp_ratio: float = 4.0,
) -> Gpt:
    """A GPT with normal(0, 0.02) weights; those that end a residual branch are smaller by the root of 2 depth."""
    model = Gpt(
        vocabulary, context, width=width, depth=depth, heads=heads, positions=positions, tied=tied, mlp=mlp,
        kv_heads=kv_heads or heads, head_size=head_size or width // heads, inner=round(mlp_ratio * width),
    )  # fmt: skip
    for name, weight in model.named_parameters():
        if weight.ndim == 2:
            ends = name.endswith(("out.weight", "feedforward.2.weight"))
            nn.init.normal_(weight, 0, 0.02 / ((2 * depth) ** 0.5 if ends else 1), generator=init)
    return model
