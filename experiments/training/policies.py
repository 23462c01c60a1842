"""Policies: how much example n weighs at step t. Pruning is the constant policy that is mostly zeros.

What weighs nothing in an epoch is not visited in it: compute shrinks.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..contracts import Indices
from ..seeds import numpy_stream

UNSEEN = 3.0  # loss of an example before its first visit, as in InfoBatch's code: above the mean, so nothing is skipped


class Uniform:
    """Every example of the support weighs the same, always. `support` None: all of them.

    With `number`, every epoch visits a fresh random subset of that many: RS2 (arXiv:2305.18424).
    """

    def __init__(self, support: Indices | None = None, *, number: int | None = None, seed: int = 0) -> None:
        assert number is None or support is not None
        self.support, self.number, self.seed = support, number, seed

    def visited(self, epoch: int, progress: float) -> Indices | None:
        if self.number is None or self.support is None:
            return self.support
        return np.sort(numpy_stream(self.seed, "rs2", epoch).choice(self.support, self.number, replace=False))

    def weights(self, step: int, index: Tensor) -> Tensor:
        return torch.ones(len(index), device=index.device)

    def observe(self, step: int, index: Tensor, losses: Tensor) -> None:
        """These weights never move."""

    def state(self) -> dict[str, Tensor]:
        return {}

    def restore(self, state: dict[str, Tensor]) -> None:
        """All of it follows from the epoch's number."""


class LossProportional:
    """Every example of the support weighs its loss in this step over their mean, from 1 / bound to bound.

    Without a bound the few that are still wrong late in training take whole steps, and training may diverge (on the
    digits with their recipe it did in two of three seeds).
    """

    def __init__(self, support: Indices | None, *, bound: float) -> None:
        self.support, self.bound = support, bound
        self._weights = torch.empty(0)  # of this step

    def visited(self, epoch: int, progress: float) -> Indices | None:
        return self.support

    def weights(self, step: int, index: Tensor) -> Tensor:
        return self._weights

    def observe(self, step: int, index: Tensor, losses: Tensor) -> None:
        mean = losses.mean().clamp(min=torch.finfo(losses.dtype).tiny)
        self._weights = (losses / mean).clamp(1 / self.bound, self.bound)

    def state(self) -> dict[str, Tensor]:
        return {}

    def restore(self, state: dict[str, Tensor]) -> None:
        """A step looks at its losses before it weighs them."""


class Found:
    """A searched policy (arXiv:2402.17759): at step t the examples `rows` (N,) weigh as the t-th row of (T, N) says."""

    def __init__(self, policy: Tensor, rows: Indices, size: int) -> None:
        self.rows, self._policy = rows, policy
        self._places = torch.full((size,), -1, device=policy.device)
        self._places[torch.from_numpy(rows)] = torch.arange(len(rows), device=policy.device)

    def visited(self, epoch: int, progress: float) -> Indices | None:
        return self.rows

    def weights(self, step: int, index: Tensor) -> Tensor:
        return self._policy[step, self._places[index]]

    def observe(self, step: int, index: Tensor, losses: Tensor) -> None:
        """All of it was found before."""

    def state(self) -> dict[str, Tensor]:
        return {}

    def restore(self, state: dict[str, Tensor]) -> None:
        """All of it was found before."""


class InfoBatch:
    """InfoBatch (arXiv:2303.04947): each epoch skips a random share of the examples whose last loss is below the mean.

    Those of them that stay weigh 1 / (1 - dropped), so the expected sum of gradients is that of all; the loop divides a
    batch by its weights, which the published code does not. After the share `until` of training everything is visited
    and weighs the same.
    """

    def __init__(
        self, support: Indices, size: int, *, dropped: float, until: float, seed: int, device: torch.device
    ) -> None:
        self.support, self.dropped, self.until, self.seed = support, dropped, until, seed
        self._losses = torch.full((size,), UNSEEN, device=device)
        self._weights = torch.zeros(size, device=device)  # of this epoch; zero: skipped
        self._epoch = -1

    def visited(self, epoch: int, progress: float) -> Indices | None:
        if epoch != self._epoch:
            self._epoch = epoch
            self._begin(progress)
        return self.support[self._weights.cpu().numpy()[self.support] > 0]

    def weights(self, step: int, index: Tensor) -> Tensor:
        return self._weights[index]

    def observe(self, step: int, index: Tensor, losses: Tensor) -> None:
        self._losses[index] = losses.float()

    def state(self) -> dict[str, Tensor]:
        return {"losses": self._losses, "weights": self._weights, "epoch": torch.tensor(self._epoch)}

    def restore(self, state: dict[str, Tensor]) -> None:
        self._losses, self._weights, self._epoch = state["losses"], state["weights"], int(state["epoch"])

    def _begin(self, progress: float) -> None:
        weights = np.zeros(len(self._weights), dtype=np.float32)
        weights[self.support] = 1.0
        if progress < self.until:
            losses = self._losses.double().cpu().numpy()[self.support]
            easy = self.support[losses < losses.mean()]
            order = numpy_stream(self.seed, "infobatch", self._epoch).permutation(easy)
            stay = int((1 - self.dropped) * len(easy))
            weights[order[:stay]] = 1 / (1 - self.dropped)
            weights[order[stay:]] = 0.0
        self._weights = torch.from_numpy(weights).to(self._weights.device)
