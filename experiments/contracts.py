"""The protocols and frozen values that everyone agrees on, and what a choice of each kind offers. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from .sections import Choice as Choice
from .sections import Count as Count
from .sections import Fraction as Fraction
from .sections import Place as Place
from .sections import Settings as Settings
from .sections import Share as Share

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from torch import Generator, Tensor, nn

Indices = NDArray[np.int64]
Floats = NDArray[np.float64]
Split = Literal["train", "dev", "test"]
Kind = Literal["images", "text", "vectors"]
IGNORED = -100  # a target that is padding: not part of any loss


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of a split. `index` is the rows' place in the whole split, kept through every subset and shuffle."""

    index: Tensor  # (B,) int64
    inputs: Tensor  # (B, C, H, W) uint8 images, or (B, T) int64 tokens, or (B, D) float32
    targets: Tensor  # (B,) classes, or (B, T) next tokens with IGNORED where there is none


@dataclass(frozen=True, slots=True)
class Examples:
    """One split of a data set on the host, before it is moved to a device."""

    inputs: NDArray[np.generic]  # (N, C, H, W) uint8 | (N, T) integer tokens | (N, D) float32
    targets: NDArray[np.int64]  # (N,) | (N, T)
    ids: NDArray[np.str_]  # (N,) what a person calls the example; unique within a split
    groups: Indices | None = None  # (N,) what splits and folds keep together: copies, a module
    units: Mapping[str, Indices] = field(default_factory=dict)  # {"tokens": (N,), "bytes": (N,)} for text
    noisy: NDArray[np.bool_] | None = None  # (N,) labels that are known to be wrong; None where nothing is known
    named: NDArray[np.str_] | None = None  # (N,) the group that task.group reads, as `format=words`

    def take(self, rows: Indices) -> Examples:
        """The same split with only these rows, in this order."""
        groups = None if self.groups is None else self.groups[rows]
        units = {name: values[rows] for name, values in self.units.items()}
        noisy = None if self.noisy is None else self.noisy[rows]
        named = None if self.named is None else self.named[rows]
        return Examples(self.inputs[rows], self.targets[rows], self.ids[rows], groups, units, noisy, named)


@dataclass(frozen=True, slots=True)
class Data:
    """A data set: its three splits, what it is, and how it was found."""

    name: str
    kind: Kind
    splits: Mapping[Split, Examples]
    classes: tuple[str, ...]  # names of the classes; empty for text
    notes: tuple[str, ...] = ()  # decisions taken while loading, reported and recorded
    vocabulary: int = 0  # number of tokens, text only
    decode: Callable[[Sequence[int]], str] | None = None  # tokens to text, text only
    tokenizer: bytes = b""  # its serialized form, text only


def num_batches(examples: int, size: int) -> int:
    """Batches of near-equal size, about `size`, that `examples` are split into."""
    return max(1, round(examples / size))


class Task(Protocol):
    """A data set on a device, the model family trained on it, and the loss that joins them."""

    name: str
    kind: Kind
    classes: tuple[str, ...]

    def size(self, split: Split) -> int: ...
    def labels(self, split: Split) -> Indices | None: ...
    def examples(self, split: Split) -> Examples: ...

    def batches(self, split: Split, *, size: int, index: Indices | None = None, order: Generator | None = None,
                augmentation: Generator | None = None) -> Iterator[Batch]:  # fmt: skip
        """Batches of near-equal size over `index` (all by default).

        `order`'s permutation and `augmentation`'s draws are over the whole split and then filtered: two runs differ
        only in what is missing.
        """

    def stacked(self, split: Split, *, size: int, orders: Sequence[Generator],
                augmentations: Sequence[Generator]) -> Iterator[Batch]:  # fmt: skip
        """Batches of several orders side by side, (M, B, ...), over all of the split."""

    def model(self, init: Generator) -> nn.Module: ...

    def outputs(self, model: nn.Module, batch: Batch) -> Tensor:
        """(B, classes) or (B, T, vocabulary) logits."""

    def losses(self, model: nn.Module, batch: Batch, outputs: Tensor | None = None) -> Tensor:
        """(B,) one differentiable loss an example: the only loss anyone may use. `outputs` saves the forward pass."""


class Policy(Protocol):
    """How much example `n` weighs at step `t`."""

    def visited(self, epoch: int, progress: float) -> Indices | None:
        """The examples that this epoch visits; None: all. `progress` is the share of the steps taken before it."""

    def weights(self, step: int, index: Tensor) -> Tensor:
        """(B,) non-negative weights; the loop divides by their sum."""

    def observe(self, step: int, index: Tensor, losses: Tensor) -> None:
        """(B,) losses of a step's examples, before its update."""

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint needs for the weights to come out the same."""

    def restore(self, state: dict[str, Tensor]) -> None: ...


@dataclass(frozen=True, slots=True)
class Proxy:
    """What a trained proxy leaves for scorers: its weights, and what was seen of every example along the way."""

    model: nn.Module  # in eval mode, on the task's device
    trajectory: Mapping[str, Floats]  # name -> (epochs, N), where it was asked to observe (scoring/evidence.py)
    held_out: NDArray[np.bool_] | None = None  # (N,) examples the proxy was not trained on; None: it saw them all


class Evidence(Protocol):
    """All that a score may look at. The task and the proxies are made at their first use."""

    columns: dict[str, Floats]  # (N,) more columns of scores.parquet, for a rule

    @property
    def data(self) -> Data: ...
    @property
    def task(self) -> Task: ...
    @property
    def proxies(self) -> Sequence[Proxy]:
        """One for each run that the scorer's `evidence` asked for, in that order."""

    @property
    def seed(self) -> int: ...  # of the score's own draws; a scorer without proxies says draws = True
    @property
    def folders(self) -> Sequence[Path]:
        """The folders of those runs, for evidence that is no model."""

    def decide(self, sentence: str) -> None: ...  # say a decision to the user, once, and record it


class Work(Protocol):
    """What a running phase gives to the choice that does its work."""

    folder: Path  # files written here are published when the run ends well

    @property
    def run(self) -> Any:
        """The validated settings of the whole run."""

    @property
    def seed(self) -> int: ...
    @property
    def asks(self) -> Mapping[str, Any]:
        """What the scorer asked for, where the run is evidence of a score; see ProxyRun."""

    @property
    def task(self) -> Any:
        """The run's task on its device, made at its first use; the choice of the device is said."""

    @property
    def resume(self) -> Path:
        """A folder for checkpoints; it stays while the run is unfinished."""

    def on(self, name: str) -> Any:
        """The device of that name (work.run.device: what the user asked for), said and recorded."""

    def decide(self, sentence: str) -> None: ...
    @property
    def notify(self) -> Callable[[str, float], None]:
        """Call it with a sentence or "", and the share of the run that is done."""


@dataclass(frozen=True, slots=True)
class ProxyRun:
    """A training run that a score reads."""

    asks: Mapping[str, Any]  # number; where it stops: epoch, share or most_epochs; observe, movement: true; fold, folds
    recipe: Mapping[str, Any] = field(default_factory=dict)  # its recipe's settings, where not those of the run
    sections: Mapping[str, Any] = field(default_factory=dict)  # more sections of its recipe


@dataclass(frozen=True, slots=True)
class Sent:
    """A finished run, or a page, as a tracker of experiments takes it."""

    key: str  # of its folder; of a page its name
    name: str  # what a person calls it
    settings: Mapping[str, Any]  # dotted names
    metrics: Mapping[str, float]
    curves: Mapping[str, tuple[Indices, Floats]]  # name -> (steps, values) of its training
    claims: Sequence[Mapping[str, Any]] = ()  # of a page: claim, verdict, sentence, effect, low, high
    page: Path | None = None  # the page's folder, with its index.html


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """What a policy is made for: one training run, before its first step."""

    task: Task
    model: nn.Module
    support: Indices | None  # (n,) the examples that pruning kept; None: all
    seed: int
    batch_size: int
    precision: torch.dtype
    inputs: Mapping[str, Path]  # folders of the runs that it needs
    decide: Callable[[str], None]

    @property
    def rows(self) -> Indices:
        """(n,) the examples that pruning kept, or all."""
        return np.arange(self.task.size("train")) if self.support is None else self.support


class TaskChoice(Choice):
    """A data set: how it is found, identified and read. `examples classes labels label_noise` are applied for it."""

    reads: ClassVar[Kind]  # what its examples are
    embedded: ClassVar[bool] = False  # whether it needs no files
    examples: Count | None = None  # size of the training pool; null: all of it

    def fingerprint(self) -> str:
        """A hash of the bytes that results depend on, without reading them all into memory where that is possible."""
        raise NotImplementedError

    def load(self) -> Data:
        """The three splits."""
        raise NotImplementedError


class ModelChoice(Choice):
    """A network, and the data that it takes."""

    takes: ClassVar[tuple[Kind, ...]]
    packs: ClassVar[bool] = False  # whether the proxies of a score train as one: vectorised, and faster so on a CPU
    has_body: ClassVar[bool] = True  # layers below the head, whose outputs are features

    @property
    def joins_examples(self) -> bool:  # batch norm: an example's outputs depend on the others of its batch
        return False

    def build(self, data: Data, examples: Tensor, init: Generator) -> nn.Module:
        """An untrained model for examples like these, drawn from `init` alone."""
        raise NotImplementedError


class ScorerChoice(Choice):
    """A difficulty for every training example: higher is harder."""

    higher_means: ClassVar[str] = "harder"
    columns: ClassVar[tuple[str, ...]] = ()  # what it records of each example beside the score, for rules that need it
    by_class: ClassVar[bool] = False  # whether all examples of a class have one score
    draws: ClassVar[bool] = False  # whether it draws at random without proxies: its scores then depend on the seed

    def evidence(self, run: Any) -> Sequence[ProxyRun]:
        """The training runs that the score reads: by default `proxies` of them, each trained to the end."""
        return [ProxyRun({"number": number}) for number in range(getattr(self, "proxies", 0))]

    def score(self, evidence: Evidence) -> Floats:
        """(proxies, N), or (N,); NaN where a proxy says nothing of an example."""
        raise NotImplementedError

    def trainer(self, asks: Mapping[str, Any]) -> Callable[[Work], dict[str, Any]] | None:
        """How a run that `evidence` asked for is trained, where it is no model trained by the recipe; its metrics."""
        return None

    def recipe(self) -> Any:
        """What identifies the score: these settings, or plain data with the hash of a file in place of its path."""
        return self

    def called(self) -> str:
        """What a person calls it."""
        return self.name


class RuleChoice(Choice):
    """Which examples are kept, as an order of preference over the pool."""

    label: ClassVar[str] = ""  # what figures call it; empty: its name
    colour: ClassVar[str] = ""  # of its lines, a name of figures.style.PALETTE; empty: any of them
    scored: ClassVar[bool] = True  # whether it needs scores
    draws: ClassVar[bool] = False  # whether it draws at random, and not only among equal scores

    def pool(self, values: Floats) -> Indices:
        """Indices of the examples that may be kept at all, sorted."""
        return np.arange(len(values))

    def values(self, scores: Floats, *, keep: float, labels: Indices | None, probability: Floats | None,
               place: Indices, order: np.random.Generator) -> Floats:  # fmt: skip
        """(N,) the scores that `preference` ranks. All arrays are in a random order; `place` is each one's turn."""
        return scores

    def preference(self, values: Floats, place: Indices) -> Indices:
        """(n,) every position 0..n-1 of `values` once, the most wanted first; with `balance` asked once a class too.

        `values` are in a random order: a stable sort breaks ties. A rule that uses `place` says `draws = True`.
        """
        raise NotImplementedError

    def check(self, scores: Floats | None, labels: Indices | None, probability: Floats | None) -> None:
        """Raise ConfigError where what the rule needs is not there."""


class PolicyChoice(Choice):
    """How much the kept examples weigh while a model trains."""

    label: ClassVar[str] = ""  # what figures call it; empty: its name
    colour: ClassVar[str] = ""  # of its lines, where it is drawn as a rule (figures.style.PALETTE)
    chooses: ClassVar[bool] = False  # whether it picks what an epoch visits among everything: keep=1
    searched: ClassVar[bool] = False  # whether it needs the phase search
    moves: ClassVar[bool] = False  # whether its weights at the end of training are worth a file

    def build(self, training: TrainingRun) -> Policy:
        """The policy for one training run."""
        raise NotImplementedError

    def visits(self, kept: int) -> int:
        """How many of the kept examples an epoch visits."""
        return kept

    def visited_share(self) -> float:
        """The share of the pool that an epoch visits, for those that choose."""
        return 1.0

    def describe(self, policy: Policy, steps: int, steps_per_epoch: int) -> str:
        """A sentence on what a run of so many steps will do; ConfigError where that is nothing."""
        return ""


class StudyChoice(Choice):
    """A question that is no pipeline run: what is measured, and how it is drawn (`prune-lab simulate study=NAME`)."""

    def simplified(self) -> Self:
        """The same run with settings that do not matter at their defaults: one key for one result."""
        return self

    def title(self) -> str:
        """What a person calls a run of these settings."""
        return self.name

    def measure(self, work: Work) -> tuple[Mapping[str, pd.DataFrame], Mapping[str, float]]:
        """Tables (none called `runs`) and metrics of one seed, a pure function of these settings and `work.seed`."""
        raise NotImplementedError

    @classmethod
    def runs(cls, tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
        """The rows that claims are judged on, from the tables of all runs, which have a column a setting, and `seed`.

        By default the table `runs`, which is made from the metrics: a row a run, with its settings and its seed.
        """
        return tables["runs"]

    @classmethod
    def points(cls, runs: pd.DataFrame) -> pd.DataFrame:
        """What the page's table of points shows, from the rows that claims are judged on: by default these."""
        return runs

    @classmethod
    def figures(cls, tables: Mapping[str, pd.DataFrame]) -> Iterable[Any]:
        """The figures of the page (figures.panels.Figures), from the tables of all runs."""
        return ()

    @classmethod
    def verdict(cls, runs: pd.DataFrame) -> str:
        """The page's first sentence, from the rows that claims are judged on."""
        return ""

    @classmethod
    def caveat(cls, tables: Mapping[str, pd.DataFrame]) -> str:
        """What the page's numbers and intervals are, in a sentence under the verdict."""
        return ""


class TrackChoice(Choice):
    """A tracker of experiments that is shown every finished run and page: `track=NAME`. It changes no result."""

    def send(self, sent: Sequence[Sent], group: str, results: Path) -> str:
        """Show them, each once, under the name of a group; says where. Whatever it raises becomes a warning."""
        raise NotImplementedError
