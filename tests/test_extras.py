"""Optional packages: what needs one that is not here is refused before anything runs, with the command that adds it."""

from __future__ import annotations

from importlib import metadata

import pytest

from prune_lab.cli import doctor
from prune_lab.experiments import extras
from prune_lab.experiments.errors import DataUnavailable

from .command_line import TINY, call


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch) -> None:
    """No extra is installed."""

    def version(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", version)


def test_extras_are_those_of_the_package_but_for_development() -> None:
    found = extras.extras()
    assert {"attribution": "dattri", "cluster": "submitit", "hub": "huggingface-hub"}.items() <= {
        name: packages[0].partition(">")[0] for name, packages in found.items()
    }.items()
    assert not {"dev", "docs"} & set(found)


@pytest.mark.usefixtures("absent")
@pytest.mark.parametrize(
    ("words", "said", "package"),
    [
        (["scorer=trak", "keep=0.5"], "scorer=trak needs", "dattri"),
        (["launcher=submitit"], "launcher=submitit", "submit"),
    ],
)
def test_what_needs_an_absent_extra_is_refused_before_anything_runs(
    words: list[str], said: str, package: str, capsys: pytest.CaptureFixture[str], results: str
) -> None:
    answer = call(capsys, "train", *TINY, *words, results)
    assert answer.code == 4
    assert said in answer.err
    assert f"-m pip install '{package}" in answer.err
    assert "done" not in answer.err
    assert call(capsys, "train", *TINY, "scorer=trak", results, "--dry-run").code == 0  # keep=1 needs no score


def test_the_command_installs_the_package_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkout is on no index: its name would find another package, or none."""
    assert "prune-lab" not in extras.install("cluster").partition("-m pip")[2]
    monkeypatch.setattr(extras, "extras", lambda: {"nothing": ("nothing-at-all",)})
    with pytest.raises(DataUnavailable, match="tracking needs nothing-at-all, which is not installed"):
        extras.check("nothing", "tracking")


@pytest.mark.usefixtures("absent")
def test_the_doctor_lists_extras_with_what_needs_them() -> None:
    rows = {name: (state, sentence) for name, state, sentence in map(doctor._extra, extras.extras())}
    assert rows["extra cluster"][0] == "no"
    assert rows["extra cluster"][1].endswith("for launcher=submitit")
    assert rows["extra attribution"][1].endswith("for scorer=trak")
