"""What each score for text finds among random words and among documents that are there four times."""

from __future__ import annotations

import numpy as np
import pytest

from prune_lab.cli import compose
from prune_lab.experiments import choices

from ..planted import watched
from ..planted_text import KINDS, SCORES, PlantedText, plant
from .test_planted import AVOIDS, BLIND, FINDS, SCORERS

# Probability that a window of a kind scores above a plain one: random words, copied documents.
# Four draws lie inside these bounds.
EXPECTED: dict[str, tuple[tuple[float, float], tuple[float, float]]] = {
    "el2n": (FINDS, BLIND),
    "grand": (FINDS, (0.35, 0.6)),
    "margin": (FINDS, BLIND),
    "aum": (FINDS, (0.35, 0.6)),
    "loss": (FINDS, (0.3, 0.5)),
    "entropy": (FINDS, BLIND),
    "prototypes": (AVOIDS, (0.25, 0.55)),  # to the proxy all random words are alike, and have a centre of their own
    "d2": (BLIND, (0.45, 0.65)),
    "ensemble_disagreement": (FINDS, (0.3, 0.6)),
    "tracin": ((0.1, 0.4), (0.35, 0.6)),  # what helps dev is another matter: the draws lie far apart
    "perplexity": (FINDS, BLIND),
    "continuation": ((0.75, 0.95), (0.35, 0.55)),
    "ngram_importance": (FINDS, (0.5, 0.6)),
    "duplicates": (AVOIDS, AVOIDS),
}


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> PlantedText:
    return plant(tmp_path_factory.mktemp("planted"))


@pytest.mark.parametrize("name", SCORES)
def test_what_a_score_finds_in_text(planted: PlantedText, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read = watched(monkeypatch, planted.task)
    scores = SCORES[name](planted)
    assert ("dev" in read) == bool(choices.get("scorer", name).sees_dev), "sees_dev is not what it reads"
    for kind, (low, high) in zip(KINDS, EXPECTED[name], strict=True):
        assert low <= planted.auroc(scores, kind) <= high, kind


def test_every_scorer_that_text_has_is_judged_here() -> None:
    (run,) = compose.runs("score", ["task=pydoc"])

    def fits(name: str) -> bool:
        try:
            choices.get("scorer", name)().fits(run)
        except ValueError:
            return False
        return True

    assert set(SCORES) == {name for name in SCORERS - {"random", "file"} if fits(name)}


def test_the_hardest_half_by_duplicates_holds_no_copy_twice(planted: PlantedText) -> None:
    scores = SCORES["duplicates"](planted)[0]
    kept = set(np.argsort(-scores, kind="stable")[: len(scores) // 2].tolist())
    held = [planted.texts[row] for row, kind in enumerate(planted.kinds) if kind == "copied" and row in kept]
    assert len(held) == len(set(held)) > 10
