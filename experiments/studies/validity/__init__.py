"""study=validity: does a contribution predict the loss after a retraining without the examples? (LDS)"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from ... import choices
from ...choices import choice
from ...contracts import Count, ModelChoice, StudyChoice, TaskChoice, Work
from ...training.recipes import Recipe

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pandas as pd


@choice("study", "validity", source="LDS: arXiv:2303.14186; whole runs: arXiv:2504.16430")
class Validity(StudyChoice):
    """Linear datamodeling score (LDS) of nine ways to say what an example contributes, by retrainings without some.

    Spearman correlation, over random removals, of the predicted with the measured loss of a target example; the mean
    over targets. Measured twice: in retrainings that share the seed of the run that contributions are of, and in fresh
    ones of other seeds. `ceiling` is how well these two agree.
    """

    task: dict[str, Any] = Field(default={"name": "digits"})  # a task and its settings
    model: dict[str, Any] = Field(default={"name": "mlp"})  # a model and its settings
    body: dict[str, Any] | None = None  # a model trained on the pool first; `model` is then trained on its features
    optimizer: Literal["sgd", "momentum", "adamw"] = "momentum"
    learning_rate: Annotated[float, Field(gt=0)] = 0.05  # the largest of the schedule
    weight_decay: Annotated[float, Field(ge=0)] = 0.0  # as in a recipe
    batch_size: Count = 64  # examples a step
    epochs: Annotated[float, Field(gt=0)] = 10  # passes over the training examples
    removals: Annotated[int, Field(ge=10)] = 100  # random sets that are removed, each retrained without
    removed: Annotated[float, Field(gt=0, lt=1)] = 0.1  # share of the pool in each
    targets: Annotated[int, Field(ge=2)] = 32  # dev examples whose loss is predicted
    repeats: Annotated[int, Field(ge=0)] = 1  # retrainings of every set under another seed
    dimension: Count = 256  # of TRAK's projected gradients
    fingerprint: str = ""  # of the task's bytes; filled in
    made_by: str = ""  # versions and plug-ins of the task and the models, beyond the first; filled in

    @model_validator(mode="after")
    def _chosen(self) -> Self:
        task, model = self.chosen_task, self.chosen_model
        reads = "vectors" if self.body is not None else task.reads
        if reads not in model.takes:
            raise ValueError(f"study.model={model.name} does not take {reads}: another study.model")
        if self.body is not None and task.reads != "images":
            raise ValueError("study.body gives features of images: leave it out for another study.task")
        if model.joins_examples and getattr(model, "norm", "batch") == "batch":
            raise ValueError("batch norm joins the examples of a batch: study.model={name: convnet, norm: group}")
        return self

    @property
    def chosen_task(self) -> TaskChoice:
        return choices.chosen("task", self.task, TaskChoice)

    @property
    def chosen_model(self) -> ModelChoice:
        return choices.chosen("model", self.model, ModelChoice)

    @property
    def recipe(self) -> Recipe:
        """Linear schedule after a short rise, in float32, without augmentation or clipping: what is differentiated."""
        return Recipe(
            optimizer="adamw" if self.optimizer == "adamw" else "sgd",
            learning_rate=self.learning_rate,
            momentum=0.9 if self.optimizer == "momentum" else 0.0,
            weight_decay=self.weight_decay,
            batch_size=self.batch_size,
            epochs=self.epochs,
            warmup=0.1,
            precision="float32",
        )

    def simplified(self) -> Self:
        """With the fingerprint of the data, and the code of what is chosen, which their settings alone do not tell."""
        task, body = self.chosen_task, [] if self.body is None else [choices.chosen("model", self.body, ModelChoice)]
        made_by = choices.code_of(task, self.chosen_model, *body)
        return self.model_copy(update={"fingerprint": task.fingerprint(), "made_by": made_by})

    def title(self) -> str:
        return f"{self.setup}, {self.optimizer}, rate {self.learning_rate:g}"

    @property
    def setup(self) -> str:
        return setup_of(self.task["name"], self.model["name"], None if self.body is None else self.body["name"])

    def measure(self, work: Work) -> tuple[dict[str, pd.DataFrame], dict[str, float]]:
        """Tables `lds` (estimator, target, lds, fresh) and `removals` (losses and predictions, means over targets)."""
        from .measuring import measure

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


def setup_of(task: str, model: str, body: str | None) -> str:
    """What the page calls a network and its data."""
    return f"{model} on {task}" if body is None else f"{model} on {body} features of {task}"
