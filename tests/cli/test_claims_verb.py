"""`prune-lab claims`: what papers claim beside what was measured, and a verdict that is not the expected one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from prune_lab.cli import compose
from prune_lab.experiments import read
from prune_lab.experiments.laws.claims import check
from prune_lab.experiments.laws.expectations import Expectation

from ..command_line import call
from ..laws.test_claims import runs

SMOKE = "the whole pipeline learns the digits"


def page(root: Path, accuracies: list[float]) -> None:
    """A page of the experiment smoke whose unpruned runs came out so."""
    (root / "smoke").mkdir(parents=True)
    found = runs({"none": accuracies}).assign(keep=1.0)
    found.to_csv(root / "smoke" / "table.csv", index=False)


@pytest.fixture
def nothing_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "published", lambda: tmp_path / "published")


@pytest.mark.usefixtures("nothing_published")
def test_every_claim_is_listed_with_what_was_measured(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    results = f"--results={tmp_path}"
    page(tmp_path / "reference", [0.5, 0.5, 0.5])
    page(tmp_path / "report", [0.955, 0.96, 0.965])  # the user's own page goes before the reference
    listed = call(capsys, "claims", results, "--json")
    assert listed.code == 0
    found = {row["claim"]: row for row in listed.objects}
    assert (found[SMOKE]["verdict"], found[SMOKE]["experiment"], found[SMOKE]["n"]) == ("holds", "smoke", 3)
    assert found[SMOKE]["effect"] == pytest.approx(0.96)
    assert found[SMOKE]["page"] is None
    (tmp_path / "report" / "smoke" / "index.html").touch()
    (row,) = [row for row in call(capsys, "claims", "smoke", results, "--json").objects if row["claim"] == SMOKE]
    assert (row["page"], row["measured"]) == (str(tmp_path / "report" / "smoke" / "index.html"), "here")
    others = [row for row in listed.objects if row["experiment"] == "perceptron_theory"]
    assert len(others) >= 5
    assert all(row["verdict"] == "no runs" and row["source"] for row in others)
    assert SMOKE in call(capsys, "claims", results).out
    assert {row["size"] for row in listed.objects if row["experiment"] == "high_pruning"} == {"cpu", "smoke"}


def test_published_verdicts_are_shown_in_any_folder_and_never_checked(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = ["claims", "high_pruning", f"--results={tmp_path}"]
    listed = [row for row in call(capsys, *words, "--json").objects if row["size"] == "cpu"]
    assert {row["measured"] for row in listed} == {"published"}
    assert "no runs" not in {row["verdict"] for row in listed}
    shown = call(capsys, *words)
    assert "experiment=high_pruning (published): accuracy:" in " ".join(shown.out.split())
    assert f"{len(listed)} published, 1 not measured yet" in shown.err
    assert call(capsys, *words, "--check").code == 3
    assert call(capsys, "claims", "demo", f"--results={tmp_path}", "--check").code == 2  # it makes none


@pytest.mark.usefixtures("nothing_published")
def test_pages_of_ones_own_are_among_the_claims(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    said = {"claim": "mine", "source": "us", "verdict": "fails", "expected": "holds", "sentence": "so", "n": 3}
    for name in ("mine", "smoke_0a1b2c", "smoke_later"):
        (tmp_path / "report" / name).mkdir(parents=True)
        (tmp_path / "report" / name / "claims.json").write_text(json.dumps({"expectations": [said]}))
    at = f"--results={tmp_path}"
    listed = call(capsys, "claims", at, "--json", "--check")
    own = [row for row in listed.objects if row.get("measured") == "here"]
    assert [(row["experiment"], row["effect"], row["n"]) for row in own] == [
        ("mine", None, 3), ("smoke_0a1b2c", None, 3), ("smoke_later", None, 3)
    ]  # fmt: skip
    assert (listed.code, listed.objects[-1]["exit_code"], "fails: mine: so" in listed.err) == (5, 5, True)
    smoke = call(capsys, "claims", "smoke", at, "--json").objects
    assert [row["experiment"] for row in smoke if row["measured"] == "here"] == [
        "smoke_0a1b2c"
    ]  # made with other words
    assert "page mine: so" in call(capsys, "claims", at).out


def test_the_claims_of_one_experiment(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    listed = call(capsys, "claims", "smoke", f"--results={tmp_path}", "--json")
    assert SMOKE in {row["claim"] for row in listed.objects}
    assert {row["experiment"] for row in listed.objects} == {"smoke"}
    unmeasured = call(capsys, "claims", "smoke", f"--results={tmp_path}").err.splitlines()[-1]
    assert unmeasured.endswith("prune-lab reproduce experiment=smoke")
    sized = call(capsys, "claims", "experiment=transfer", f"--results={tmp_path}").out
    assert "experiment=transfer experiment.size=smoke: no runs" in " ".join(sized.split())
    unknown = call(capsys, "claims", "smok", f"--results={tmp_path}")
    assert unknown.code == 2
    assert "smoke" in unknown.err


def test_the_committed_tables_bear_out_what_is_expected(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "reference").symlink_to(Path(__file__).parents[2] / "results" / "reference")
    listed = call(capsys, "claims", f"--results={tmp_path}", "--json", "--check")
    assert listed.code == 0
    measured = [row for row in listed.objects if row["verdict"] != "no runs"]
    reproduced = {"cifar10_pruning", "kirsch_fast_cifar", "beyond_power_law", "imdb_pruning", "perceptron_theory"}
    reproduced |= {"high_pruning", "lm_pruning", "transfer", "learning_law", "pruning_then_equal", "capacity"}
    reproduced |= {"across_sources", "equal_contribution"}
    assert reproduced <= {row["experiment"] for row in measured}
    assert all(row["n"] >= 3 or "have no value" in row["sentence"] for row in measured)


@pytest.mark.usefixtures("nothing_published")
def test_check_stops_at_another_verdict_than_the_expected(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    page(tmp_path / "report", [0.5, 0.5, 0.5])
    stopped = call(capsys, "claims", f"--results={tmp_path}", "--check")
    assert stopped.code == 5
    assert SMOKE in stopped.err
    assert "0.5 [0.5, 0.5]" in stopped.err


@pytest.mark.usefixtures("nothing_published")
def test_check_of_what_is_not_measured_does_not_pass(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert call(capsys, "claims", f"--results={tmp_path}", "--check").code == 3
    nothing = call(capsys, "claims", "smoke", f"--results={tmp_path}", "--check")
    assert nothing.code == 3
    assert "prune-lab reproduce experiment=smoke" in nothing.err


def test_claims_of_an_experiment_have_names_of_their_own() -> None:
    for name in compose.choices("experiment"):
        said = [claim.claim for claim in compose.described([f"experiment={name}"]).expect]
        assert len(said) == len(set(said)), name


@pytest.mark.parametrize(
    ("values", "verdict"),
    [([0.9, 0.91, 0.92], "holds"), ([0.5, 0.8, 0.99], "undecided"), ([0.5, 0.51, 0.52], "fails")],
)
def test_a_claim_judged_on_its_interval(values: list[float], verdict: str) -> None:
    claim = {"claim": "c", "source": "s", "point": {"where": {"rule": "hard"}}, "at_least": 0.8}
    outcome = check(Expectation.model_validate(claim), runs({"hard": values}))
    assert outcome.verdict == verdict
    assert outcome.surprising == (verdict != "holds")


def test_an_expected_failure_surprises_when_it_holds() -> None:
    claim = {"claim": "c", "source": "s", "point": {"where": {"rule": "hard"}}, "at_least": 0.8, "expected": "fails"}
    assert check(Expectation.model_validate(claim), runs({"hard": [0.9, 0.9, 0.9]})).surprising
    assert not check(Expectation.model_validate(claim), runs({"hard": [0.1, 0.1, 0.1]})).surprising
