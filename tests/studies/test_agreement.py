"""Theory against simulation: the rule that is judged, and how often it errs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from prune_lab.experiments.studies.perceptron.figures import judged, points, verdict

THEORY, SPREAD, DRAWS = 0.2, 0.01, 20


def students(generator: np.random.Generator, deviations: list[float]) -> pd.DataFrame:
    """A point for each deviation from the theory, as a share of its error."""
    known = {"rule": "hard", "theta": 0, "margin": "abs", "keep": 0.5, "dimension": 200, "theory": THEORY}
    rows = [
        known | {"alpha": alpha, "draw": draw, "error": THEORY * (1 + deviation) + generator.normal(0, SPREAD)}
        for alpha, deviation in enumerate(deviations) for draw in range(DRAWS)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_of_studies_that_agree_one_in_twenty_has_a_point_that_seems_not_to() -> None:
    generator = np.random.default_rng(0)
    wrong = sum(not judged(students(generator, [0.0] * 8))["agrees"].all() for _ in range(60))
    assert wrong <= 6


def test_a_deviation_that_the_draws_show_is_no_agreement() -> None:
    """Within 6 % plus 2 standard errors was called agreement: 5 % off, at a standard error of 1 %."""
    found = judged(students(np.random.default_rng(1), [0.0, 0.05, 0.0]))
    agreeing = points(found).set_index("alpha")["agrees"]
    assert agreeing.tolist() == [True, False, True]
    assert "agree with the theory at 2 of 3 points" in verdict(found)
    assert found.groupby("alpha")["deviation"].mean().to_numpy() == pytest.approx([0, 0.05, 0], abs=0.03)


def test_students_of_two_dimensions_are_two_points() -> None:
    draws = students(np.random.default_rng(2), [0.0])
    other = draws.assign(dimension=20, error=draws["error"] + 0.1)
    found = points(judged(pd.concat([draws, other], ignore_index=True)))
    assert found["draws"].tolist() == [DRAWS, DRAWS]
    assert found.set_index("dimension")["agrees"].to_dict() == {20: False, 200: True}
