"""Effects of a full factorial design, against outcomes made of known effects."""

from __future__ import annotations

import numpy as np
import pytest

from prune_lab.experiments.laws.factorial import effects, gains

FACTORS = ("prune", "equalise", "allocate")


def made(**added: float) -> np.ndarray:
    """(2 seeds, 2, 2, 2): the sum of what each set of factors that are done adds; the second seed is 1 higher."""
    found = np.zeros((2, 2, 2, 2))
    for levels in np.ndindex(2, 2, 2):
        done = {name for name, level in zip(FACTORS, levels, strict=True) if level}
        found[(slice(None), *levels)] = sum(value for name, value in added.items() if set(name.split("_")) <= done)
    found[1] += 1
    return found


def test_factors_that_add_have_their_own_effects_and_no_interaction() -> None:
    found = effects(made(prune=2, equalise=-1, allocate=0.5), FACTORS)
    assert list(found) == ["prune", "equalise", "allocate", "prune × equalise", "prune × allocate",
                           "equalise × allocate", "prune × equalise × allocate"]  # fmt: skip
    values = [one.tolist() for one in found.values()]
    assert values == [[2, 2], [-1, -1], [0.5, 0.5], [0, 0], [0, 0], [0, 0], [0, 0]]


def test_an_interaction_is_how_much_more_a_factor_adds_where_another_is_done() -> None:
    found = effects(made(prune=2, prune_equalise=3), FACTORS)
    assert found["prune × equalise"][0] == 3
    assert found["prune"][0] == 2 + 3 / 2  # the mean over whether the other is done
    assert found["equalise"][0] == 3 / 2
    assert found["prune × allocate"][0] == 0
    assert found["prune × equalise × allocate"][0] == 0
    three = effects(made(prune_equalise_allocate=4), FACTORS)
    assert three["prune × equalise × allocate"][0] == 4
    assert three["prune × equalise"][0] == 2
    assert three["allocate"][0] == 1


def test_gains_are_alone_and_after_all_factors_before() -> None:
    found = gains(made(prune=2, equalise=-1, allocate=0.5, prune_equalise=3, prune_equalise_allocate=4), FACTORS)
    assert [one.tolist() for one in found["prune"]] == [[2, 2], [2, 2]]
    assert [one.tolist() for one in found["equalise"]] == [[-1, -1], [2, 2]]
    assert [one.tolist() for one in found["allocate"]] == [[0.5, 0.5], [4.5, 4.5]]


def test_a_table_of_other_factors_is_no_table() -> None:
    with pytest.raises(AssertionError, match="no table of 3 factors"):
        effects(np.zeros((2, 2, 2)), FACTORS)
