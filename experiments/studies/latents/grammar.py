"""The Random Hierarchy Model: a random grammar of fixed depth, and strings drawn from it (arXiv:2307.02129 §2).

Level 0 is the visible tokens, level `depth` the root. Each symbol of a level is written as any of `synonyms` tuples of
`branching` symbols of the level below. The tuples of a level are drawn without replacement, so a tuple has one parent
at most and a string one root; every position of a level uses the same rules.
"""

from __future__ import annotations

import os
from dataclasses import InitVar, dataclass, field
from typing import Any

import numpy as np

from ...contracts import Indices
from ...errors import ConfigError, DataUnavailable
from ...seeds import numpy_stream

SYMBOL = 8  # bytes of one, an int64
SAMPLING = 1.25  # the most memory that sampling takes, in units of what it returns


@dataclass(frozen=True, eq=False)
class Grammar:
    """A random grammar: vocabulary v, synonyms m, branching s and `classes` root symbols (v where none are given).

    `seed` draws the rules alone; `sample` has a seed of its own. ConfigError where no such grammar exists,
    DataUnavailable where not even one string fits in this machine's memory.
    """

    depth: int
    vocabulary: int
    synonyms: int
    branching: int
    classes: int | None = field(default=None, kw_only=True)
    seed: InitVar[int] = field(kw_only=True)
    rules: tuple[Indices, ...] = field(init=False, repr=False)  # (symbols, m, s) each, the root's first

    def __post_init__(self, seed: int) -> None:
        check(self.depth, self.vocabulary, self.synonyms, self.branching, self.classes)
        for name in ("depth", "vocabulary", "synonyms", "branching"):  # of NumPy's, powers would overflow
            object.__setattr__(self, name, int(getattr(self, name)))
        check_rules(self.depth, max(self.vocabulary, self.num_classes) * self.synonyms, self.vocabulary, self.branching)
        check_memory(1, self.depth, self.branching)
        draw = numpy_stream(whole("seed", seed, None), "rules")
        tuples = self.vocabulary**self.branching
        rules = []
        for symbols in (self.num_classes, *[self.vocabulary] * (self.depth - 1)):
            codes = draw.choice(tuples, symbols * self.synonyms, replace=False)
            digits = np.stack(np.unravel_index(codes, (self.vocabulary,) * self.branching), axis=-1)
            rules.append(digits.reshape(symbols, self.synonyms, self.branching))
        object.__setattr__(self, "rules", tuple(rules))

    @property
    def num_classes(self) -> int:
        return self.vocabulary if self.classes is None else int(self.classes)

    @property
    def filling(self) -> float:
        """f: the share of all tuples that the grammar uses."""
        return filling(self.vocabulary, self.synonyms, self.branching)

    def sample(self, number: int, seed: int) -> list[Indices]:
        """Every level of `number` strings, the root first: (number, branching**k) for k from 0 to `depth`.

        The last level is what a learner sees; the others are there for scoring. Roots and rules are uniform.
        """
        number, draw = whole("number", number, 1), numpy_stream(whole("seed", seed, None), "strings")
        check_memory(number, self.depth, self.branching)
        levels = [draw.integers(self.num_classes, size=(number, 1))]
        for rules in self.rules:
            rule = levels[-1] * self.synonyms + draw.integers(self.synonyms, size=levels[-1].shape)
            levels.append(rules.reshape(-1, self.branching)[rule].reshape(number, -1))
        return levels


def filling(vocabulary: int, synonyms: int, branching: int) -> float:
    """f = m / v^(s - 1), the share of all tuples that a grammar uses."""
    return synonyms / float(vocabulary ** (branching - 1))


def check(depth: int, vocabulary: int, synonyms: int, branching: int, classes: int | None) -> None:
    """ConfigError where there is no unambiguous grammar of these sizes."""
    sizes: dict[str, tuple[Any, int]] = {
        "depth": (depth, 1), "vocabulary": (vocabulary, 2), "synonyms": (synonyms, 1), "branching": (branching, 2),
        "classes": (vocabulary if classes is None else classes, 2),
    }  # fmt: skip
    depth, vocabulary, synonyms, branching, _ = (whole(name, *one) for name, one in sizes.items())
    tuples = vocabulary**branching
    if tuples >= 2**63:
        raise ConfigError(
            f"a vocabulary of {vocabulary} has {vocabulary}^{branching} tuples, more than an integer can number",
            "a smaller vocabulary or branching",
        )
    if vocabulary * synonyms > tuples:
        raise ConfigError(
            f"synonyms={synonyms} gives {vocabulary} symbols {vocabulary * synonyms} tuples, and there are only "
            f"{vocabulary}^{branching} = {tuples}: some tuple would have two parents",
            f"synonyms of at most {vocabulary ** (branching - 1)}, or a larger vocabulary",
        )
    if classes is not None and classes * synonyms > tuples:
        raise ConfigError(
            f"classes={classes} with {synonyms} synonyms each need {classes * synonyms} tuples, and there are only "
            f"{tuples}: some class would have no string of its own",
            f"classes of at most {tuples // synonyms}",
        )


def whole(name: str, value: Any, least: int | None) -> int:
    """The value as an int; ConfigError where it is no whole number, or below the least."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or (least is not None and value < least):
        up = "" if least is None else f" from {least} up"
        said = repr(value) if isinstance(value, str) else value
        raise ConfigError(f"{name}={said} must be a whole number{up}", f"{name}={least or 0}")
    return int(value)


def check_memory(number: int, depth: int, branching: int, *, peak: float = SAMPLING) -> None:
    """DataUnavailable where strings with all of their levels, times `peak`, need more than this machine's memory."""
    strings = "a string" if number == 1 else f"{number:,} strings"
    size = number * SYMBOL * (branching ** (depth + 1) - 1) // (branching - 1)
    _fits(
        f"{strings} of depth {depth} ({branching}^{depth} tokens each)", size * int(100 * peak) // 100,
        "a smaller depth, or fewer strings",
    )  # fmt: skip


def check_rules(depth: int, tuples: int, vocabulary: int, branching: int) -> None:
    """DataUnavailable where the rules of `tuples` a level, or drawing them, need more than this machine's memory."""
    every = vocabulary**branching
    drawn = every if 50 * tuples > every else 0  # NumPy shuffles all of them unless it draws fewer than one in 50
    size = SYMBOL * (drawn + 2 * depth * tuples * branching)
    _fits(f"the rules of {tuples:,} tuples a level, of {every:,}", size, "a smaller vocabulary, or fewer synonyms")


def _fits(what: str, size: int, mend: str) -> None:
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if size > memory:
        raise DataUnavailable(f"{what} need {size / 2**30:,.0f} GiB, and this machine has {memory / 2**30:,.0f}", mend)
