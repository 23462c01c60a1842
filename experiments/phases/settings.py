"""The settings of one run: which choices, how much is kept, under which budget. A wrong value stops here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, GetCoreSchemaHandler, model_validator
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from .. import choices
from ..contracts import (
    Choice,
    Count,
    Fraction,
    ModelChoice,
    Place,
    PolicyChoice,
    RuleChoice,
    ScorerChoice,
    Settings,
    StudyChoice,
    TaskChoice,
    TrackChoice,
)
from ..contribution.settings import Search
from ..data.texts import BYTES, SecondText
from ..training.recipes import FULL, Recipe

Budget = Literal["epochs", "steps"]
DEFAULT: dict[choices.Kind, str] = {"rule": "hard", "policy": "uniform"}  # where a run says nothing else


DEVICES = {"gpu": "cuda", "nvidia": "cuda", "metal": "mps", "apple": "mps", "m1": "mps"}  # what others call a device
EXPORTS = (".csv", ".parquet", ".jsonl", ".npy", ".json")


def is_folder(export: str) -> bool:
    """Whether an export is a folder: its name has no ending, or a stroke after it."""
    return export.endswith("/") or "." not in Path(export).name


def _known(export: str) -> str:
    if not is_folder(export) and Path(export).suffix not in EXPORTS:
        ends = f"{', '.join(EXPORTS[:-1])} or {EXPORTS[-1]}"
        raise ValueError(f"export={export} ends in none of {ends}: use export={Path(export).with_suffix('.csv')}")
    return export


def _is_device(given: Any) -> str:
    name = str(given)
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", name):
        number = re.fullmatch(r"(?:gpu|cuda)?[:_]?(\d+)", name)
        meant = f"cuda:{number[1]}" if number else DEVICES.get(name.lower(), "auto")
        raise ValueError(
            f"device={name} is none of auto, cpu, mps, cuda and cuda:N (a GPU by its number): use device={meant}"
        )
    return name


class Of:
    """A field that holds a choice of a kind: `name` says which class of the registry its settings are of."""

    def __init__(self, kind: choices.Kind, *, optional: bool = False) -> None:
        self.kind, self.optional = kind, optional

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.validated)

    def validated(self, value: Any) -> Choice | None:
        """The choice that the settings name; its own errors keep their place under the field's."""
        if isinstance(value, Choice) or (value is None and self.optional):
            return value
        settings = dict(value) if isinstance(value, Mapping) else {"name": value}  # a bare name: all at its defaults
        try:
            chosen = choices.get(self.kind, str(settings.get("name")))
        except KeyError:
            said = {"kind": self.kind, "name": str(settings.get("name") or "")}
            raise PydanticCustomError("no_choice", "unknown", said) from None
        return chosen.model_validate(settings)


def _default(kind: choices.Kind) -> Any:
    """The choice of a run that says nothing else, at its own defaults."""
    return choices.get(kind, DEFAULT[kind])()


class Launcher(Settings):
    """Where runs happen; never part of a result's identity."""

    name: Literal["local", "processes", "submitit"] = "local"
    workers: Count | None = None  # processes at once, dealt to the GPUs in turn; null: one a core
    partition: str | None = None  # submitit: the cluster's queue
    minutes: Count = 240  # submitit: time limit of a job
    gpus: Count | None = None  # submitit: GPUs of a job; null: none is asked for
    memory: Annotated[float, Field(gt=0)] | None = None  # submitit: gigabytes of a job; null: the cluster's default
    array: bool = False  # submitit: jobs that are ready at the same time are submitted as one job array

    @property
    def extra(self) -> str | None:
        """The optional packages that it needs."""
        return "cluster" if self.name == "submitit" else None

    @model_validator(mode="after")
    def _read(self) -> Launcher:
        readers = {"workers": ("processes", "submitit")}
        for name in sorted(self.model_fields_set - {"name"}):
            if self.name not in (reads := readers.get(name, ("submitit",))):
                raise ValueError(f"launcher.{name} is read by launcher={' and '.join(reads)}, not by {self.name}")
        return self


class Finetune(Settings):
    """A second set, on all of which the trained model is trained further; with classes its head is drawn anew."""

    task: Annotated[TaskChoice, Of("task")]
    recipe: Recipe | None = None  # null: the run's


class Run(Settings):
    """One run of the pipeline, or of a study. A phase reads the part that it needs; that part is its identity."""

    task: Annotated[TaskChoice, Of("task")]
    model: Annotated[ModelChoice, Of("model")]
    recipe: Recipe
    scorer: Annotated[ScorerChoice, Of("scorer")]
    keep: Fraction = 1.0  # the fraction kept, never the fraction dropped
    rule: Annotated[RuleChoice, Of("rule")] = Field(default_factory=lambda: _default("rule"))
    balance: Annotated[float, Field(ge=0, le=1)] = 0.0  # each class (or group) keeps at least this share of its part
    scored: Literal["pool", "everything"] = "pool"  # with task.examples: within the pool, or once on the whole split
    score_seed: Annotated[int, Field(ge=0)] | None = (
        None  # null: each seed has its own proxies; a number: all share a set
    )
    budget: Budget = "epochs"  # epochs: a smaller set trains for fewer steps; steps: as many as the whole pool
    seed: Annotated[int, Field(ge=0)] = 0  # first weights, order, augmentation, the random rule, and the proxies
    device: Annotated[str, BeforeValidator(_is_device)] = "auto"  # auto: a GPU where there is one
    results: Place = "results"  # the store: where results are written
    export: Annotated[Place, AfterValidator(_known)] | None = None  # score, prune: also write it there
    links: Literal["hard", "symbolic", "no"] = "hard"  # prune export=FOLDER: links to files, or copies (no)
    title: Place | None = None  # report, reproduce, search, simulate: the heading of the page
    launcher: Launcher = Launcher()
    policy: Annotated[PolicyChoice, Of("policy")] = Field(default_factory=lambda: _default("policy"))
    shifted: SecondText | None = None  # evaluate: a second text to measure as well
    search: Search = Search()
    finetune: Finetune | None = None  # train, and evaluate on: a second set, after the run's own
    study: Annotated[StudyChoice | None, Of("study", optional=True)] = (
        None  # simulate: the question that is no pipeline run
    )
    track: Annotated[TrackChoice | None, Of("track", optional=True)] = None  # what else finished runs are shown to

    @model_validator(mode="after")
    def _fits(self) -> Run:
        task, model = self.task, self.model
        if task.reads not in model.takes:
            fitting = [one.registered for one in choices.every("model") if task.reads in one.takes]  # type: ignore[attr-defined]
            raise ValueError(
                f"model={model.name} takes {' or '.join(model.takes)}, and task={task.name} has {task.reads}: use "
                f"model={', '.join(fitting)}"
            )
        if self.shifted is not None:
            if task.reads != "text":
                raise ValueError(f"shifted is a second text, and task={task.name} is none: leave shifted out")
            self.shifted.located("shifted")
        self.scorer.fits(self)
        if task.reads == "text" and self.balance and getattr(task, "group", None) is None:
            raise ValueError("balance needs groups, and text has no classes: use task.group=COLUMN, or balance=0")
        if self.scored == "everything" and getattr(task, "label_noise", 0.0) > 0:
            raise ValueError("scored=everything needs task.label_noise=0: a pool's wrong labels are drawn within it")
        if getattr(task, "labels", None) is not None and getattr(task, "label_noise", 0.0) > 0:
            raise ValueError("task.labels and task.label_noise both make labels wrong: leave one of them out")
        if self.policy.chooses and self.keep < 1:
            raise ValueError(f"policy={self.policy.name} chooses by itself among everything: use keep=1")
        if getattr(task, "dev", None) == 0:
            for one in (self.scorer, self.policy):
                if one.sees_dev is True:
                    what = f"{one.kind}={one.name} uses the labels of dev, and with task.dev=0 these are trained on"
                    raise ValueError(f"{what}: use task.dev=0.1")
        self.policy.fits(self)
        self.rule.fits(self)
        task.fits(self)
        model.fits(self)
        if task.reads != "images" and (self.recipe.flip or self.recipe.shift):
            raise ValueError(f"recipe.flip and recipe.shift augment images, and task={task.name} has none")
        if self.search != Search() and self.recipe.batch_size < FULL:
            raise ValueError("a policy is searched over descent on the whole set at every step: use recipe=flow")
        if self.finetune is not None:
            self._second_fits(self.finetune)
        return self

    def _second_fits(self, finetune: Finetune) -> None:
        task, text = self.task, self.task.reads == "text"
        if text != (finetune.task.reads == "text"):
            raise ValueError(
                f"a model of task={task.name} cannot go on with finetune.task.name={finetune.task.name}: "
                "one is text and the other is not"
            )
        if not self.model.has_body:
            raise ValueError(f"finetune keeps the layers below the head, and model={self.model.name} has none")
        if self.shifted is not None:
            raise ValueError("shifted measures a second text, and finetune trains on one: leave one of them out")
        if text and any(getattr(one, "vocabulary", BYTES) != BYTES for one in (task, finetune.task)):
            raise ValueError(
                "two texts have tokens of their own, and a model of one cannot read the other's: use "
                f"task.vocabulary={BYTES} finetune.task.vocabulary={BYTES}, which are bytes and the same for all"
            )
        Run.model_validate(dict(self.second))

    @property
    def second(self) -> Run:
        """The run of the second set alone: nothing of it is pruned."""
        assert self.finetune is not None
        changes = {"task": self.finetune.task, "recipe": self.finetune.recipe or self.recipe, "finetune": None}
        return self.model_copy(update=changes | {"keep": 1.0, "policy": _default("policy"), "scored": "pool"})


def sections(model: type[BaseModel], name: str) -> list[type[BaseModel]]:
    """The classes of settings that a field of `model` may hold: one, or those of all choices; none for a value."""
    field = model.model_fields[name]
    kind = next((one.kind for one in field.metadata if isinstance(one, Of)), None)
    return _models(field.annotation) if kind is None else list(choices.every(kind))


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]
