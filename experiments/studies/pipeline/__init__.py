"""study=pipeline: prune, equalise, allocate: are they stages of one pipeline, at equal total compute?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, model_validator

from ... import choices
from ...choices import choice
from ...contracts import Count, Fraction, ModelChoice, RuleChoice, ScorerChoice, StudyChoice, TaskChoice, Work
from ...training.recipes import Recipe

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pandas as pd

FACTORS = ("prune", "equalise", "allocate")  # in the order of the pipeline
DURATIONS = ("epochs", "steps", "examples", "least_epochs", "least_steps")


@choice("study", "pipeline", source="us")
class Pipeline(StudyChoice):
    """One model, trained with or without each of three stages; `compute` pays for all that a run does.

    prune: a rule's part of the data, by proxies that take `scoring` of the compute; without: a random part of the same
    size, for nothing. equalise: weights move toward equal contribution, and a step costs `overhead` plain ones;
    without: uniform weights. allocate: the model `allocated`; without: `model`. What is left of the compute is
    training.
    """

    prune: bool = False
    equalise: bool = False
    allocate: bool = False
    compute: Annotated[float, Field(gt=0)] = 1e11  # operations of a run: of its scores and its training
    task: dict[str, Any] = Field(default={"name": "pydoc", "vocabulary": 257, "context": 128})
    model: dict[str, Any] = Field(default={"name": "gpt"})  # the default shape, and that of the proxies
    allocated: dict[str, Any] = Field(default={"name": "gpt"})  # the shape that a law chose
    recipe: dict[str, Any] = Field(default={"optimizer": "adamw", "learning_rate": 0.003})  # without a duration
    scorer: dict[str, Any] = Field(default={"name": "perplexity"})
    rule: str = "middle"
    keep: Fraction = 0.5  # of the training pool, by the rule or at random
    scoring: Annotated[float, Field(gt=0, lt=1)] = 0.25  # share of the compute that scores take
    overhead: Annotated[float, Field(ge=1)] = 1.3  # plain steps that one step costs whose weights move
    every: Count = 16  # steps from one measurement of contributions to the next
    fingerprint: str = ""  # of the task's bytes; filled in
    made_by: str = ""  # the code of what is chosen, where settings alone do not tell; filled in

    @model_validator(mode="after")
    def _fits(self) -> Self:
        task = self.chosen_task
        for name, model in (("model", self.default_model), ("allocated", self.allocated_model)):
            if task.reads not in model.takes:
                raise ValueError(f"study.{name}={model.name} takes {' or '.join(model.takes)}, and study.task="
                                 f"{task.name} has {task.reads}")  # fmt: skip
        if given := sorted(set(self.recipe) & set(DURATIONS)):
            raise ValueError(f"study.recipe.{given[0]} is a duration, and study.compute decides that: leave it out")
        self.chosen_recipe  # noqa: B018
        if not self.chosen_rule.scored:
            raise ValueError(f"study.rule={self.rule} reads no scores: it is the control, not a way to prune")
        scorer = self.chosen_scorer
        if scorer.name == "perplexity" and task.reads != "text":
            raise ValueError("study.scorer=perplexity judges text: use el2n")
        if scorer.name == "random" or any(set(one.asks) - {"number", "share"} for one in scorer.evidence(None)):
            raise ValueError(
                f"study.scorer={scorer.name} reads more than trained proxies: use el2n, loss or perplexity"
            )
        return self

    @property
    def chosen_task(self) -> TaskChoice:
        return choices.chosen("task", self.task, TaskChoice)

    @property
    def default_model(self) -> ModelChoice:
        return choices.chosen("model", self.model, ModelChoice)

    @property
    def allocated_model(self) -> ModelChoice:
        return choices.chosen("model", self.allocated, ModelChoice)

    @property
    def chosen_recipe(self) -> Recipe:
        """Without its duration; in float32 where it names no precision, so that machines agree."""
        return Recipe.model_validate({"precision": "float32"} | self.recipe | {"steps": 1})

    @property
    def chosen_scorer(self) -> ScorerChoice:
        return choices.chosen("scorer", self.scorer, ScorerChoice)

    @property
    def chosen_rule(self) -> RuleChoice:
        return choices.chosen("rule", {"name": self.rule}, RuleChoice)

    def simplified(self) -> Self:
        """With the fingerprint of the data, and the code of what is chosen, which their settings alone do not tell."""
        task = self.chosen_task
        made_by = choices.code_of(task, self.default_model, self.allocated_model, self.chosen_scorer, self.chosen_rule)
        return self.model_copy(update={"fingerprint": task.fingerprint(), "made_by": made_by})

    def title(self) -> str:
        done = [name for name in FACTORS if getattr(self, name)]
        return f"{self.chosen_task.name}, {self.compute:.2g} operations, {' and '.join(done) or 'no stage'}"

    def measure(self, work: Work) -> tuple[dict[str, pd.DataFrame], dict[str, float]]:
        from .stages import measured

        return {}, measured(self, work)

    @classmethod
    def runs(cls, tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
        from .gains import rows

        return rows(tables["runs"])

    @classmethod
    def points(cls, runs: pd.DataFrame) -> pd.DataFrame:
        from .gains import points

        return points(runs)

    @classmethod
    def figures(cls, tables: Mapping[str, pd.DataFrame]) -> Iterable[Any]:
        from .figures import figures

        return figures(tables["runs"])

    @classmethod
    def verdict(cls, runs: pd.DataFrame) -> str:
        from .figures import verdict

        return verdict(runs)

    @classmethod
    def caveat(cls, tables: Mapping[str, pd.DataFrame]) -> str:
        from .figures import caveat

        return caveat(tables["runs"])
