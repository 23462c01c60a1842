"""The pruned perceptron: golden values, exact cases, agreement with simulation, refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from prune_lab.experiments.errors import ConfigError
from prune_lab.experiments.studies.perceptron import theory as perceptron
from prune_lab.experiments.studies.perceptron.margin import max_margin
from prune_lab.experiments.studies.perceptron.theory import crossover, generalization_error, information_gain, simulate

GOLDEN = {  # computed independently of this code, from the saddle-point equations of arXiv:2206.14486
    (1.0, "hard"): {0.5: 0.3288, 1: 0.2657, 2: 0.1885, 3: 0.1428, 4: 0.1137, 6: 0.0796, 8: 0.0609},
    (0.5, "hard"): {0.5: 0.4057, 1: 0.3210, 2: 0.1361, 3: 0.0812, 4: 0.0610, 6: 0.0412, 8: 0.0311},
    (0.5, "easy"): {0.5: 0.2502, 1: 0.1818, 2: 0.1173, 3: 0.0862, 4: 0.0679, 6: 0.0476, 8: 0.0366},
}


@pytest.mark.parametrize(("setting", "values"), GOLDEN.items())
def test_golden_values_with_a_perfect_probe(setting, values):
    keep, rule = setting
    found = {alpha: generalization_error(alpha, keep, rule=rule) for alpha in values}
    assert found == pytest.approx(values, abs=6e-5)


def test_golden_values_with_an_imperfect_probe():
    found = [generalization_error(alpha, 0.5, theta=10) for alpha in (1, 2, 4, 8)]
    assert found == pytest.approx([0.32446, 0.14707, 0.06206, 0.03110], abs=1e-5)
    assert generalization_error(4, 0.2, theta=20) == pytest.approx(0.1524, abs=1e-4)
    assert generalization_error(4, 0.2, theta=20, margin="signed") == pytest.approx(0.332, abs=5e-4)


def test_crossovers():
    assert crossover(0.5, "hard", "easy") == pytest.approx(2.524, abs=0.01)
    assert crossover(0.8, "hard", "easy") == pytest.approx(7.73, abs=0.01)
    assert crossover(0.2) == pytest.approx(1.760, abs=0.01)
    with pytest.raises(ConfigError, match="do not cross"):
        crossover(0.5, "easy", "random", between=(0.25, 0.5))


def test_the_transition_at_two_examples_a_dimension():
    below, above = (generalization_error(alpha, 0.01) for alpha in (1.5, 2.5))
    assert below > 0.3
    assert above < 0.01


@settings(max_examples=3, deadline=None)
@example(alpha=12.0, keep=0.5, theta=45.0, rule="hard", margin="abs")  # the least exact that was met
@given(
    alpha=st.floats(0.25, 12), keep=st.floats(0.05, 1), theta=st.sampled_from([0.0, 5.0, 45.0]),
    rule=st.sampled_from(["hard", "easy"]), margin=st.sampled_from(["abs", "signed"]),
)  # fmt: skip
def test_more_nodes_change_nothing(alpha, keep, theta, rule, margin):
    def error():
        perceptron._kept.cache_clear()
        return generalization_error(alpha, keep, theta=theta, rule=rule, margin=margin)

    with pytest.MonkeyPatch.context() as patch:
        found = error()
        patch.setattr(perceptron, "NODES", 28)
        finer = error()
    perceptron._kept.cache_clear()
    assert found == pytest.approx(finer, abs=2e-6)
    assert 0 < found < 0.5


@pytest.mark.parametrize(("alpha", "keep", "theta"), [(2.0, 0.05, 0.0), (1.9, 0.1, 3.0), (6.0, 0.3, 20.0)])
def test_the_local_maximum_is_the_global_one(alpha, keep, theta):
    kept = perceptron._kept(keep, theta, "hard", "abs")
    best, _ = perceptron._margin(kept, alpha, perceptron._student(kept, alpha))
    teacher = math.radians(theta)
    for away in np.geomspace(1e-4, 20, 40):
        for turn in np.linspace(teacher - 1, teacher + 1, 9 if theta else 1):
            student = np.array([math.cos(turn if theta else 0), math.sin(turn if theta else 0), away])
            assert perceptron._margin(kept, alpha, student / np.linalg.norm(student))[0] <= best + 1e-12


def test_exact_cases():
    assert generalization_error(3, 0.4, rule="random") == generalization_error(3, 1.0, rule="hard")
    assert generalization_error(3, 1.0, theta=30) == generalization_error(3, 1.0)
    assert generalization_error(3, 0.3, theta=0.01) == pytest.approx(generalization_error(3, 0.3), abs=1e-4)
    assert generalization_error(8, 1.0) * 8 == pytest.approx(0.487, abs=1e-3)
    keeps = (0.5, 1.0)
    both = [[generalization_error(alpha, keep) for keep in keeps] for alpha in (0.5, 4)]
    assert perceptron.pareto([0.5, 4], keeps) == pytest.approx(np.min(both, axis=1))


def test_information_gain():
    assert information_gain(1e-12, 0.3) == pytest.approx(math.log(2), abs=1e-6)
    assert [information_gain(overlap, 1.0) for overlap in (0.5, 0.9, 0.99, 0.999)] == pytest.approx(
        [0.5, 0.227, 0.072, 0.0228], abs=5e-4
    )
    assert [information_gain(overlap, 0.1) for overlap in (0.5, 0.9, 0.99, 0.999)] == pytest.approx(
        [0.812, 0.823, 0.573, 0.228], abs=5e-4
    )


@pytest.mark.parametrize(
    ("alpha", "keep", "theta", "rule", "margin"),
    [
        (2.0, 1.0, 0.0, "random", "abs"),
        (3.0, 0.5, 0.0, "hard", "abs"),
        (2.0, 0.3, 0.0, "easy", "abs"),
        (4.0, 0.3, 20.0, "hard", "abs"),
        (4.0, 0.3, 20.0, "hard", "signed"),
        (3.0, 0.3, 30.0, "easy", "signed"),
    ],
)
def test_simulation_agrees(alpha, keep, theta, rule, margin):
    draws = [simulate(100, alpha, keep, theta=theta, rule=rule, margin=margin, seed=seed) for seed in range(12)]
    mean, deviation = np.mean(draws), np.std(draws, ddof=1) / math.sqrt(len(draws))
    exact = generalization_error(alpha, keep, theta=theta, rule=rule, margin=margin)
    assert abs(mean - exact) <= 0.06 * exact + 2 * deviation


def test_simulation_depends_on_its_seed_alone():
    assert simulate(30, 2.0, 0.5, seed=3) == simulate(30, 2.0, 0.5, seed=3)
    assert simulate(30, 2.0, 0.5, seed=3) != simulate(30, 2.0, 0.5, seed=4)


def test_max_margin_of_three_points():
    student = max_margin(np.array([[1.0, 0.0], [0.0, 1.0], [3.0, 3.0]]))
    assert student == pytest.approx([math.sqrt(0.5)] * 2)
    with pytest.raises(ValueError, match="separated"):
        max_margin(np.array([[1.0, 0.0], [-1.0, 0.0]]))


@pytest.mark.parametrize(
    "wrong", [{"alpha": 0}, {"alpha": math.nan}, {"keep": 0}, {"keep": 1.5}, {"theta": 90}, {"theta": -1}]
)
def test_settings_outside_the_theory_are_refused(wrong):
    setting = {"alpha": 2.0, "keep": 0.5, "theta": 0.0} | wrong
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        generalization_error(**setting)
