"""What difficult means: the settings of every score, each with its source and convention (formulas: scoring/README)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, model_validator

from ..choices import Count, Place, Settings

Proxies = Annotated[int, Field(ge=1, le=100)]
Epoch = Annotated[int, Field(ge=0)] | None  # of the proxies' schedule; null: derived and said


class RandomScorer(Settings):
    """A uniform random number: the control."""

    name: Literal["random"]
    seed: int = 0


class El2nScorer(Settings):
    """EL2N: norm of softmax minus one-hot (arXiv:2107.07075), in four published conventions.

    data_diet: L2 norm at an early epoch, mean over proxies. squared: its square (the Brier form of arXiv:2303.14753).
    ccs: sum over the first ten epochs of the training-mode value (arXiv:2210.15809). single: data_diet with one proxy.
    """

    name: Literal["el2n"]
    convention: Literal["data_diet", "squared", "ccs", "single"] = "data_diet"
    epoch: Epoch = None  # null: a tenth of the schedule, at least 1 (Data Diet: 20 of 200)
    proxies: Proxies = 3


class GrandScorer(Settings):
    """GraNd: norm of the example's gradient (arXiv:2107.07075), exact, or of the last layer alone (DeepCore)."""

    name: Literal["grand"]
    gradients: Literal["all", "last_layer"] = "all"
    epoch: Epoch = None
    proxies: Proxies = 3


class ForgettingScorer(Settings):
    """Forgetting events (arXiv:1812.05159): correct at one presentation, wrong at the next; over the whole schedule."""

    name: Literal["forgetting"]
    never_learned: Literal["most", "zero"] = "most"  # Toneva: the number of presentations; DeepCore and CCS: 0 events
    proxies: Proxies = 3


class MarginScorer(Settings):
    """Minus the margin at the end of training; aum: minus its mean over epochs (arXiv:2001.10528)."""

    name: Literal["margin", "aum"]
    measure: Literal["logits", "probabilities"] = "logits"  # Pleiss: logits; CCS: probabilities
    proxies: Proxies = 3


class LossScorer(Settings):
    """Loss, or entropy of the prediction, at the end of training or at an epoch of it."""

    name: Literal["loss", "entropy"]
    epoch: Epoch = None  # null: the end
    proxies: Proxies = 3


class PrototypesScorer(Settings):
    """Cosine distance to the nearest k-means centre of features, or to the own class's mean (arXiv:2206.14486 §6).

    The features are a proxy's, or of an encoder that SimCLR trains without labels (arXiv:2002.05709).
    """

    name: Literal["prototypes"]
    supervised: bool = False
    clusters: Count = 10  # of k-means; ignored by none: refused where supervised
    epoch: Epoch = None  # null: the end
    proxies: Proxies = 1
    encoder: Literal["proxy", "simclr"] = "proxy"
    epochs: Count = 100  # of simclr; the rest of its training is the recipe's
    temperature: Annotated[float, Field(gt=0)] = 0.5  # of simclr's loss

    @model_validator(mode="after")
    def _clusters(self) -> PrototypesScorer:
        if self.supervised and "clusters" in self.model_fields_set and self.clusters != 10:
            raise ValueError("scorer.clusters has no meaning with scorer.supervised=true (one prototype a class)")
        return self

    @model_validator(mode="after")
    def _encoder(self) -> PrototypesScorer:
        if self.encoder == "simclr" and self.epoch is not None:
            raise ValueError("scorer.epoch has no meaning with scorer.encoder=simclr: use scorer.epochs")
        if self.encoder == "proxy" and (self.epochs, self.temperature) != (100, 0.5):
            raise ValueError("scorer.epochs and scorer.temperature are of scorer.encoder=simclr")
        return self


class PerplexityScorer(Settings):
    """Mean loss of a window under proxies that never saw its document (cross-fitted; arXiv:2309.04564, 2405.20541)."""

    name: Literal["perplexity"]
    folds: Annotated[int, Field(ge=2, le=20)] = 2
    proxies: Proxies = 1  # per fold


class ContinuationScorer(Settings):
    """Share of a window's tokens that a proxy trained on it does not continue by heart (memorization, 2309.04564)."""

    name: Literal["continuation"]
    prompt: Annotated[float, Field(gt=0, lt=1)] = 0.5  # share of the window's tokens that is given
    proxies: Proxies = 1


class NgramImportanceScorer(Settings):
    """How unlike a target text the words and pairs of words are (after DSIR, arXiv:2302.03169). No proxies."""

    name: Literal["ngram_importance"]
    target: Place | None = None  # a file or folder of text; null: the dev split
    column: str = "text"  # the target's, in parquet or jsonl
    buckets: Annotated[int, Field(ge=2)] = 10_000  # that n-grams are hashed into
    smoothing: Annotated[float, Field(gt=0, lt=1)] = 0.1  # share of the pool's frequencies mixed into the target's

    @model_validator(mode="after")
    def _column(self) -> NgramImportanceScorer:
        if self.target is None and self.column != "text":
            raise ValueError("scorer.column is the target's, and needs scorer.target=FOLDER_OR_FILE")
        return self


class DuplicatesScorer(Settings):
    """Cosine distance to the nearest of the own cluster that is kept before it (after SemDeDup, arXiv:2303.09540).

    One proxy: two may keep different ones of a pair, and the mean of both would drop neither or both.
    """

    name: Literal["duplicates"]
    clusters: Count = 10  # of k-means on the proxy's features


class DynUncScorer(Settings):
    """Dyn-Unc: how much the target's probability wavers, over the whole schedule (arXiv:2306.05175)."""

    name: Literal["dyn_unc"]
    window: Annotated[int, Field(ge=2)] = 10  # epochs a deviation is taken over
    proxies: Proxies = 3


class DualScorer(Settings):
    """DUAL: the same times one minus the probability, early in training (arXiv:2502.06905)."""

    name: Literal["dual"]
    epochs: Annotated[int, Field(ge=2)] = 30  # of the schedule that are trained and looked at
    window: Annotated[int, Field(ge=2)] = 10
    proxies: Proxies = 3

    @model_validator(mode="after")
    def _window(self) -> DualScorer:
        _inside(self.window, self.epochs)
        return self


class TddsScorer(Settings):
    """TDDS: how unsteadily the whole prediction moves between epochs (arXiv:2311.13613)."""

    name: Literal["tdds"]
    epochs: Annotated[int, Field(ge=3)] = 90  # published for CIFAR-100: 90 and 10 to keep 0.7, 10 and 5 to keep 0.1
    window: Annotated[int, Field(ge=3)] = 10
    proxies: Proxies = 3

    @model_validator(mode="after")
    def _window(self) -> TddsScorer:
        _inside(self.window, self.epochs)
        return self


def _inside(window: int, epochs: int) -> None:
    if window > epochs:
        raise ValueError(f"scorer.window={window} is longer than scorer.epochs={epochs}: use scorer.window={epochs}")


class ModerateScorer(Settings):
    """Distance to the own class's median feature (Moderate coreset, ICLR 2023), for rule=middle."""

    name: Literal["moderate"]
    proxies: Proxies = 1


class D2Scorer(Settings):
    """D2: the turn in a greedy choice of hard examples that spares the neighbours of those chosen (arXiv:2310.07931).

    One proxy: the mean of several orders is the order of no choice.
    """

    name: Literal["d2"]
    base: Literal["el2n", "forgetting"] = "el2n"  # difficulty that is passed on: EL2N at the end, or forgetting events
    neighbours: Count = 5
    gamma: Annotated[float, Field(ge=0)] = 0.1  # how fast a neighbour's loss fades with distance


class DisagreementScorer(Settings):
    """Mutual information of an ensemble's predictions and its members (BALD; arXiv:1905.12737)."""

    name: Literal["ensemble_disagreement"]
    proxies: Annotated[int, Field(ge=2, le=100)] = 3


class DddScorer(Settings):
    """Share of models that get the example wrong, after dichotomous data difficulty (arXiv:2110.05922)."""

    name: Literal["ddd"]
    proxies: Proxies = 10


class MemorizationScorer(Settings):
    """What a model gets right because the example was in its random subset (arXiv:2008.03703).

    memorization: the example itself; influence_max and influence_sum_abs: the dev examples. All share one ensemble.
    """

    name: Literal["memorization", "influence_max", "influence_sum_abs"]
    models: Annotated[int, Field(ge=2, le=100_000)] = 200  # the paper: thousands
    share: Annotated[float, Field(gt=0, lt=1)] = 0.7  # of the training split in each model's subset, as in the paper


class ClassErrorScorer(Settings):
    """Error of the example's class on the dev split, for rule=quota (arXiv:2404.05579)."""

    name: Literal["class_error"]
    proxies: Proxies = 3


class InputNormScorer(Settings):
    """Norm of the input as a model gets it: the baseline of arXiv:2303.14753. No proxies."""

    name: Literal["input_norm"]


class TracinScorer(Settings):
    """TracIn on dev (arXiv:2002.08484), at a tenth, at half and at the end of each proxy's schedule."""

    name: Literal["tracin"]
    proxies: Proxies = 1


class TrakScorer(Settings):
    """TRAK on dev (arXiv:2303.14186), by the package dattri: an extra."""

    name: Literal["trak"]
    dimension: Count = 512  # of the projected gradients
    damping: Annotated[float, Field(ge=0)] = 0.01  # added to their Gram matrix's diagonal; the paper's: 0
    proxies: Proxies = 3


class MaskScorer(Settings):
    """The logit of a mask learned by gradient descent through short training runs (experiments/masking.py)."""

    name: Literal["mask"]
    keep: Annotated[float, Field(gt=0, lt=1)] = 0.5  # the fraction kept that the mask is learned for
    steps: Count = 60  # of Adam on the logits
    inner_steps: Count = 40  # of each training run that is differentiated through
    runs: Count = 2  # inner runs a step, each from a fresh initialisation; their gradients are averaged
    outer: Literal["end", "area"] = "end"  # the dev loss after an inner run, or its mean over the run
    relaxation: Literal["topk", "bernoulli"] = "topk"  # bernoulli: a mask is drawn for every run
    temperature: Annotated[float, Field(gt=0)] = 1.0  # of the sigmoid: lower is nearer to zeros and ones
    learning_rate: Annotated[float, Field(gt=0)] = 0.2  # of Adam


class FileScorer(Settings):
    """Any score of yours: .npy, .csv (image or id, score) or parquet, aligned by id."""

    name: Literal["file"]
    path: Place


ScorerSettings = Annotated[
    RandomScorer
    | El2nScorer
    | GrandScorer
    | ForgettingScorer
    | MarginScorer
    | LossScorer
    | PrototypesScorer
    | PerplexityScorer
    | ContinuationScorer
    | NgramImportanceScorer
    | DuplicatesScorer
    | DynUncScorer
    | DualScorer
    | TddsScorer
    | ModerateScorer
    | D2Scorer
    | DisagreementScorer
    | DddScorer
    | MemorizationScorer
    | ClassErrorScorer
    | InputNormScorer
    | TracinScorer
    | TrakScorer
    | MaskScorer
    | FileScorer,
    Discriminator("name"),
]

TEXT_ONLY = (PerplexityScorer, ContinuationScorer, NgramImportanceScorer)
WITHOUT_PROXIES = (RandomScorer, FileScorer, InputNormScorer, NgramImportanceScorer, MaskScorer)
CLASSES_ONLY = (  # scorers that text has nothing for
    DynUncScorer, DualScorer, TddsScorer, ModerateScorer, DddScorer, MemorizationScorer, ClassErrorScorer,
    InputNormScorer, TrakScorer, MaskScorer,
)  # fmt: skip
