"""scorer=ngram_importance: how unlike a target a text is, by its words and pairs of words."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Annotated, Any

import numpy as np
from pydantic import Field, model_validator

from ..choices import choice
from ..contracts import IGNORED, Data, Evidence, Floats, Indices, Place, ScorerChoice, Split
from ..errors import ConfigError
from .evidence import of_text

WORD = re.compile(r"\w+|[^\w\s]+")  # a run of letters and digits, or of other signs


@choice("scorer", "ngram_importance", source="after DSIR, arXiv:2302.03169")
class NgramImportance(ScorerChoice):
    """How unlike a target text the words and pairs of words are. No proxies."""

    sees_dev = "target"
    higher_means = "less like the target"
    target: Place | None = None  # a file or folder of text; null: the dev split
    column: str = "text"  # the target's, in parquet or jsonl
    buckets: Annotated[int, Field(ge=2)] = 10_000  # that n-grams are hashed into
    smoothing: Annotated[float, Field(gt=0, lt=1)] = 0.1  # share of the pool's frequencies mixed into the target's

    @model_validator(mode="after")
    def _column(self) -> NgramImportance:
        if self.target is None and self.column != "text":
            raise ValueError("scorer.column is the target's, and needs scorer.target=FOLDER_OR_FILE")
        return self

    def fits(self, run: Any) -> None:
        of_text(self.name, run)

    def recipe(self) -> Any:
        from ..data.load import target_fingerprint

        return self if self.target is None else self.model_copy(update={"target": target_fingerprint(self.target)})

    def score(self, evidence: Evidence) -> Floats:
        from ..data.load import target_texts

        data = evidence.data
        if self.target is None:
            target, note = texts_of(data, "dev"), f"target: the dev split, {len(data.splits['dev'].ids):,} windows"
        else:
            target, note = target_texts(self.target, self.column)
        evidence.decide(note)
        return ngram_importance(texts_of(data, "train"), target, buckets=self.buckets, smoothing=self.smoothing)


def texts_of(data: Data, split: Split) -> list[str]:
    """(N,) the text of each window, as far as its tokens go: a word at its edge may be cut."""
    assert data.decode is not None, f"{data.name} is no text"
    return [data.decode(row[row != IGNORED].tolist()) for row in data.splits[split].targets]


def ngram_importance(
    texts: Sequence[str], target: Iterable[str], *, buckets: int = 10_000, smoothing: float = 0.1
) -> Floats:
    """(N,) minus the log importance of each text: the sum over its unigrams and bigrams of -log(p_target / p_raw).

    As in the paper the sum is over all n-grams and not divided by their number. `p_raw` are the frequencies among
    `texts`; `p_target` mixes a share `smoothing` of them into the target's (Jelinek-Mercer), so that an n-gram which
    the target lacks costs log(1 / smoothing), however small the target.
    """
    rows = [hashed(text, buckets) for text in texts]
    raw, wanted = counts(rows, buckets), counts((hashed(text, buckets) for text in target), buckets)
    if not wanted.any():
        raise ConfigError("the target of scorer=ngram_importance has no words", "scorer.target=FOLDER_OR_FILE")
    there = raw > 0
    logarithm = np.zeros(buckets)
    logarithm[there] = np.log((1 - smoothing) * (wanted / wanted.sum())[there] / (raw / raw.sum())[there] + smoothing)
    scores: Floats = np.array([0.0 - logarithm[row].sum() for row in rows])
    return scores


def hashed(text: str, buckets: int) -> Indices:
    """The bucket of every unigram and bigram of a text, in lower case; the same on every machine."""
    words = WORD.findall(text.lower())
    ngrams = [*words, *map(" ".join, pairwise(words))]
    return np.array([zlib.crc32(ngram.encode()) % buckets for ngram in ngrams], np.int64)


def counts(rows: Iterable[Indices], buckets: int) -> Floats:
    """(buckets,) how often each bucket occurs."""
    total = np.zeros(buckets)
    for row in rows:
        np.add.at(total, row, 1)
    return total
