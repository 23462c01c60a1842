"""Metasmoothness: whether the end of a run depends so smoothly on the weights of its examples that phi can be read.

Three trainings with each example's weight times 1, 1 + h v and 1 + 2 h v, v Gaussian; of the two differences of the
final weights the share that agrees in sign, each number weighed by how far it moved (arXiv:2503.13751, definition 2;
h = 0.1 and the Gaussian v as in the package bergson). Near 1 a derivative tells what a real change will do.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..seeds import torch_stream

STEP = 0.1  # h
DIRECTIONS = 2  # draws of v, whose values are averaged


def agreement(first: Tensor, second: Tensor, third: Tensor) -> float:
    """In [-1, 1], of the final weights (P,) at 1, 1 + h v and 1 + 2 h v; 1: nothing moves; NaN: one diverged."""
    moved = (third - first).abs().double()
    signs = (second - first).sign() * (third - second).sign()
    return 1.0 if moved.sum() == 0 else float((moved * signs).sum() / moved.sum())


def metasmoothness(train: Callable[[Tensor], Tensor], like: Tensor, *, seed: int) -> float:
    """The mean over `DIRECTIONS`; `train` gives the end of a run (P,) with weights multiplied by (N,)."""
    plain, found = train(torch.ones_like(like)), []
    for number in range(DIRECTIONS):
        draw = torch_stream(seed, "metasmoothness", number)
        along = torch.randn(like.shape, generator=draw, dtype=like.dtype).to(like.device)
        found.append(agreement(plain, *(train(1 + times * STEP * along) for times in (1, 2))))
    return sum(found) / len(found)
