"""How unlike a target a text is, by its words and pairs of words (after DSIR, arXiv:2302.03169). Needs no proxy."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np

from ..contracts import Floats, Indices
from ..errors import ConfigError

WORD = re.compile(r"\w+|[^\w\s]+")  # a run of letters and digits, or of other signs


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
