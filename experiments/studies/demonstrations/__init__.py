"""study=demonstrations: which examples to label or to show for given test points (arXiv:2404.08846)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from ... import choices
from ...choices import choice
from ...contracts import Count, Fraction, Share, StudyChoice, TaskChoice, Work

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pandas as pd

MOST = 500_000_000  # points of a pool times test points times features
LEAST_NOISE = 1e-8  # as a share of the prior variance of a point's value
Learner = Literal["linear", "regressor", "classifier", "reader", "head"]
SHAPE = ("pool", "tests", "budget", "draws")
TRAINED = (*SHAPE, "steps", "width", "depth")
USES: dict[str, tuple[str, ...]] = {  # the settings that mean something with a learner
    "linear": (*SHAPE, "dimension", "signal", "shift", "noise", "simulations"),
    "regressor": (*TRAINED, "shift", "noise"),
    "classifier": (*TRAINED, "noise"),
    "reader": (*TRAINED, "noise"),
    "head": ("tests", "noise", "task", "keep", "epochs", "fingerprint", "made_by"),
}


@choice("study", "demonstrations", source="GO and SAL: arXiv:2404.08846; transductive design: Yu et al., ICML 2006")
class Demonstrations(StudyChoice):
    """Greedy optimal design (GO), its mean form, SAL and plain rules, each choosing examples for given test points.

    linear: the exact linear-Gaussian posterior. regressor, classifier: transformers trained here that learn from the
    examples in their context; the second on real data. reader: a small GPT that reads demonstrations as text. head: the
    rules as pruning rules, beside EL2N, for a linear head on features of images.
    """

    learner: Learner = "linear"  # what is shown the chosen examples
    pool: Annotated[int, Field(ge=2, le=100_000)] = 60  # points that may be chosen
    tests: Count = 20  # test points that are known while choosing
    budget: Count = 10  # points chosen
    draws: Count = 10  # problems of each kind of test a seed
    dimension: Annotated[int, Field(ge=2, le=500)] = 5  # features, of the linear learner
    signal: Annotated[float, Field(gt=0)] | None = None  # mean prior variance of a point's value; null: dimension
    shift: Share = 0.8  # share of a shifted test point that is along one direction
    noise: Annotated[float, Field(gt=0)] = 0.25  # variance of a label, in designs and in drawn worlds
    simulations: tuple[Count, ...] = (1, 16, 256, 4096)  # of SAL that draws labels
    steps: Count = 2000  # of training
    width: Annotated[int, Field(ge=8, multiple_of=8)] = 64  # of the transformer
    depth: Count = 3  # its layers
    task: dict[str, Any] = Field(default={"name": "digits"})  # images, whose dev split trains the body
    keep: Annotated[tuple[Fraction, ...], Field(min_length=1)] = (0.1, 0.25, 0.5)  # shares of the pool
    epochs: Annotated[float, Field(gt=0)] = 6  # of the body
    fingerprint: str = ""  # of the task's bytes; filled in
    made_by: str = ""  # version and plug-in of the task, beyond the first; filled in

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        unused = sorted(self.model_fields_set - {"name", "learner", *USES[self.learner]})
        if unused:
            raise ValueError(f"study.{unused[0]} has no meaning with study.learner={self.learner}: leave it out")
        if self.learner == "head":
            if self.chosen_task.reads != "images":
                raise ValueError(f"study.task={self.chosen_task.name} is no set of images: study.task={{name: digits}}")
            return self
        if self.pool * self.tests * self.dimension > MOST:
            raise ValueError(
                f"study.pool={self.pool} points against study.tests={self.tests} are more than fit in memory: "
                f"study.tests={max(1, MOST // (self.pool * self.dimension))}"
            )
        variance = self.signal or (self.dimension if self.learner == "linear" else 1)
        if self.noise < LEAST_NOISE * variance:
            raise ValueError(
                f"study.noise={self.noise:g} is nothing beside the prior variance of a value, {variance:g}: rounding "
                f"would choose. To mend it: study.noise={10 * LEAST_NOISE * variance:g}"
            )
        if len(set(self.simulations)) < len(self.simulations):
            raise ValueError("study.simulations has a number twice: once is enough")
        if self.budget > self.pool:
            raise ValueError(f"study.budget={self.budget} is above study.pool={self.pool}: at most {self.pool}")
        if self.learner == "classifier":
            from .real import smallest

            if self.pool + self.tests > (most := smallest()):
                raise ValueError(
                    f"study.pool and study.tests are {self.pool + self.tests} examples, and the smallest data set has "
                    f"{most}: study.pool={max(2, most - self.tests)}"
                )
        return self

    @property
    def chosen_task(self) -> TaskChoice:
        return choices.chosen("task", self.task, TaskChoice)

    def simplified(self) -> Self:
        """With the fingerprint of the images, and the code that reads them, which their settings alone do not tell."""
        if self.learner != "head":
            return self
        task = self.chosen_task
        return self.model_copy(update={"fingerprint": task.fingerprint(), "made_by": choices.code_of(task)})

    def title(self) -> str:
        signal = f", signal {self.signal:g}" if self.signal else ""
        sizes = f"{self.dimension} features{signal}" if self.learner == "linear" else ""
        return ", ".join(filter(None, ["demonstrations", self.learner, sizes]))

    def measure(self, work: Work) -> tuple[dict[str, pd.DataFrame], dict[str, float]]:
        """Table `selected`: error, and posterior variance where it is known, by test, rule and number of labels."""
        match self.learner:
            case "linear":
                from .linear import measure
            case "head":
                from .heads import measure
            case _:
                from .shown import measure
        return measure(self, work)

    @classmethod
    def runs(cls, tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
        from .figures import runs

        return runs(tables)

    @classmethod
    def points(cls, runs: pd.DataFrame) -> pd.DataFrame:
        from .figures import points

        return points(runs)

    @classmethod
    def figures(cls, tables: Mapping[str, pd.DataFrame]) -> Iterable[Any]:
        from .figures import figures

        return figures(tables)

    @classmethod
    def verdict(cls, runs: pd.DataFrame) -> str:
        from .figures import verdict

        return verdict(runs)

    @classmethod
    def caveat(cls, tables: Mapping[str, pd.DataFrame]) -> str:
        from .figures import caveat

        return caveat(tables)
