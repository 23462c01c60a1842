"""Every setting: its type, bounds, unit and meaning. A wrong value stops here, before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, Discriminator, Field, model_validator

from ..choices import Count, Fraction, Place, Settings, Share
from ..data.settings import BYTES, DigitsTask, ImageTask, SecondText, TaskSettings, TextTask, located
from ..scoring.settings import (
    CLASSES_ONLY,
    TEXT_ONLY,
    ClassErrorScorer,
    D2Scorer,
    DualScorer,
    ForgettingScorer,
    GrandScorer,
    MaskScorer,
    MemorizationScorer,
    PrototypesScorer,
    ScorerSettings,
)

Rule = Literal["hard", "easy", "middle", "random", "stratified", "beta", "quota"]
Budget = Literal["epochs", "steps"]
FULL = 1_000_000  # recipe.batch_size of descent on the whole set at every step


# ---- model: which network, size a dial -------------------------------------------------------------------------------


class ConvnetModel(Settings):
    """The airbench family: whitening stem and three blocks; width 1 = 64, 256, 256 channels."""

    name: Literal["convnet"]
    width: Annotated[float, Field(gt=0, le=8)] = 0.25
    stride: Literal[1, 2] | None = None  # of the stem; 2: a quarter of the work; null: 1 below 48 pixels, 2 from there
    whitening: bool = True
    norm: Literal["batch", "group"] = "batch"  # group: no example's loss depends on another's


class ResnetModel(Settings):
    """ResNet-18 with the stem for small images; width 1 = 64 channels first."""

    name: Literal["resnet18"]
    width: Annotated[float, Field(gt=0, le=8)] = 1.0


class MlpModel(Settings):
    name: Literal["mlp"]
    width: Count = 128
    depth: Count = 2  # hidden layers


class LinearModel(Settings):
    name: Literal["linear"]


class PerceptronModel(Settings):
    """One weight vector, no bias: logistic regression through the origin."""

    name: Literal["perceptron"]


class GptModel(Settings):
    """A decoder-only transformer with RMSNorm."""

    name: Literal["gpt"]
    width: Annotated[int, Field(ge=8)] = 64
    depth: Count = 2
    heads: Count = 4
    positions: Literal["rotary", "learned"] = "rotary"
    tied: bool = True  # input and output embeddings share their weights

    @model_validator(mode="after")
    def _heads(self) -> GptModel:
        if self.width % (2 * self.heads):
            raise ValueError(f"model.width={self.width} must be a multiple of 2 x model.heads={self.heads}")
        return self


ModelSettings = Annotated[
    ConvnetModel | ResnetModel | MlpModel | LinearModel | PerceptronModel | GptModel, Discriminator("name")
]


# ---- recipe: how to train --------------------------------------------------------------------------------------------


class RecipeSettings(Settings):
    """Optimiser, schedule, duration. The duration is exactly one of epochs, steps, examples, for the unpruned pool."""

    optimizer: Literal["sgd", "adamw", "muon"] = "sgd"
    learning_rate: Annotated[float, Field(gt=0)] = 0.1
    momentum: Share = 0.9  # SGD (Nesterov) and Muon
    weight_decay: Annotated[float, Field(ge=0)] = 5e-4
    batch_size: Count = 128
    epochs: Annotated[float, Field(gt=0)] | None = None
    steps: Count | None = None
    examples: Count | None = None
    schedule: Literal["constant", "linear", "cosine"] = "linear"
    warmup: Share = 0.2  # share of the steps in which the learning rate rises from near zero
    clip: Annotated[float, Field(gt=0)] | None = None  # largest norm of the gradient
    flip: bool = False  # augmentation: mirror half of the images
    shift: Annotated[int, Field(ge=0, le=16)] = 0  # augmentation: translate by up to this many pixels
    precision: Literal["auto", "float32", "bfloat16"] = "auto"

    @model_validator(mode="after")
    def _one_duration(self) -> RecipeSettings:
        given = [name for name in ("epochs", "steps", "examples") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"recipe: give exactly one of epochs, steps, examples (given: {', '.join(given) or 'none'}); "
                "for example recipe.steps=1000 recipe.epochs=null"
            )
        return self


# ---- policy: how examples weigh while training -----------------------------------------------------------------------


class UniformPolicy(Settings):
    """Every example that is kept weighs the same, always."""

    name: Literal["uniform"] = "uniform"


class RepeatedRandomPolicy(Settings):
    """RS2 (arXiv:2305.18424): a fresh random share of the pool in every epoch."""

    name: Literal["rs2"]
    share: Fraction = 0.3


class InfoBatchPolicy(Settings):
    """InfoBatch (arXiv:2303.04947): skip a share of the examples with a loss below the mean, weigh the others up."""

    name: Literal["infobatch"]
    dropped: Share = 0.5  # of the examples whose last loss was below the mean
    until: Fraction = 0.875  # share of training after which everything is visited


class LearningLawPolicy(Settings):
    """The near-optimal policy that the phase `search` finds for the run's own descent (arXiv:2402.17759)."""

    name: Literal["learning_law"]


class LossProportionalPolicy(Settings):
    """An example weighs its loss over the step's mean, within what is kept."""

    name: Literal["loss_proportional"]
    bound: Annotated[float, Field(gt=1)] = 5.0  # weights stay between its inverse and it


class EqualContributionPolicy(Settings):
    """Weights of what is kept move toward equal contribution to the fall of the dev loss (arXiv:2402.17759)."""

    name: Literal["equal_contribution"]
    every: Count = 16  # steps from one measurement to the next
    target: Count | None = None  # dev examples of a measurement, drawn afresh; null: as many as a batch
    rate: Annotated[float, Field(gt=0)] = 0.5  # of a step: how far the logarithm of a typical weight moves
    bound: Annotated[float, Field(gt=1)] = 5.0  # weights stay between its inverse and it


CHOOSING = ("rs2", "infobatch")  # policies that choose among everything what an epoch visits; others weigh what is kept

PolicySettings = Annotated[
    UniformPolicy
    | RepeatedRandomPolicy
    | InfoBatchPolicy
    | LossProportionalPolicy
    | EqualContributionPolicy
    | LearningLawPolicy,
    Discriminator("name"),
]


# ---- theory: the pruned perceptron in closed form, and simulated -----------------------------------------------------


class TheorySettings(Settings):
    """Max-margin students of a perceptron teacher (arXiv:2206.14486 §2); read by the phase `simulate` alone."""

    dimension: Annotated[int, Field(ge=2, le=5000)] = 200
    draws: Annotated[int, Field(ge=2)] = 20  # data sets drawn for each point
    alphas: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)] = (0.5, 1, 1.5, 2, 3, 4, 6, 8)
    theta: Annotated[float, Field(ge=0, lt=90)] = 0.0  # degrees between probe and teacher
    margin: Literal["abs", "signed"] = "abs"  # signed: what the probe gets wrong is the hardest


# ---- search: the near-optimal policy, and what it says about the Learning Law ----------------------------------------


class SearchSettings(Settings):
    """Read by the phase `search` alone, whose runs follow the whole set at every step: recipe=flow."""

    features: RecipeSettings | None = None  # train the model so first, on the whole set; then the head alone
    epochs: Annotated[int, Field(ge=0)] = 100  # outer epochs; 0: the constant policy is measured and nothing searched
    rate: Annotated[float, Field(gt=0)] = 0.4  # of the first outer epoch, in units of 1/N; decays to zero
    looks: Annotated[int, Field(ge=2)] = 20  # steps at which contributions are measured, the first and last included
    multiples: tuple[Annotated[float, Field(gt=0)], ...] = (2, 5, 10, 20)  # of the step size, for the constant policy


# ---- transfer: a second set to train on ------------------------------------------------------------------------------


class FinetuneSettings(Settings):
    """A second set, all of it, that the trained model goes on with; its head is drawn anew where there are classes."""

    task: TaskSettings
    recipe: RecipeSettings | None = None  # null: the run's


# ---- the run -------------------------------------------------------------------------------------------------------


class LauncherSettings(Settings):
    """Where runs happen; never part of a result's identity."""

    name: Literal["local", "processes", "submitit"] = "local"
    workers: Count | None = None  # processes at once, dealt to the GPUs in turn; null: one a core
    partition: str | None = None  # submitit: the cluster's queue
    minutes: Count = 240  # submitit: time limit of a job


class Run(Settings):
    """One run of the pipeline. A phase reads the part that it needs; that part alone is its identity."""

    task: TaskSettings
    model: ModelSettings
    recipe: RecipeSettings
    scorer: ScorerSettings
    keep: Fraction = 1.0  # the fraction kept, never the fraction dropped
    rule: Rule = "hard"
    balance: Annotated[float, Field(ge=0, le=1)] = 0.0  # each class keeps at least this share of its proportional part
    drop_hardest: Share = 0.0  # stratified (CCS beta): share of the pool dropped as too hard before binning
    scored: Literal["pool", "everything"] = "pool"  # with task.examples: within the pool, or once on the whole split
    budget: Budget = "epochs"  # epochs: a smaller set trains for fewer steps; steps: as many as the whole pool
    seed: Annotated[int, Field(ge=0)] = 0
    device: Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")] = "auto"
    results: Place = "results"
    export: Annotated[str, Field(pattern=r"\.(npy|csv|parquet)$")] | None = None  # score, prune: also write it there
    launcher: LauncherSettings = LauncherSettings()
    theory: TheorySettings = TheorySettings()
    policy: PolicySettings = UniformPolicy()
    shifted: SecondText | None = None  # evaluate: a second text that is measured, too
    search: SearchSettings = SearchSettings()
    finetune: FinetuneSettings | None = None  # train, and evaluate on: a second set, after the run's own

    @model_validator(mode="after")
    def _fits(self) -> Run:
        text = isinstance(self.task, TextTask)
        if text != isinstance(self.model, GptModel):
            fitting = "model=gpt" if text else "model=convnet, resnet18, mlp or linear"
            raise ValueError(f"model={self.model.name} does not fit task={self.task.name}: use {fitting}")
        if isinstance(self.scorer, TEXT_ONLY) and not text:
            raise ValueError(f"scorer={self.scorer.name} judges text; for task={self.task.name} use scorer=loss")
        if self.shifted is not None and not text:
            raise ValueError(f"shifted is a second text, and task={self.task.name} is none: leave shifted out")
        located(self.shifted, "shifted")
        if text and isinstance(self.scorer, ForgettingScorer):
            raise ValueError(
                "scorer=forgetting counts right and wrong classes, and text has none: use scorer=perplexity"
            )
        if text and isinstance(self.scorer, CLASSES_ONLY):
            raise ValueError(f"scorer={self.scorer.name} needs classes, and text has none: use scorer=perplexity")
        if isinstance(self.scorer, MemorizationScorer):
            if isinstance(self.model, ConvnetModel | ResnetModel):
                raise ValueError(
                    f"scorer={self.scorer.name} trains packed models, and model={self.model.name} has batch norm: "
                    "use model=mlp, linear or perceptron"
                )
            if self.recipe.optimizer == "muon":
                raise ValueError(f"scorer={self.scorer.name} trains packed models: use recipe.optimizer=sgd or adamw")
        if text and isinstance(self.scorer, D2Scorer) and self.scorer.base == "forgetting":
            raise ValueError("scorer.base=forgetting needs classes, and text has none: use scorer.base=el2n")
        if isinstance(self.scorer, MaskScorer) and isinstance(self.model, ConvnetModel | ResnetModel):
            raise ValueError(
                f"scorer=mask weighs examples one by one, and the batch norm of model={self.model.name} joins those of "
                "a batch: use model=mlp or linear"
            )
        if isinstance(self.scorer, MaskScorer) and (self.recipe.optimizer != "sgd" or self.recipe.clip is not None):
            raise ValueError("scorer=mask differentiates through plain SGD: use recipe.optimizer=sgd recipe.clip=null")
        if text and isinstance(self.scorer, GrandScorer) and self.scorer.gradients == "last_layer":
            raise ValueError("scorer.gradients=last_layer is for classifiers: use scorer.gradients=all for text")
        if text and isinstance(self.scorer, PrototypesScorer) and self.scorer.supervised:
            raise ValueError("scorer.supervised=true needs classes, and text has none")
        if isinstance(self.scorer, PrototypesScorer) and self.scorer.encoder == "simclr":
            if not isinstance(self.task, ImageTask | DigitsTask):
                raise ValueError(f"scorer.encoder=simclr needs views of images, and task={self.task.name} has none")
            if isinstance(self.model, LinearModel):
                raise ValueError("scorer.encoder=simclr trains what lies before the head, and model=linear has nothing")
        if text and self.balance:
            raise ValueError("balance needs classes, and text has none: use balance=0")
        if self.drop_hardest and self.rule != "stratified":
            raise ValueError(f"drop_hardest belongs to rule=stratified and would be ignored by rule={self.rule}")
        if self.drop_hardest + self.keep > 1:
            raise ValueError(f"drop_hardest={self.drop_hardest} leaves fewer than keep={self.keep} of the pool")
        if self.scored == "everything" and getattr(self.task, "label_noise", 0.0) > 0:
            raise ValueError("scored=everything needs task.label_noise=0: a pool's wrong labels are drawn within it")
        if self.policy.name in CHOOSING and self.keep < 1:
            raise ValueError(f"policy={self.policy.name} chooses by itself among everything: use keep=1")
        if isinstance(self.policy, InfoBatchPolicy) and self.budget == "epochs":
            raise ValueError("policy=infobatch visits a number of examples that only training tells: use budget=steps")
        if self.rule == "beta" and not isinstance(self.scorer, DualScorer):
            raise ValueError(f"rule=beta samples by what scorer=dual records, not scorer={self.scorer.name}")
        if self.rule == "quota" and not isinstance(self.scorer, ClassErrorScorer):
            raise ValueError(f"rule=quota shares out by class: use scorer=class_error, not scorer={self.scorer.name}")
        image = isinstance(self.task, ImageTask | DigitsTask)
        if not image and isinstance(self.model, ConvnetModel | ResnetModel):
            raise ValueError(
                f"model={self.model.name} needs images, not task={self.task.name}: use model=mlp or linear"
            )
        if not image and (self.recipe.flip or self.recipe.shift):
            raise ValueError(f"recipe.flip and recipe.shift augment images, and task={self.task.name} has none")
        if self.search != SearchSettings() and self.recipe.batch_size < FULL:
            raise ValueError("a policy is searched over descent on the whole set at every step: use recipe=flow")
        if isinstance(self.policy, LearningLawPolicy):
            if self.recipe.batch_size < FULL:
                raise ValueError(
                    f"policy=learning_law is found for descent on the whole set, and recipe.batch_size="
                    f"{self.recipe.batch_size} is a part of it: use recipe=flow, which has recipe.batch_size={FULL}"
                )
            if self.search.features is not None:
                raise ValueError("policy=learning_law weighs a whole model's training: leave search.features out")
        if self.finetune is not None:
            if text != isinstance(self.finetune.task, TextTask):
                raise ValueError(
                    f"a model of task={self.task.name} cannot go on with finetune.task.name={self.finetune.task.name}: "
                    "one is text and the other is not"
                )
            if isinstance(self.model, LinearModel | PerceptronModel):
                raise ValueError(f"finetune keeps what lies below the head, and model={self.model.name} has nothing")
            if self.shifted is not None:
                raise ValueError("shifted measures a second text, and finetune trains on one: leave one of them out")
            if text and any(getattr(task, "vocabulary", BYTES) != BYTES for task in (self.task, self.finetune.task)):
                raise ValueError(
                    "two texts have tokens of their own, and a model of one cannot read the other's: use "
                    f"task.vocabulary={BYTES} finetune.task.vocabulary={BYTES}, which are bytes and the same for all"
                )
            Run.model_validate(self.second.model_dump())
        return self

    @property
    def second(self) -> Run:
        """The run of the second set alone: nothing of it is pruned."""
        assert self.finetune is not None
        changes = {"task": self.finetune.task, "recipe": self.finetune.recipe or self.recipe, "finetune": None}
        return self.model_copy(update=changes | {"keep": 1.0, "policy": UniformPolicy(), "scored": "pool"})


# ---- what a record says ----------------------------------------------------------------------------------------------


def completed(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """A recorded recipe, and at their defaults the settings that came after it was recorded.

    Keys leave out defaults (jobs.py): the older run and a run of today are one.
    """
    return {
        name: _completed(name, value) if isinstance(value, Mapping) and name in Run.model_fields else value
        for name, value in recipe.items()
    }


def _completed(section: str, recorded: Mapping[str, Any]) -> dict[str, Any]:
    for arm in arms(Run.model_fields[section].annotation):
        name = arm.model_fields.get("name")
        if name is None or recorded.get("name", name.default) in get_args(name.annotation):
            fields = {key: field for key, field in arm.model_fields.items() if key != "path"}
            return {key: field.default for key, field in fields.items() if not field.is_required()} | dict(recorded)
    return dict(recorded)


def arms(annotation: Any) -> list[type[BaseModel]]:
    """The models that a field's type admits: one, or the arms of a union."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [arm for part in get_args(annotation) for arm in arms(part)]
