"""What a GPT costs: its parameters, and the floating-point operations of training and of decoding a token.

A multiplication and an addition are two operations; only matrix products are counted. Attention is counted as computed
over a whole context, though a causal mask leaves half of it unused.
"""

from __future__ import annotations

from dataclasses import dataclass

from .gpt import Gpt


@dataclass(frozen=True, slots=True)
class Parameters:
    attention: int
    mlp: int
    norms: int
    embeddings: int  # of tokens and learned positions, and the head where it is not tied

    @property
    def body(self) -> int:
        """N of the scaling laws: all but the embeddings."""
        return self.attention + self.mlp + self.norms

    @property
    def total(self) -> int:
        return self.body + self.embeddings

    @property
    def ratio(self) -> float:
        """r of arXiv:2510.18245: parameters of the MLP / of attention."""
        return self.mlp / self.attention


def parameters(model: Gpt, vocabulary: int, context: int) -> Parameters:
    """The number of weights of a model for so many tokens and windows of `context` tokens."""
    keys = model.kv_heads or model.heads
    attention = model.width * 2 * (model.heads + keys) * _head_size(model)
    inner = round(model.mlp_ratio * model.width)
    mlp = (3 if model.mlp == "swiglu" else 2) * model.width * inner
    rows = (1 if model.tied else 2) * vocabulary + (context if model.positions == "learned" else 0)
    return Parameters(
        model.depth * attention, model.depth * mlp, (2 * model.depth + 1) * model.width, rows * model.width
    )


def training_flops(model: Gpt, vocabulary: int, context: int) -> int:
    """Of one token in a window of `context`: three times the forward pass, as backward takes two products for one."""
    return 3 * decoding_flops(model, vocabulary, context)


def decoding_flops(model: Gpt, vocabulary: int, context: int) -> int:
    """Of one new token that reads `context` tokens, itself among them; averaged over a text, half of its length.

    Twice the weights of the layers and the head, and for each layer the products of queries and keys and of weights and
    values (arXiv:2510.18245, appendix K, which counts the average over a text and leaves out the head).
    """
    counts = parameters(model, vocabulary, context)
    products = counts.attention + counts.mlp + vocabulary * model.width
    return 2 * products + 4 * model.depth * context * model.heads * _head_size(model)


def cache_size(model: Gpt) -> int:
    """Numbers that decoding stores for each token of its context, and reads again for each new one."""
    return 2 * model.depth * (model.kv_heads or model.heads) * _head_size(model)


def _head_size(model: Gpt) -> int:
    return model.head_size or model.width // model.heads
