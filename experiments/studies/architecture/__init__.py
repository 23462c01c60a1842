"""study=architecture: how a GPT's shape changes its loss, and its speed, at one number of parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from ... import choices
from ...choices import choice
from ...contracts import Count, Share, StudyChoice, TaskChoice, Work
from ...models.cost import parameters
from ...models.gpt import Gpt

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pandas as pd

TOLERANCE = 0.005  # largest share by which a model's parameters may differ from what was asked for
TEXT = {"name": "pydoc", "vocabulary": 257, "context": 128}  # bytes


@choice("study", "architecture", source="arXiv:2510.18245")
class Architecture(StudyChoice):
    """One shape, trained (question=loss) or decoding (question=throughput); the page fits the conditional law.

    The MLP takes what attention leaves of the parameters, so that width and heads are the shape. N counts all but the
    embeddings. Every shape sees the same batches in the same order, and the learning rate of a matrix falls with its
    inputs: 64 / inputs times `learning_rate`, which was chosen at one shape.
    """

    question: Literal["loss", "throughput"] = "loss"  # train and measure the loss, or decode and measure the speed
    parameters: Count = 98_304  # N, without embeddings; met within 0.5 %
    width: Annotated[int, Field(ge=8)] = 64  # numbers a token
    heads: Count = 4  # attention heads
    kv_heads: Count | None = None  # heads of keys and values; null: half as many as heads
    depth: Count = 4  # layers
    head_size: Annotated[int, Field(ge=2)] = 16  # numbers a head
    precision: Literal["float32", "bfloat16"] = "float32"  # of the products
    task: dict[str, Any] = Field(default=TEXT)  # loss: a task of text and its settings
    tokens_per_parameter: Annotated[float, Field(gt=0)] = 20.0  # loss: D / N
    learning_rate: Annotated[float, Field(gt=0)] = 0.006  # loss: the largest of the schedule
    weight_decay: Annotated[float, Field(ge=0)] = 0.05  # loss: of the matrices of the layers
    batch_size: Count = 8  # loss: windows a step
    warmup: Share = 0.05  # loss: share of the steps in which the learning rate rises; it then falls to zero
    texts: Count = 32  # throughput: texts that are decoded at once
    context: Annotated[int, Field(ge=64)] = 512  # throughput: tokens that the last new one reads
    fingerprint: str = ""  # of the task's bytes; filled in
    made_by: str = ""  # the code of the task, where its settings do not tell; filled in

    @model_validator(mode="after")
    def _shape(self) -> Self:
        self.chosen_task  # noqa: B018
        counts = parameters(self.model, 0, 0)
        if self.mlp_width < 1 or abs(counts.body / self.parameters - 1) > TOLERANCE:
            nearest = (
                f"{counts.body:,} with an MLP of {self.mlp_width}"
                if self.mlp_width >= 1
                else "attention alone has more"
            )
            raise ValueError(
                f"no MLP gives {self.depth} layers of width {self.width} with {self.heads} heads {self.parameters:,} "
                f"parameters within 0.5 % ({nearest}): another study.width, study.heads or study.parameters"
            )
        return self

    @property
    def mlp_width(self) -> int:
        """Hidden units of the MLP: what attention and norms leave of the parameters."""
        bare = parameters(self._with(1.0), 0, 0)
        left = self.parameters - bare.attention - bare.norms
        return round(left / (3 * self.width * self.depth))

    @property
    def model(self) -> Gpt:
        return self._with(max(self.mlp_width, 1) / self.width)

    def _with(self, mlp_ratio: float) -> Gpt:
        keys = self.kv_heads or max(1, self.heads // 2)
        return Gpt(width=self.width, depth=self.depth, heads=self.heads, kv_heads=keys, head_size=self.head_size,
                   mlp="swiglu", mlp_ratio=mlp_ratio)  # fmt: skip

    @property
    def chosen_task(self) -> TaskChoice:
        found = choices.chosen("task", self.task, TaskChoice)
        if found.reads != "text":
            raise ValueError(
                f"study.task={found.name} is {found.reads}, and a GPT reads text: study.task={{name: pydoc}}"
            )
        return found

    def simplified(self) -> Self:
        """Without what the question does not read, and with the fingerprint of the text."""
        names = type(self).model_fields
        if self.question == "throughput":
            idle = ("task", "tokens_per_parameter", "learning_rate", "weight_decay", "batch_size", "warmup")
            return self.model_copy(update={name: names[name].default for name in idle})
        usual = {name: names[name].default for name in ("texts", "context")}
        task = self.chosen_task
        usual |= {"fingerprint": task.fingerprint(), "made_by": choices.code_of(task)}
        return self.model_copy(update=usual)

    def title(self) -> str:
        return f"{self.question} of {self.parameters:,} parameters, width {self.width}, {self.heads} heads"

    def measure(self, work: Work) -> tuple[dict[str, pd.DataFrame], dict[str, float]]:
        """The metrics of one shape: its loss after training, or the tokens a second that it decodes."""
        from .measuring import decoded, trained

        counts = parameters(self.model, 0, 0)
        shape = {"x": self.width / self.parameters**0.5, "r": counts.ratio, "body": float(counts.body),
                 "keys": float(self.model.kv_heads or self.heads)}  # fmt: skip
        return {}, shape | (trained(self, work) if self.question == "loss" else decoded(self, work))

    @classmethod
    def runs(cls, tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
        import pandas as pd

        from . import choosing, fits, forms

        found = [rows(tables["runs"]) for rows in (fits.rows, choosing.rows, forms.rows)]
        return pd.concat([one for one in found if len(one)], ignore_index=True)

    @classmethod
    def points(cls, runs: pd.DataFrame) -> pd.DataFrame:
        from .fits import points

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
