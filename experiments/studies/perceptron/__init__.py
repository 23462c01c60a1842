"""study=perceptron: the pruned teacher-student perceptron in closed form, and simulated (arXiv:2206.14486 §2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field

from ...choices import choice
from ...contracts import Count, Fraction, StudyChoice, Work
from ...seeds import derive

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pandas as pd

CURVE = 40  # points of a theory curve


@choice("study", "perceptron", source="arXiv:2206.14486 §2")
class Perceptron(StudyChoice):
    """Max-margin students of a perceptron teacher: the theory's curve, and students drawn at a finite dimension."""

    dimension: Annotated[int, Field(ge=2, le=5000)] = 200  # of the inputs
    draws: Annotated[Count, Field(ge=2)] = 20  # data sets drawn for each point
    alphas: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)] = (0.5, 1, 1.5, 2, 3, 4, 6, 8)
    keep: Fraction = 1.0  # the fraction kept
    rule: Literal["hard", "easy", "random"] = "hard"  # which margins to the probe are kept
    theta: Annotated[float, Field(ge=0, lt=90)] = 0.0  # degrees between probe and teacher
    margin: Literal["abs", "signed"] = "abs"  # signed: what the probe gets wrong is the hardest

    def simplified(self) -> Self:
        """A random subset is like an unpruned set of its size, and has no probe."""
        if self.rule != "random" and self.keep < 1:
            return self
        return self.model_copy(update={"keep": 1.0, "rule": "random", "theta": 0.0, "margin": "abs"})

    def title(self) -> str:
        return f"perceptron, {self.keep:g} {self.rule}, {self.theta:g} degrees"

    def measure(self, work: Work) -> tuple[dict[str, pd.DataFrame], dict[str, float]]:
        """Tables `theory` (alpha, error) and `simulated` (alpha, draw, error)."""
        import pandas as pd

        from .theory import generalization_error, simulate

        chosen: dict[str, Any] = {"theta": self.theta, "rule": self.rule, "margin": self.margin}
        drawn = []
        for draw in range(self.draws):
            for place, alpha in enumerate(self.alphas):
                work.notify("", (draw + place / len(self.alphas)) / self.draws)
                seed = derive(work.seed, "simulate", draw, place)
                error = simulate(self.dimension, alpha, self.keep, seed=seed, **chosen)
                drawn.append((alpha, draw, error))
        simulated = pd.DataFrame(drawn, columns=["alpha", "draw", "error"])
        span = np.geomspace(min(self.alphas), max(self.alphas), CURVE)
        alphas = np.unique(np.concatenate([span, self.alphas]))
        errors = [generalization_error(float(alpha), self.keep, **chosen) for alpha in alphas]
        theory = pd.DataFrame({"alpha": alphas, "error": errors})
        metrics = {"points": len(self.alphas), "smallest_error": float(np.min(errors))}
        return {"simulated": simulated, "theory": theory}, metrics

    @classmethod
    def runs(cls, tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
        from .figures import runs

        return runs(tables)

    @classmethod
    def figures(cls, tables: Mapping[str, pd.DataFrame]) -> Iterable[Any]:
        from .figures import figures

        return figures(tables)

    @classmethod
    def verdict(cls, runs: pd.DataFrame) -> str:
        from .figures import verdict

        return verdict(runs)

    @classmethod
    def points(cls, runs: pd.DataFrame) -> pd.DataFrame:
        from .figures import points

        return points(runs)

    @classmethod
    def caveat(cls, tables: Mapping[str, pd.DataFrame]) -> str:
        from .figures import caveat

        return caveat(tables)
