"""Learners that are shown labelled examples, and the problems that they are trained on: a regressor and a classifier.

What a rule needs of a learner: its outputs at some queries given some labelled examples, how much it doubts them, and
which labels it thinks possible. A learner of language is in `language`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Generator, Tensor
from torch.nn import functional

from ...contracts import Work
from ...seeds import torch_stream
from .network import InContext, fitted, in_context

FEATURES, CLASSES = 4, 3  # of both kinds of problem; classes at most
BATCH, QUERIES = 32, 24  # problems a step, and queries of each
RATE = 2e-3


class Learner(Protocol):
    """B problems at once; inputs are (B, C, ...) and (B, K, ...), labels (B, C)."""

    def outputs(self, examples: Tensor, labels: Tensor, queries: Tensor) -> Tensor:
        """(B, K, outputs) what the model says at the queries, after these examples."""

    def doubt(self, outputs: Tensor) -> Tensor:
        """(B, K) predictive variance, or entropy."""

    def possible(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """(B, K, m) labels that the model thinks possible, and (B, K, m) their weights, of sum one."""

    def error(self, outputs: Tensor, truth: Tensor) -> Tensor:
        """(B, K) squared error, or whether the label is wrong."""


@dataclass(frozen=True, slots=True)
class Regressor:
    """Says a mean and a log variance of a label. Two labels stand for all: the mean plus and minus one deviation."""

    model: InContext

    def outputs(self, examples: Tensor, labels: Tensor, queries: Tensor) -> Tensor:
        found: Tensor = self.model(examples, labels[..., None], queries)
        return found

    def doubt(self, outputs: Tensor) -> Tensor:
        return outputs[..., 1].exp()

    def possible(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        mean, deviation = outputs[..., 0], (0.5 * outputs[..., 1]).exp()
        labels = torch.stack([mean - deviation, mean + deviation], -1)
        return labels, torch.full_like(labels, 0.5)

    def error(self, outputs: Tensor, truth: Tensor) -> Tensor:
        return (outputs[..., 0] - truth).square()


@dataclass(frozen=True, slots=True)
class Classifier:
    """Says a logit for each class; every class is a possible label, with its probability."""

    model: InContext

    def outputs(self, examples: Tensor, labels: Tensor, queries: Tensor) -> Tensor:
        found: Tensor = self.model(examples, functional.one_hot(labels.long(), CLASSES).to(examples), queries)
        return found

    def doubt(self, outputs: Tensor) -> Tensor:
        return entropy(outputs)

    def possible(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        return every_class(outputs)

    def error(self, outputs: Tensor, truth: Tensor) -> Tensor:
        return (outputs.argmax(-1) != truth).float()


def entropy(logits: Tensor) -> Tensor:
    """(...) nats, of logits (..., classes)."""
    shares = logits.log_softmax(-1)
    return -(shares.exp() * shares).sum(-1)


def every_class(logits: Tensor) -> tuple[Tensor, Tensor]:
    """(..., classes) all labels, and their probabilities."""
    labels = torch.arange(logits.shape[-1], device=logits.device).expand(logits.shape)
    return labels, logits.softmax(-1)


# ---- training --------------------------------------------------------------------------------------------------------


def trained_regressor(
    work: Work, *, steps: int, width: int, depth: int, most: int, noise: float, share: float
) -> Regressor:
    """Trained on linear worlds, half with shifted queries, with 0 to `most` examples; the loss is of noisy labels."""

    def loss(model: InContext, step: int) -> Tensor:
        draw = torch_stream(work.seed, "regression", step)
        examples, labels, queries, truth = linear_problems(draw, BATCH, _number(draw, most), QUERIES, noise)
        noisy = truth + noise**0.5 * torch.randn(truth.shape, generator=draw)
        mean, log_variance = model(examples, labels[..., None], queries).unbind(-1)
        return functional.gaussian_nll_loss(mean, noisy, log_variance.exp())

    model = in_context(
        torch_stream(work.seed, "init"), features=FEATURES, labels=1, outputs=2, width=width, depth=depth
    )
    return Regressor(fitted(model, loss, steps=steps, rate=RATE, work=work, share=share))


def trained_classifier(work: Work, *, steps: int, width: int, depth: int, most: int, share: float) -> Classifier:
    """Trained on random functions of inputs with clusters, 0 to `most` examples."""

    def loss(model: InContext, step: int) -> Tensor:
        draw = torch_stream(work.seed, "classification", step)
        number = _number(draw, most)
        inputs, labels = drawn_classes(draw, BATCH, number + QUERIES)
        seen = functional.one_hot(labels[:, :number], CLASSES).float()
        logits = model(inputs[:, :number], seen, inputs[:, number:])
        return functional.cross_entropy(logits.reshape(-1, CLASSES), labels[:, number:].reshape(-1))

    model = in_context(
        torch_stream(work.seed, "init"), features=FEATURES, labels=CLASSES, outputs=CLASSES, width=width, depth=depth
    )
    return Classifier(fitted(model, loss, steps=steps, rate=RATE, work=work, share=share))


def _number(draw: Generator, most: int) -> int:
    return int(torch.randint(0, most + 1, (1,), generator=draw))


def linear_problems(
    draw: Generator, problems: int, examples: int, queries: int, noise: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Examples (B, C, d), noisy labels (B, C), queries (B, K, d), noiseless values (B, K); half of B with a shift."""

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=draw)

    theta, inputs, asked = (
        normal(problems, FEATURES, 1),
        normal(problems, examples, FEATURES),
        normal(problems, queries, FEATURES),
    )
    along = functional.normalize(normal(problems, 1, FEATURES), dim=-1)
    shift = torch.rand((problems, 1, 1), generator=draw) * (torch.rand((problems, 1, 1), generator=draw) < 0.5)
    asked = (1 - shift) * asked + shift * normal(problems, queries, 1) * along
    labels = (inputs @ theta).squeeze(-1) + noise**0.5 * normal(problems, examples)
    return inputs, labels, asked, (asked @ theta).squeeze(-1)


def drawn_classes(draw: Generator, problems: int, inputs: int) -> tuple[Tensor, Tensor]:
    """Inputs (B, N, d), standardised, and labels (B, N) of up to 3 classes.

    A third of the problems: one Gaussian cluster a class. A third: the largest of linear functions. A third: of small
    random networks. Which class has which number is drawn, and in some problems one of them is missing.
    """

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=draw)

    label = torch.randint(0, CLASSES, (problems, inputs), generator=draw)
    centres = normal(problems, CLASSES, FEATURES) * (0.7 + 2 * torch.rand((problems, 1, 1), generator=draw))
    own = torch.gather(centres, 1, label[..., None].expand(-1, -1, FEATURES))
    clustered = own + normal(problems, inputs, FEATURES) * (0.4 + torch.rand((problems, 1, FEATURES), generator=draw))
    plain = normal(problems, inputs, FEATURES)
    linear = plain @ normal(problems, FEATURES, CLASSES) + 0.7 * normal(problems, 1, CLASSES)
    hidden = torch.tanh(plain @ normal(problems, FEATURES, 16) + normal(problems, 1, 16))
    deep = hidden @ normal(problems, 16, CLASSES)
    missing = (torch.rand((problems, 1, 1), generator=draw) < 0.3) & (torch.arange(CLASSES) == CLASSES - 1)
    kind = torch.randint(0, 3, (problems, 1), generator=draw)
    scores = torch.where(kind[..., None] == 1, linear, deep).masked_fill(missing, -torch.inf)
    present = torch.where(missing[:, :, -1], label % (CLASSES - 1), label)  # a cluster of the missing class joins one
    labels = torch.where(kind == 0, present, scores.argmax(-1))
    points = torch.where(kind[..., None] == 0, clustered, plain)
    points = (points - points.mean(1, keepdim=True)) / points.std(1, keepdim=True).clamp(min=1e-6)
    names = torch.argsort(torch.rand((problems, CLASSES), generator=draw), 1)
    return points, torch.gather(names, 1, labels)
