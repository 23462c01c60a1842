"""Choosing examples for a learner, many problems at once: by rules that see no label, or that see each as it comes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...contracts import Floats
from ...seeds import numpy_stream
from .learners import Learner
from .rules import RULES
from .sal import Estimator, estimated

CHUNK = 1500  # contexts that a model reads at once


@dataclass(frozen=True, slots=True)
class Problems:
    """B problems: what may be shown, with its labels, and what is asked, with the truth."""

    pool: Tensor  # (B, n, ...)
    labels: Tensor  # (B, n)
    test: Tensor  # (B, K, ...)
    truth: Tensor  # (B, K)
    features: Floats  # (B, n, f) of the pool, for rules that see no label
    asked: Floats  # (B, K, f) of the test points

    def take(self, part: slice) -> Problems:
        return Problems(*(getattr(self, name)[part] for name in self.__slots__))

    @property
    def size(self) -> int:
        return len(self.pool)


def with_bias(problems: Problems) -> Problems:
    """A column of ones beside the features, so that the linear model has an intercept."""
    pair = [np.concatenate([one, np.ones_like(one[..., :1])], -1) for one in (problems.features, problems.asked)]
    return replace(problems, features=pair[0], asked=pair[1])


def designed(problems: Problems, rule: str, budget: int, *, noise: float, seed: int) -> Tensor:
    """(B, budget) picks by a rule of `rules`, in each problem by itself."""
    picks = [
        RULES[rule](pool, asked, budget, noise=noise, draw=numpy_stream(seed, f"rule {rule}", number))
        for number, (pool, asked) in enumerate(zip(problems.features, problems.asked, strict=True))
    ]
    return torch.from_numpy(np.array(picks, np.int64))


Value = Callable[[Learner, Problems, Tensor], Tensor]  # of picks (B, t): (B, n), the least is labelled next


def adaptive(learner: Learner, problems: Problems, value: Value, budget: int) -> Tensor:
    """(B, budget) picks of least value, one after another, each with its label seen before the next is chosen."""
    picks = torch.empty((problems.size, 0), dtype=torch.int64)
    for _ in range(budget):
        values = value(learner, problems, picks).scatter(1, picks, torch.inf)
        picks = torch.cat([picks, values.argmin(1, keepdim=True)], 1)
    return picks


def answers(learner: Learner, problems: Problems, picks: Tensor, queries: Tensor) -> Tensor:
    """(B, Q, outputs) at the queries, after the picked examples with their labels."""
    with torch.inference_mode():
        return learner.outputs(_at(problems.pool, picks), problems.labels.gather(1, picks), queries)


def most_doubted(learner: Learner, problems: Problems, picks: Tensor) -> Tensor:
    """Largest predictive entropy (or variance) of the point itself."""
    return -learner.doubt(answers(learner, problems, picks, problems.pool))


def least_confident(learner: Learner, problems: Problems, picks: Tensor) -> Tensor:
    """Smallest probability of the class that the model prefers; of classes alone."""
    return answers(learner, problems, picks, problems.pool).softmax(-1).amax(-1)


def sal(reduce: str, estimator: Estimator = "read", seed: int = 0) -> Value:
    """SAL: the expected doubt of the test points after each candidate's possible labels, its `max` or `mean`."""

    def value(learner: Learner, problems: Problems, picks: Tensor) -> Tensor:
        parts = [
            _expected(learner, problems.take(slice(row, row + 1)), picks[row : row + 1], estimator, seed, row)
            for row in range(problems.size)
        ]
        each = torch.cat(parts)  # (B, n, K)
        return each.amax(-1) if reduce == "max" else each.mean(-1)

    return value


def _expected(learner: Learner, problem: Problems, picks: Tensor, estimator: Estimator, seed: int, row: int) -> Tensor:
    """(1, n, K) doubt of each test point of one problem after each candidate, over the labels that it may have."""
    labels, weights = learner.possible(answers(learner, problem, picks, problem.pool))  # (1, n, m)
    _, number, several = labels.shape
    seen, known = _at(problem.pool, picks)[0], problem.labels.gather(1, picks)[0]
    candidates = problem.pool[0].repeat_interleave(several, 0)  # (n m, ...)
    examples = torch.cat([seen.expand(number * several, *seen.shape), candidates[:, None]], 1)
    told = torch.cat([known.expand(number * several, -1), labels.reshape(-1, 1).to(known.dtype)], 1)
    with torch.inference_mode():
        found = torch.cat([
            learner.doubt(learner.outputs(part, own, problem.test.expand(len(part), *problem.test.shape[1:])))
            for part, own in zip(torch.split(examples, CHUNK), torch.split(told, CHUNK), strict=True)
        ])  # fmt: skip
    doubt = found.view(number, several, -1).transpose(0, 1)  # (m, n, K)
    if estimator != "read":
        draw = numpy_stream(seed, "two samples", row, picks.shape[1])
        doubt = torch.from_numpy(estimated(doubt.double().numpy(), 1, draw, estimator=estimator)).float()
    return (weights[0].T[..., None] * doubt).sum(0)[None]


def _at(values: Tensor, picks: Tensor) -> Tensor:
    """(B, t, ...) of (B, n, ...)."""
    index: Any = picks.reshape(*picks.shape, *(1 for _ in values.shape[2:]))
    return values.gather(1, index.expand(*picks.shape, *values.shape[2:]))
