"""study=pipeline: prune, equalise, allocate: are they stages of one pipeline, at equal total compute?"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, model_validator

from ... import choices
from ...choices import choice
from ...contracts import Count, Fraction, ModelChoice, RuleChoice, ScorerChoice, StudyChoice, TaskChoice, Work
from ...pruning import by_proxies
from ...training.recipes import Recipe

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pandas as pd

FACTORS = ("prune", "equalise", "allocate")  # in the order of the pipeline
DURATIONS = ("epochs", "steps", "examples", "least_epochs", "least_steps")


@choice("study", "pipeline", source="arXiv:2206.14486, 2402.17759, 2510.18245")
class Pipeline(StudyChoice):
    """A model is trained with or without each of three stages: prune, equalise, allocate. All runs cost the same.

    Every run may take `compute` operations. A stage that is done is paid for out of them, and the model trains for as
    many steps as the rest allows. Pruning by a score takes the share `scoring` for proxies; a random part of the data
    is free. A step under weights that move toward equal contribution costs as much as `overhead` plain steps.
    """

    prune: bool = False  # keep what the rule chooses by the score; false: a random part of the same size
    equalise: bool = False  # weights move toward equal contribution; false: uniform weights
    allocate: bool = False  # train the model `allocated`; false: `model`
    compute: Annotated[float, Field(gt=0)] = 1e11  # operations of a run: of its scores and its training
    task: dict[str, Any] = Field(default={"name": "pydoc", "vocabulary": 257, "context": 128})  # the data
    model: dict[str, Any] = Field(default={"name": "gpt"})  # the default shape, and that of the proxies
    allocated: dict[str, Any] = Field(default={"name": "gpt"})  # the shape that a law chose
    recipe: dict[str, Any] = Field(default={"optimizer": "adamw", "learning_rate": 0.003})  # without its duration
    scorer: dict[str, Any] = Field(default={"name": "perplexity"})  # by which score is pruned
    rule: str = "middle"  # and by which rule
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
        if not self.chosen_rule.scored:
            raise ValueError(f"study.rule={self.rule} reads no scores: it is the control, not a way to prune")
        run = SimpleNamespace(task=task, model=self.default_model, recipe=self.chosen_recipe)
        by_proxies.check(self.chosen_scorer, run)
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
