"""Loss curves of known laws give them back; what is no power law, or does not say its exponent, is said to be so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from prune_lab.experiments.contracts import Floats
from prune_lab.experiments.report.equality import curve_laws
from prune_lab.experiments.store.folders import Folder

STEPS = np.unique(np.append(0, np.geomspace(1, 2000, 200).round()))  # as experiments/phases/search.py keeps them
Law = Callable[[Floats], Floats]


def power(scale: float, beta: float, floor: float = 0.0) -> Law:
    return lambda t: np.asarray(floor + (scale / t) ** beta)


def folder_of(path: Path, constant: Law, found: Law) -> Folder:
    """A finished search with these curves; before t0 = 200 they are of no law at all."""
    path.mkdir(parents=True)
    late = np.where(STEPS > 200, STEPS, 201)
    laws = {"constant": constant, "found": found, "by loss": power(1, 1)}
    table = [pd.DataFrame({"policy": name, "step": STEPS, "held_out": law(late)}) for name, law in laws.items()]
    pd.concat(table).to_parquet(path / "curves.parquet")
    return Folder(path, {})


def rows_of(path: Path, laws: list[tuple[Law, Law]]) -> tuple[pd.DataFrame, dict[str, object]]:
    """The runs table and the page's row of one setting with a search a seed."""
    folders = {f"{seed}": folder_of(path / f"{seed}", *both) for seed, both in enumerate(laws)}
    runs = pd.DataFrame({"setup": "one", "kept": "unpruned", "seed": range(len(laws)), "search": list(folders)})
    runs = runs.join(curve_laws.measured(folders), on="search")
    (row,) = curve_laws.rows(runs, {("one", "unpruned"): list(folders.values())})
    return runs, row


def test_known_laws_are_given_back(tmp_path: Path) -> None:
    betas, scales = [(0.30, 0.36), (0.32, 0.40), (0.31, 0.38)], [1.0, 2.0, 4.0]
    laws = [(power(b, one), power(0.8 * b, two)) for b, (one, two) in zip(scales, betas, strict=True)]
    runs, row = rows_of(tmp_path, laws)
    assert runs["beta_constant"].tolist() == pytest.approx([one for one, _ in betas])
    assert runs["beta_gain"].tolist() == pytest.approx([two / one - 1 for one, two in betas])
    assert runs["B_found"].tolist() == pytest.approx([0.8, 1.6, 3.2])
    assert runs["B_gain"].tolist() == pytest.approx([0.2] * 3)
    assert row["β, constant"] == "0.31 [0.285, 0.335]"  # ± 4.302653 * 0.01 / sqrt(3)
    assert row["change of B, %"] == "−20 [−20, −20]"
    assert (row["verdict"], row["β identified"]) == ("β larger", "yes")
    assert row["B, constant"] == "2 [0.357, 11.2]"  # 2 times or over exp(4.302653 * ln 2 / sqrt(3))
    said = curve_laws.summary([row])
    assert "larger exponent β under the found policy in 1 of 1 settings and a smaller one in 0; in 0 the" in said
    assert said.endswith("and in 0 β is not identified.")


@pytest.mark.parametrize(
    ("betas", "verdict"),
    [
        ([(0.36, 0.30), (0.40, 0.32), (0.38, 0.31)], "β smaller"),
        ([(0.30, 0.36), (0.40, 0.32), (0.38, 0.39)], "undecided"),  # not the same sign for each seed
        ([(0.30, 0.36), (0.32, 0.40)], "undecided"),  # two seeds decide nothing
    ],
)
def test_the_verdict_follows_the_seeds(tmp_path: Path, betas: list[tuple[float, float]], verdict: str) -> None:
    assert rows_of(tmp_path, [(power(3.0, one), power(3.0, two)) for one, two in betas])[1]["verdict"] == verdict


def test_a_floor_is_found_and_the_exponent_said_to_depend_on_it(tmp_path: Path) -> None:
    laws = [(power(3.0, beta, 0.1), power(3.0, beta + 0.1, 0.1)) for beta in (0.50, 0.51, 0.52)]
    runs, row = rows_of(tmp_path, laws)
    assert runs["floor_found"].tolist() == pytest.approx([0.1] * 3, rel=1e-4)
    assert runs["beta_gain_floored"].tolist() == pytest.approx([0.1 / one for one in (0.50, 0.51, 0.52)], rel=1e-3)
    assert runs["B_constant_floored"].tolist() == pytest.approx([3.0] * 3, rel=1e-3)
    assert (runs["beta_constant"] < 0.4).all()
    assert row["β identified"] == "no: it depends on the floor (constant)"


def test_what_a_floor_changes_is_paired_by_seed(tmp_path: Path) -> None:
    """Seeds of many exponents: the intervals with and without a floor overlap, yet the floor moves each seed's."""
    laws = [(power(3.0, *one), power(3.0, 0.3)) for one in ((0.35, 0.03), (0.5, 0.01), (0.65, 0.004))]
    runs, row = rows_of(tmp_path, laws)
    assert runs["beta_constant"].max() > runs["beta_constant_floored"].min()
    assert row["β identified"] == "no: it depends on the floor (constant)"


def test_an_exponential_is_no_power_law(tmp_path: Path) -> None:
    laws = [(power(3.0, 0.3), lambda t, scale=scale: 0.3 * np.exp(-t / scale)) for scale in (1500, 1600, 1700)]
    _, row = rows_of(tmp_path, laws)
    assert row["verdict"] == "β larger; not a power law over this range: an exponential (found), r² 0.9130 (found)"
    assert "in 1 the curves are not a power law over this range" in curve_laws.summary([row])


def test_a_curve_that_steepens_has_its_floor_at_the_bound(tmp_path: Path) -> None:
    laws = [(lambda t, beta=beta: (3 / t) ** beta - 0.05, power(3.0, 0.3)) for beta in (0.30, 0.31, 0.32)]
    runs, row = rows_of(tmp_path, laws)
    assert (runs["floor_constant"] == 0).all()
    assert row["β identified"] == "no: floor at its bound in 3 of 3 seeds (constant)"


def test_a_bad_fit_is_no_power_law(tmp_path: Path) -> None:
    def wave(t: Floats) -> Floats:
        return np.asarray((3 / t) ** 0.3 * np.exp(0.05 * np.sin(np.log(t) * 9)))

    runs, row = rows_of(tmp_path, [(wave, power(3.0, beta)) for beta in (0.30, 0.31, 0.32)])
    assert (runs["r2_constant"] < curve_laws.FITS).all()
    assert (
        row["verdict"] == f"undecided; not a power law over this range: r² {runs['r2_constant'].mean():.4f} (constant)"
    )


@pytest.mark.parametrize(
    "law", [lambda t: 0.1 + t / 5000, lambda t: 0 * t + 0.5, lambda t: np.where(t > 900, np.nan, 1)]
)
def test_a_loss_that_does_not_fall_has_no_law(tmp_path: Path, law: Law) -> None:
    runs, row = rows_of(tmp_path, [(power(3.0, 0.3), law)] * 3)
    assert runs["beta_gain"].isna().all()
    assert str(row["verdict"]).startswith("not a power law over this range: too few")
    assert row["β, found"] == "–"
