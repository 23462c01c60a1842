"""study=formats: reinforcement learning amplifies one format of the pretraining corpus (arXiv:2504.07912)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from ... import choices
from ...choices import choice
from ...contracts import Choice, Count, Fraction, Share, StudyChoice, Work
from .settings import Arm

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pandas as pd

Three = tuple[float, float, float]
TOLERANCE = 1e-6  # of a sum of shares


@choice("study", "formats", source="arXiv:2504.07912")
class Formats(StudyChoice):
    """A small GPT is pretrained on solutions in three formats and then reinforced: which format wins, and what is lost.

    Chains of arithmetic modulo 10, solved as a program (`prog`, which the verifier executes), an expression (`expr`,
    which it works out) or in words (`words`, in which the model computes). A seed is a corpus and a pretraining; each
    arm of reinforcement starts from the pretrained model, as often as its `streams` say. With `keep` below 1 the corpus
    is pruned first, by a score and a rule of the lab.

    An arm, with its defaults: {algorithm: grpo (or ppo; ei, expert iteration), learning_rate: 0.001, kl: 0.001,
    rollouts: 50, prompts: 64, samples: 8, updates: 2, streams: 3, temperature: 1, clip: 0.2, loss: sequence (or token),
    meter: false}; of ei, online: false (each round starts from the base) and distinct: true (equal solutions once).
    """

    least: Annotated[int, Field(ge=2)] = 3  # operands of a chain, at least
    most: Annotated[int, Field(ge=2, le=9)] = 5  # and at most
    examples: Count = 32768  # distinct examples of the corpus
    shares: Three = (0.3, 0.4, 0.3)  # of the distinct examples, by format: prog, expr, words
    repeats: tuple[Count, Count, Count] = (1, 1, 1)  # how often the corpus has each example, by format
    errors: tuple[Share, Share, Share] = (0.1, 0.25, 0.0)  # share of wrong solutions, by format
    gaps: tuple[Literal["+", "-", "*"], ...] = ("*",)  # programs of `most` operands that end so lack their last step
    width: Annotated[int, Field(ge=8)] = 20  # numbers a token
    depth: Count = 1  # layers
    heads: Count = 2  # attention heads
    steps: Count = 1500  # of pretraining
    batch_size: Count = 128  # examples of a step of pretraining
    keep: Fraction = 1.0  # the fraction of the corpus that is kept; as many steps are taken on it
    rule: str = "random"  # which examples are kept: a rule of the lab
    scorer: dict[str, Any] = Field(default={"name": "loss", "proxies": 1})  # by which score, with its settings
    balance: Annotated[float, Field(ge=0, le=1)] = 0.0  # share of its quota that every format is promised
    proxy_steps: Count = 500  # of pretraining of each proxy of the score, on the whole corpus
    learning_rate: Annotated[float, Field(gt=0)] = 0.01  # of pretraining: AdamW, rising for 100 steps, then a cosine
    clip: Annotated[float, Field(ge=0)] = 1.0  # the largest norm of a gradient of pretraining; 0: any
    policy: dict[str, Any] = Field(default={"name": "uniform"})  # of the lab: how much examples weigh in pretraining
    meter: bool = False  # measure what each format contributes to pretraining; it needs study.clip=0
    arms: Annotated[tuple[Arm, ...], Field(min_length=1)] = (Arm(),)  # ways to reinforce, as below
    tested: Annotated[int, Field(ge=2)] = 150  # held-out chains
    samples: Annotated[int, Field(ge=2)] = 16  # solutions of each, drawn to measure a model
    k: Annotated[tuple[Count, ...], Field(min_length=1)] = (1, 4, 16)  # of pass@k
    made_by: str = ""  # the code of the score, rule and policy, where their settings do not tell; filled in
    looks: Count = 1  # times that an arm is measured on the held-out chains, the last after its last rollout

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.most < self.least:
            raise ValueError(f"study.most={self.most} is below study.least={self.least}")
        if abs(sum(self.shares) - 1) > TOLERANCE:
            raise ValueError(f"study.shares={list(self.shares)} sum to {sum(self.shares):g}: they must sum to 1")
        for name, share in zip(("prog", "expr", "words"), self.shares, strict=True):
            if round(share * self.examples) < 1:
                raise ValueError(
                    f"of study.examples={self.examples} none is in the format {name}, whose share is {share:g}: "
                    "a larger share in study.shares, or more study.examples"
                )
        if self.width % (2 * self.heads):
            raise ValueError(f"study.width={self.width} must be a multiple of 2 x study.heads={self.heads}")
        if max(self.k) > self.samples:
            raise ValueError(
                f"study.k={max(self.k)} is above study.samples={self.samples}: pass@k is of at most as many samples"
            )
        if len(set(self.arms)) < len(self.arms):
            raise ValueError("two of study.arms are the same")
        distinct = sum(10**number * 3 ** (number - 1) for number in range(self.least, self.most + 1))
        if self.tested > distinct // 10:
            raise ValueError(f"study.tested={self.tested} is more than a tenth of the {distinct} chains that there are")
        if self.meter and self.clip:
            raise ValueError("study.meter=true differentiates the pretraining, which needs study.clip=0")
        from .choosing import policy_of, rule_of, scorer_of

        policy_of(self)
        if self.keep < 1 and rule_of(self).scored:
            scorer_of(self)
        return self

    def simplified(self) -> Self:
        """Without what an arm's algorithm does not have, and how a corpus is pruned that is not, or is at random."""
        plain: dict[str, Any] = {"arms": tuple(arm.simplified() for arm in self.arms)}
        from .choosing import policy_of, rule_of, scorer_of

        unused = ["rule", "balance", "scorer", "proxy_steps"]
        read: list[Choice] = [policy_of(self)]
        if self.keep < 1:
            scored = rule_of(self).scored
            unused = [] if scored else ["scorer", "proxy_steps"]
            read += [rule_of(self), *([scorer_of(self)] if scored else [])]
        fields = type(self).model_fields
        plain |= {name: fields[name].default for name in unused} | {"made_by": choices.code_of(*read)}
        return self.model_copy(update=plain)

    def title(self) -> str:
        shares = "/".join(f"{share:g}" for share in self.shares)
        by = "" if self.rule == "random" else f" by {self.scorer['name']}"
        kept = "" if self.keep == 1 else f", {self.keep:g} {self.rule}{by}"
        policy = "" if self.policy == {"name": "uniform"} else f", {self.policy['name']}"
        often = "" if set(self.repeats) == {1} else f" x {'/'.join(map(str, self.repeats))}"
        chains = f"{self.least} to {self.most} operands, " if (self.least, self.most) != (3, 5) else ""
        model = f"{chains}width {self.width}, {self.depth} layer{'s' * (self.depth > 1)}"
        return f"{model}, shares {shares}{often}{kept}{policy}"

    def measure(self, work: Work) -> tuple[dict[str, pd.DataFrame], dict[str, float]]:
        """Tables `corpus`, `base`, `rollouts` (a row a rollout), `looks` (a row a measurement).

        With `meter` also `pretraining`: a row for each format at each look.
        """
        from .measuring import measure

        return measure(self, work)

    @classmethod
    def runs(cls, tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
        from .results import runs

        return runs(tables)

    @classmethod
    def points(cls, runs: pd.DataFrame) -> pd.DataFrame:
        from .results import points

        return points(runs)

    @classmethod
    def figures(cls, tables: Mapping[str, pd.DataFrame]) -> Iterable[Any]:
        from .figures import figures

        return figures(tables)

    @classmethod
    def verdict(cls, runs: pd.DataFrame) -> str:
        from .results import verdict

        return verdict(runs)

    @classmethod
    def caveat(cls, tables: Mapping[str, pd.DataFrame]) -> str:
        from .results import caveat

        return caveat(tables)
