"""policy=infobatch: skip part of what is learned well, and weigh the rest of it up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...choices import choice
from ...contracts import Fraction, Indices, Policy, PolicyChoice, Share, TrainingRun
from ...seeds import numpy_stream

if TYPE_CHECKING:
    import torch
    from torch import Tensor

UNSEEN = 3.0  # loss of an example before its first visit, as in InfoBatch's code: above the mean, so nothing is skipped


@choice("policy", "infobatch", source="arXiv:2303.04947")
class InfoBatchPolicy(PolicyChoice):
    """InfoBatch: skip a share of the examples with a loss below the mean, weigh the others of those up."""

    label = "InfoBatch"
    colour = "teal"
    chooses = True
    dropped: Share = 0.5  # of the examples whose last loss was below the mean
    until: Fraction = 0.875  # share of training after which everything is visited

    def fits(self, run: Any) -> None:
        if run.budget == "epochs":
            raise ValueError("policy=infobatch visits a number of examples that only training tells: use budget=steps")

    def build(self, training: TrainingRun) -> Policy:
        size, device = training.task.size("train"), next(training.model.parameters()).device
        given = {"dropped": self.dropped, "until": self.until, "seed": training.seed}
        return InfoBatch(training.rows, size, device=device, **given)  # type: ignore[arg-type]


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
        import torch

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
        import torch

        return {"losses": self._losses, "weights": self._weights, "epoch": torch.tensor(self._epoch)}

    def restore(self, state: dict[str, Tensor]) -> None:
        self._losses, self._weights, self._epoch = state["losses"], state["weights"], int(state["epoch"])

    def _begin(self, progress: float) -> None:
        import torch

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
