"""The task: chains of arithmetic modulo 10, three formats of their solutions, and the parser that checks them.

A chain `3 + 5 * 2` is worked from left to right, so that its answer is (3 + 5) * 2 = 6. A trace is a solution of it:

    prog    def x = 3 ; x = x + 5 ; x = x * 2 ; ret x                   a program, executed by the verifier
    expr    py 3 + 5 * 2 end                                            an expression, worked by the verifier
    words   start 3 then plus 5 gives 8 then times 2 gives 6 so 6       words, in which the model itself computes

These stand for TinyGSM, OpenMathInstruct1 and OpenMathInstruct2 in arXiv:2504.07912. A trace is of a format where the
whole of it, up to its end, is as one of the format's templates; else it is of none and has no answer. What one word
of it says never decides: a program that does not end is no program.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ...contracts import Indices

FORMATS = ("prog", "expr", "words")
NONE = -1  # the format, and the answer, of what is malformed
OPERATORS = ("+", "-", "*")
WORDS = ("plus", "minus", "times")  # the same, in the format `words`
TOKENS = (
    *map(str, range(10)), *OPERATORS, *WORDS,
    "start", "then", "gives", "so", "def", "x", "=", ";", "ret", "py", "end", "?", "<begin>", "<pad>", "<stop>",
)  # fmt: skip
TOKEN = {word: place for place, word in enumerate(TOKENS)}
BEGIN, PAD, STOP, ASK = (TOKEN[word] for word in ("<begin>", "<pad>", "<stop>", "?"))
OPERATOR, WORD = TOKEN["+"], TOKEN["plus"]  # where the operators begin


@dataclass(frozen=True, slots=True)
class Chains:
    """N chains of at most M operands; what is beyond a chain's own number of operands is 0."""

    operands: Indices  # (N, M) digits
    operators: Indices  # (N, M - 1) places in OPERATORS; the first stands before the second operand
    number: Indices  # (N,) operands of each

    def __len__(self) -> int:
        return len(self.number)

    def take(self, rows: Indices | NDArray[np.bool_]) -> Chains:
        return Chains(self.operands[rows], self.operators[rows], self.number[rows])

    @property
    def identity(self) -> Indices:
        """(N,) one number for each chain, equal for equal chains."""
        found = self.number.copy()
        for column in (*self.operands.T, *self.operators.T):
            found = found * 10 + column
        return found


def chains(draw: np.random.Generator, number: int, least: int, most: int) -> Chains:
    """Chains of `least` to `most` operands, each number of them as likely."""
    length = draw.integers(least, most + 1, number)
    operands, operators = draw.integers(0, 10, (number, most)), draw.integers(0, 3, (number, most - 1))
    inside = np.arange(most) < length[:, None]
    return Chains(operands * inside, operators * inside[:, 1:], length)


def partial_answers(of: Chains) -> Indices:
    """(N, M) the result after each operand; beyond the last one it stays as it is."""
    found = [of.operands[:, 0]]
    for step in range(1, of.operands.shape[1]):
        own, operand = found[-1], of.operands[:, step]
        results = np.stack([own + operand, own - operand, own * operand]) % 10
        chosen = np.take_along_axis(results, of.operators[None, :, step - 1], 0)[0]
        found.append(np.where(step < of.number, chosen, own))
    return np.stack(found, 1)


def answers(of: Chains) -> Indices:
    """(N,) the right answers."""
    return partial_answers(of)[:, -1]


def prompts(of: Chains) -> Indices:
    """(N, 2 M + 1) tokens: the beginning, the chain with padding to its left, the question mark."""
    most = of.operands.shape[1]
    found = np.full((len(of), 2 * most + 1), PAD)
    found[:, 0], found[:, -1] = BEGIN, ASK
    for number in np.unique(of.number):
        rows = np.flatnonzero(of.number == number)
        start = 2 * (most - number) + 1
        found[rows, start:-1:2] = of.operands[rows, :number]
        found[rows, start + 1 : -1 : 2] = OPERATOR + of.operators[rows, : number - 1]
    return found


def length(most: int) -> int:
    """Tokens of the longest trace of chains of `most` operands, with its end."""
    return max(len(template(name, most)) for name in FORMATS) + 1


@cache
def template(name: str, number: int) -> tuple[str, ...]:
    """The words of a trace of so many operands; `digit`, `operator`, `word` and `result` stand for what fills them."""
    again = number - 1
    if name == "prog":
        return ("def", "x", "=", "digit", ";", *("x", "=", "x", "operator", "digit", ";") * again, "ret", "x")
    if name == "expr":
        return ("py", "digit", *("operator", "digit") * again, "end")
    return ("start", "digit", *("then", "word", "digit", "gives", "result") * again, "so", "result")


def write(of: Chains, name: str) -> Indices:
    """(N, length) the traces of these chains in a format: STOP ends each and fills the rest."""
    found, results = np.full((len(of), length(of.operands.shape[1])), STOP), partial_answers(of)
    for number in np.unique(of.number):
        rows, words = np.flatnonzero(of.number == number), template(name, int(number))
        steps = results[rows, 1:number]
        filling = {
            "digit": iter(of.operands[rows, :number].T),
            "operator": iter(OPERATOR + of.operators[rows, : number - 1].T),
            "word": iter(WORD + of.operators[rows, : number - 1].T),
            "result": iter((*steps.T, results[rows, number - 1])),
        }
        for place, word in enumerate(words):
            found[rows, place] = next(filling[word]) if word in filling else TOKEN[word]
    return found


@dataclass(frozen=True, slots=True)
class Parsed:
    """What the parser makes of N traces."""

    formats: Indices  # (N,) places in FORMATS, or NONE
    answers: Indices  # (N,) digits, or NONE
    ended: NDArray[np.bool_]  # (N,) whether a STOP was met
    lengths: Indices  # (N,) tokens, the STOP included


def parse(traces: Indices) -> Parsed:
    """Tell the format of each of the traces (N, L) and work out its answer. What follows the first STOP is not read."""
    stops = traces == STOP
    ended = stops.any(1)
    ends = np.where(ended, stops.argmax(1), traces.shape[1])
    formats, found = np.full(len(traces), NONE), np.full(len(traces), NONE)
    for kind, number, words in _templates(traces.shape[1]):
        rows = np.flatnonzero((ends == len(words)) & ended)
        rows = rows[(traces[rows, 0] == TOKEN[words[0]])]
        rows = rows[_fits(traces[rows, : len(words)], words)]
        if len(rows):
            formats[rows], found[rows] = kind, _answer(traces[rows], words, number)
    return Parsed(formats, found, ended, np.where(ended, ends + 1, ends))


def _templates(longest: int) -> Iterator[tuple[int, int, tuple[str, ...]]]:
    """Every template with its format and number of operands that ends within so many tokens."""
    for kind, name in enumerate(FORMATS):
        number = 1
        while len(words := template(name, number)) < longest:
            yield kind, number, words
            number += 1


def _fits(tokens: Indices, words: tuple[str, ...]) -> NDArray[np.bool_]:
    """(N,) whether each of the tokens (N, L) is one that the word at its place allows."""
    low, high = _ranges(words)
    inside: NDArray[np.bool_] = (tokens >= low) & (tokens < high)
    return np.asarray(inside.all(1))


@cache
def _ranges(words: tuple[str, ...]) -> tuple[Indices, Indices]:
    filling = {"digit": (0, 10), "result": (0, 10), "operator": (OPERATOR, OPERATOR + 3), "word": (WORD, WORD + 3)}
    ends = np.array([filling[word] if word in filling else (TOKEN[word], TOKEN[word] + 1) for word in words])
    return ends[:, 0], ends[:, 1]


def _answer(traces: Indices, words: tuple[str, ...], number: int) -> Indices:
    """(N,) a program and an expression are executed; words say their answer at the end."""
    if words[-1] == "result":
        said: Indices = traces[:, len(words) - 1]
        return said
    operands = traces[:, [place for place, word in enumerate(words) if word == "digit"]]
    operators = traces[:, [place for place, word in enumerate(words) if word == "operator"]] - OPERATOR
    return answers(Chains(operands, operators, np.full(len(traces), number)))


def said(tokens: Indices) -> str:
    """Tokens as a person reads them, up to the end."""
    return " ".join(TOKENS[token] for token in tokens if token not in (PAD, STOP))
