"""A small GPT that is shown demonstrations as text: sentences of three words, each word tagged with the answer.

    small/yes dog/yes runs/yes red/no tree/no falls/no ... old king waits

After each word of a sentence without tags the GPT says how likely yes and no are; the sum of the three log
probabilities is its answer. What the answer depends on is the problem's own:
in half of the problems on one word of the sentence, by a random map of the words at that place; in the others on the
sum of random weights of the three words. It can be found out from the demonstrations alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ...contracts import Floats, Indices, Work
from ...models.networks.gpt import Gpt, Layer, gpt, rotate
from ...seeds import numpy_stream, torch_stream
from .learners import entropy, every_class
from .network import fitted

WORDS = (
    ("small", "old", "red", "wet"),
    ("dog", "king", "tree", "ship"),
    ("runs", "waits", "falls", "sings"),
)
ANSWERS = ("no", "yes")
PLACES, CHOICES = len(WORDS), len(WORDS[0])
UNTAGGED = PLACES * CHOICES  # tokens of words without a tag; those tagged no and yes follow, and the two answers
VOCABULARY = (1 + len(ANSWERS)) * UNTAGGED + len(ANSWERS)
BATCH, QUERIES, RATE = 32, 8, 3e-3


def text(sentences: Tensor, labels: Tensor | None = None) -> Tensor:
    """(..., 3) tokens of sentences (..., 3) of word numbers, tagged with their labels (...) where there are any."""
    tokens = sentences + torch.arange(PLACES) * CHOICES
    return tokens if labels is None else tokens + (1 + labels[..., None].long()) * UNTAGGED


def spelled(tokens: Tensor) -> str:
    """The text of (T,) tokens."""
    words, tags = [word for place in WORDS for word in place], ("", *(f"/{answer}" for answer in ANSWERS))
    return " ".join(words[token % UNTAGGED] + tags[token // UNTAGGED] for token in tokens.tolist())


def functions(draw: np.random.Generator, problems: int) -> Floats:
    """(B, 3, 4) what each word adds to the score of a sentence; the answer is yes where the sum is above zero."""
    one = np.eye(PLACES)[draw.integers(0, PLACES, problems)][:, :, None]
    halves = np.argsort(draw.random((problems, 1, CHOICES)), -1) % 2 * 2 - 1  # as many words for yes as for no
    weights = draw.normal(size=(problems, PLACES, CHOICES))
    return np.where(draw.random((problems, 1, 1)) < 0.5, one * halves, weights)


def answered(weights: Floats, sentences: Indices) -> Indices:
    """(B, C) 0 or 1, of sentences (B, C, 3)."""
    said = [np.take_along_axis(weights[:, place], sentences[..., place], 1) for place in range(PLACES)]
    return np.asarray(np.sum(said, 0) > 0, np.int64)


def bag_of_words(sentences: Tensor) -> Floats:
    """(..., 12) whether each word is in the sentence: the features of rules that see no label."""
    return functional.one_hot(sentences, CHOICES).flatten(-2).double().numpy()


@dataclass(frozen=True, slots=True)
class Reader:
    """The GPT, its prompt the demonstrations in the order of their picks; what it says after each word is summed."""

    model: Gpt

    def outputs(self, examples: Tensor, labels: Tensor, queries: Tensor) -> Tensor:
        """(B, K, 2) logits of no and yes after each query (B, K, 3), after demonstrations (B, C, 3) and (B, C)."""
        return prompted(self.model, text(examples, labels).flatten(1), text(queries))[..., -len(ANSWERS) :].sum(2)

    def doubt(self, outputs: Tensor) -> Tensor:
        return entropy(outputs)

    def possible(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        return every_class(outputs)

    def error(self, outputs: Tensor, truth: Tensor) -> Tensor:
        return (outputs.argmax(-1) != truth).float()


def prompted(model: Gpt, prompt: Tensor, queries: Tensor) -> Tensor:
    """(B, K, P, vocabulary) logits after prompt (B, L) and each token of each of the queries (B, K, P) alone.

    The prompt is read once: every query is at the places behind it, sees it, and sees no other query.
    """
    batch, length = prompt.shape
    number, own = queries.shape[1:]
    place = torch.cat([torch.arange(length), length + torch.arange(own).repeat(number)])
    query = torch.cat([torch.full((length,), -1), torch.arange(number).repeat_interleave(own)])  # -1: of the prompt
    earlier = place[:, None] >= place
    seen = earlier & ((query == -1) | (query[:, None] == query))
    rotation = (model.get_buffer("cosine")[place], model.get_buffer("sine")[place])
    hidden = model.embedding(torch.cat([prompt, queries.flatten(1)], 1))
    for layer in model.layers:
        assert isinstance(layer, Layer)
        attention = layer.attention
        projected = attention.projections(layer.attention_norm(hidden))
        shape = (batch, len(place), 3, attention.heads, -1)
        asks, keys, values = projected.view(shape).permute(2, 0, 3, 1, 4)
        asks, keys = rotate(asks, *rotation), rotate(keys, *rotation)
        mixed = functional.scaled_dot_product_attention(asks, keys, values, attn_mask=seen)
        hidden = hidden + attention.out(mixed.transpose(1, 2).reshape(hidden.shape))
        hidden = hidden + layer.feedforward(layer.feedforward_norm(hidden))
    logits: Tensor = model.head(model.norm(hidden[:, length:]))
    return logits.view(batch, number, own, -1)


def trained_reader(work: Work, *, steps: int, width: int, depth: int, most: int, share: float) -> Reader:
    """Trained on texts of 0 to `most` demonstrations, each text of a problem of its own; the loss is of the answers."""

    def loss(model: Gpt, step: int) -> Tensor:
        draw = numpy_stream(work.seed, "texts", step)
        number = int(draw.integers(0, most + 1))
        sentences = draw.integers(0, CHOICES, (BATCH, number + QUERIES, PLACES))
        labels = torch.from_numpy(answered(functions(draw, BATCH), sentences))
        texts = torch.from_numpy(sentences)
        logits = Reader(model).outputs(texts[:, :number], labels[:, :number], texts[:, number:])
        return functional.cross_entropy(logits.reshape(-1, len(ANSWERS)), labels[:, number:].reshape(-1))

    model = gpt(
        torch_stream(work.seed, "init"), vocabulary=VOCABULARY, context=(most + 1) * PLACES, width=width,
        depth=depth, heads=4, positions="rotary", tied=True,
    )  # fmt: skip
    return Reader(fitted(model, loss, steps=steps, rate=RATE, work=work, share=share))
