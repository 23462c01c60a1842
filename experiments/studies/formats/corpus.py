"""The corpus: chains with a solution each, in formats by shares, some of them wrong, as a language model's data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...contracts import IGNORED, Data, Examples, Indices, Split
from ...errors import ConfigError
from ...seeds import numpy_stream
from .task import FORMATS, STOP, TOKENS, Chains, answers, chains, prompts, said, write

if TYPE_CHECKING:
    from . import Formats

TRIES = 100  # to find a corruption that changes the answer; a random one does in most cases


@dataclass(frozen=True, slots=True)
class Corpus:
    """What a model is pretrained on: a row an example, repeats included."""

    chains: Chains
    formats: Indices  # (N,) places in FORMATS
    traces: Indices  # (N, L)
    wrong: NDArray[np.bool_]  # (N,) a random error was planted
    dropped: NDArray[np.bool_]  # (N,) the last step was dropped: the systematic gap of programs


def held_out(study: Formats, seed: int) -> Chains:
    """The chains that models are tested on, each once."""
    drawn = chains(numpy_stream(seed, "tested"), 4 * study.tested, study.least, study.most)
    _, first = np.unique(drawn.identity, return_index=True)
    return drawn.take(np.sort(first)[: study.tested])


def fresh(study: Formats, number: int, seed: int, name: str, *counters: int) -> Chains:
    """Chains of a stream of their own, none of them among those that are held out."""
    drawn = chains(numpy_stream(seed, name, *counters), 2 * number + 100, study.least, study.most)
    left = drawn.take(~np.isin(drawn.identity, held_out(study, seed).identity))
    return left.take(np.arange(number))


def numbers(study: Formats) -> Indices:
    """Distinct examples of each format; ConfigError where a format has none."""
    found = np.round(np.array(study.shares) * study.examples).astype(int)
    if (found == 0).any():
        name = FORMATS[int(np.argmin(found))]
        raise ConfigError(
            f"of study.examples={study.examples} none is in the format {name}: its share is "
            f"{study.shares[int(np.argmin(found))]:g}", "a larger share in study.shares, or more study.examples",
        )  # fmt: skip
    return found


def corpus(study: Formats, seed: int) -> Corpus:
    """The corpus of a seed. The examples of a format are each repeated as often as `repeats` says."""
    number = numbers(study)
    solved = fresh(study, int(number.sum()), seed, "corpus")
    formats, draw = np.repeat(np.arange(len(FORMATS)), number), numpy_stream(seed, "errors")
    gap = np.flatnonzero([one in study.gaps for one in ("+", "-", "*")])
    last = solved.operators[:, -1]
    dropped = (formats == 0) & (solved.number == study.most) & np.isin(last, gap)
    wrong = (draw.random(len(solved)) < np.array(study.errors)[formats]) & ~dropped
    solution = corrupted(solved, np.flatnonzero(wrong), draw)
    wrong &= answers(solution) != answers(solved)
    solution = Chains(solution.operands, solution.operators, solution.number - dropped)
    inside = np.arange(study.most) < solution.number[:, None]
    solution = Chains(solution.operands * inside, solution.operators * inside[:, 1:], solution.number)
    every = np.stack([write(solution, name) for name in FORMATS])
    traces = every[formats, np.arange(len(solved))]
    rows = np.repeat(np.arange(len(solved)), np.array(study.repeats)[formats])
    return Corpus(solved.take(rows), formats[rows], traces[rows], wrong[rows], dropped[rows])


def corrupted(of: Chains, rows: Indices, draw: np.random.Generator) -> Chains:
    """The chains with one digit or operator of these rows changed, so that each of them has another answer.

    A few have the same answer under every change, as 5 * 0 * 0: they stay as they are.
    """
    right, operands, operators = answers(of), of.operands.copy(), of.operators.copy()
    for _ in range(TRIES):
        if not len(rows):
            break
        place = draw.integers(0, 2 * of.number[rows] - 1)
        shift = draw.integers(1, 10, len(rows))
        of_digit = place < of.number[rows]
        digits, signs = rows[of_digit], rows[~of_digit]
        operands[rows], operators[rows] = of.operands[rows], of.operators[rows]
        operands[digits, place[of_digit]] = (operands[digits, place[of_digit]] + shift[of_digit]) % 10
        sign = place[~of_digit] - of.number[signs]
        operators[signs, sign] = (operators[signs, sign] + 1 + shift[~of_digit] % 2) % 3
        rows = rows[answers(Chains(operands, operators, of.number).take(rows)) == right[rows]]
    operands[rows], operators[rows] = of.operands[rows], of.operators[rows]
    return Chains(operands, operators, of.number)


def data_of(of: Corpus, dev: Corpus) -> Data:
    """The corpus as the lab's data: windows of tokens, whose targets are the solutions alone."""
    splits: dict[Split, Examples] = {"train": windows(of), "dev": windows(dev), "test": windows(dev)}
    return Data("formats", "text", splits, (), vocabulary=len(TOKENS), decode=lambda tokens: said(np.array(tokens)))


def windows(of: Corpus) -> Examples:
    """(N, P + L - 1) tokens and the next ones; IGNORED in the question and after the end."""
    asked = prompts(of.chains)
    tokens = np.concatenate([asked, of.traces], 1)
    targets = tokens[:, 1:].copy()
    targets[:, : asked.shape[1] - 1] = IGNORED
    stops = of.traces == STOP
    targets[:, asked.shape[1] - 1 :][np.cumsum(stops, 1) - stops > 0] = IGNORED
    ids = np.array([f"{FORMATS[form]} {row}" for row, form in enumerate(of.formats)])
    counted = (targets != IGNORED).sum(1)
    units = {"tokens": counted, "bytes": counted}  # a byte a token
    return Examples(tokens[:, :-1], targets, ids, units=units, noisy=of.wrong | of.dropped)
