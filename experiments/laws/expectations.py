"""An experiment as data: the grids of overrides that make its runs, and what is expected of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ..contracts import Settings


class Point(Settings):
    """Which evaluated runs: every setting named must match (dotted keys as in `table.csv`)."""

    where: dict[str, Any]
    metric: str = "accuracy"


class Expectation(Settings):
    """A claim as data: the 95 % interval of `point` (minus `versus`) is in [at_least, at_most], and what comes out."""

    claim: str
    source: str
    differs: str = ""  # in what our setting is not the source's; empty: in nothing
    expected: Literal["holds", "fails", "undecided"] = "holds"  # here; `--check` stops where another verdict comes out
    point: Point
    versus: Point | None = None
    at_least: float | None = None
    at_most: float | None = None
    anytime: bool = False  # whether seeds may be added until it is decided: its interval is then a confidence sequence

    @model_validator(mode="after")
    def _bounded(self) -> Expectation:
        if self.at_least is None and self.at_most is None:
            raise ValueError(f"expectation {self.claim!r} needs at_least or at_most")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError(
                f"expectation {self.claim!r} has at_least: {self.at_least:g} above at_most: {self.at_most:g}"
            )
        return self


class Size(Settings):
    """One size of an experiment: its grids of overrides, words that all of them share, and what is expected."""

    title: str | None = None  # null: the experiment's
    settings: tuple[str, ...] = ()
    grids: tuple[tuple[str, ...], ...]
    expect: tuple[Expectation, ...] = ()


class Experiment(Settings):
    """A figure or a table: the grids of overrides that make its runs, and what is expected of them.

    The grids here are of the size `cpu`; `sizes` has the others (smoke for CI, paper for a GPU).
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,80}$")]
    title: str
    phase: Literal["evaluate", "simulate", "search"] = "evaluate"  # what its runs end in
    grids: tuple[tuple[str, ...], ...]
    expect: tuple[Expectation, ...] = ()
    sizes: dict[str, Size] = Field(default_factory=dict)
    size: str = "cpu"

    @model_validator(mode="after")
    def _size(self) -> Experiment:
        if self.size not in ("cpu", *self.sizes):
            raise ValueError(f"there is no experiment.size={self.size}. There is: {', '.join(('cpu', *self.sizes))}")
        return self

    @property
    def chosen(self) -> Size:
        """The grids and expectations of the size."""
        return self.sizes.get(self.size) or Size(grids=self.grids, expect=self.expect)

    @property
    def anytime(self) -> Experiment:
        """The same, with claims of which seeds may be added until they are decided."""
        expect = tuple(one.model_copy(update={"anytime": True}) for one in self.chosen.expect)
        if self.size not in self.sizes:
            return self.model_copy(update={"expect": expect})
        return self.model_copy(
            update={"sizes": self.sizes | {self.size: self.chosen.model_copy(update={"expect": expect})}}
        )

    @property
    def folder(self) -> str:
        """The report's name."""
        return self.name if self.size == "cpu" else f"{self.name}_{self.size}"
