"""study=latents: learn from your own latents and not from tokens, on random grammars (arXiv:2605.27734)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from ...choices import choice
from ...contracts import Count, Fraction, StudyChoice, Work
from ...errors import LabError
from .settings import Gradient, Network

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pandas as pd

Target = Literal["latents", "tokens", "labels", "shuffled", "untrained"]
LEARNING = 6.0  # the most memory that learning takes, in units of that of the strings with their levels
TAKES: dict[str, tuple[Target, ...]] = {  # which targets a learner has
    "clustering": ("latents", "tokens", "labels", "shuffled"),
    "gradient": ("latents", "tokens", "labels"),
    "end_to_end": ("latents", "tokens", "untrained"),
}


@choice("study", "latents", source="arXiv:2605.27734; the grammar: arXiv:2307.02129")
class Latents(StudyChoice):
    """How many strings it takes to find the hidden levels of a random grammar, by what is predicted.

    Targets: the learner's own latents, visible tokens, or the root's label. Learners: clustering (ILC) counts what
    stands beside a tuple and joins like tuples; gradient trains a predictor for each level by SGD and joins by its
    outputs; end_to_end trains one transformer, on masked tokens or on the latents of its own moving average (data2vec),
    and reads the levels off its layers by linear probes.
    """

    depth: Count = 3  # L, the levels above the tokens
    vocabulary: Annotated[int, Field(ge=2)] = 16  # v, the symbols of a level
    synonyms: Count = 4  # m, the tuples of a symbol
    branching: Annotated[int, Field(ge=2)] = 2  # s, the symbols of a tuple
    classes: Annotated[int, Field(ge=2)] | None = None  # symbols of the root; null: as many as the vocabulary
    learner: Literal["clustering", "gradient", "end_to_end"] = "clustering"
    targets: Annotated[tuple[Target, ...], Field(min_length=1)] = ("latents", "tokens", "labels")
    sizes: Annotated[tuple[Count, ...], Field(min_length=1)] = (256, 1024, 4096, 16384)  # strings learned from
    tested: Count = 2000  # strings that accuracy is of
    labels: tuple[Count, ...] = (128, 256, 512, 1024)  # labels for the root, on top of what was learned without
    keep: Fraction = 1.0  # the fraction of a pool that is kept; `sizes` are of what is kept
    rule: Literal["random", "hard", "easy"] = "random"  # which strings are kept
    scored: Literal["latents", "tokens"] = "latents"  # whose prediction loss is the difficulty
    gradient: Gradient = Gradient()
    network: Network = Network()

    @model_validator(mode="after")
    def _possible(self) -> Self:
        from .grammar import check, check_memory

        try:
            check(self.depth, self.vocabulary, self.synonyms, self.branching, self.classes)
            check_memory(round(max(self.sizes) / self.keep), self.depth, self.branching, peak=LEARNING)
        except LabError as error:
            raise ValueError(f"{error.what}. To mend it: {error.mend}") from error
        if self.depth < 2:
            raise ValueError("study.depth=1 has no hidden level below the root: study.depth=2")
        if self.synonyms == self.vocabulary ** (self.branching - 1):
            raise ValueError(
                f"study.synonyms={self.synonyms} uses every tuple, and what stands beside one tells nothing: "
                "fewer study.synonyms"
            )
        if min(self.sizes) < self.vocabulary:
            raise ValueError(
                f"study.sizes={min(self.sizes)} are fewer than the {self.vocabulary} clusters that they must make: "
                f"at least study.sizes={self.vocabulary}"
            )
        if "labels" in self.targets and self.classes is not None and min(self.sizes) < self.classes:
            raise ValueError(
                f"study.sizes={min(self.sizes)} are fewer than study.classes={self.classes}, and some class would have "
                f"no string: study.sizes of {self.classes} and much more"
            )
        for name, several in (("targets", self.targets), ("sizes", self.sizes), ("labels", self.labels)):
            twice = [one for one in several if several.count(one) > 1]
            if twice:
                raise ValueError(f"study.{name} has {twice[0]} twice: once is enough")
        wrong = [one for one in self.targets if one not in TAKES[self.learner]]
        if wrong:
            raise ValueError(
                f"study.learner={self.learner} has no target {wrong[0]}: study.targets of "
                f"{', '.join(TAKES[self.learner])}"
            )
        if self.learner == "end_to_end" and self.network.patch >= self.depth:
            raise ValueError(
                f"study.network.patch={self.network.patch} masks whole strings of {self.depth} levels, and nothing is "
                f"left to predict from: at most study.network.patch={self.depth - 1}"
            )
        if self.learner == "end_to_end" and self.tested < 2:
            raise ValueError("study.tested=1: one half of them chooses a layer, the other is scored: study.tested=2000")
        if self.learner == "end_to_end" and self.keep < 1:
            raise ValueError("study.keep is for the learners clustering and gradient: study.keep=1")
        return self

    def simplified(self) -> Self:
        """Without what does not matter: how strings are chosen where all are kept, and the other learners' settings."""
        plain: dict[str, Any] = {}
        if self.keep == 1 or self.rule == "random":
            plain |= {"rule": "random", "scored": "latents"}
        if self.learner != "gradient":
            plain |= {"gradient": Gradient()}
        if self.learner != "end_to_end":
            plain |= {"network": Network()}
        return self.model_copy(update=plain)

    def title(self) -> str:
        by = "" if self.rule == "random" else f" by loss of {self.scored}"
        kept = "" if self.keep == 1 else f", {self.keep:g} {self.rule}{by}"
        sizes = f"{self.depth} levels, {self.vocabulary} symbols, {self.synonyms} synonyms"
        return f"{self.learner.replace('_', ' ')}, {sizes}{kept}"

    def measure(self, work: Work) -> tuple[dict[str, pd.DataFrame], dict[str, float]]:
        """Tables `levels` (target, strings, level, accuracy, ari), `root`; of end_to_end also `probes` and `curves`."""
        from .measuring import measure

        return measure(self, work)

    @classmethod
    def runs(cls, tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
        from .thresholds import runs

        return runs(tables)

    @classmethod
    def points(cls, runs: pd.DataFrame) -> pd.DataFrame:
        from .thresholds import points

        return points(runs)

    @classmethod
    def figures(cls, tables: Mapping[str, pd.DataFrame]) -> Iterable[Any]:
        from .figures import figures

        return figures(tables)

    @classmethod
    def verdict(cls, runs: pd.DataFrame) -> str:
        from .thresholds import verdict

        return verdict(runs)

    @classmethod
    def caveat(cls, tables: Mapping[str, pd.DataFrame]) -> str:
        from .thresholds import caveat

        return caveat(tables)
