"""The documents: what is drawn is not stale, every link leads somewhere, every command of prune-lab is one."""

from __future__ import annotations

import re
import shlex
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.command_line import call
from tests.image_files import png, random_pixels, table_of

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "results" / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def build() -> Any:
    spec = spec_from_file_location("build", ROOT / "docs" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_is_drawn_from_results_and_code_is_not_stale() -> None:
    stale = [str(path) for path, text in build().drawn().items() if path.read_text(encoding="utf-8") != text]
    assert not stale, "python docs/build.py"


def test_the_comment_of_a_setting_is_found_on_its_last_line() -> None:
    source = "class A:\n    one: int = 1  # first\n    two: int = (\n        2  # second\n    )\n    three = 3  # none"
    assert build().comments_in(source) == {"one": "first", "two": "second"}


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 150


def test_links_lead_somewhere() -> None:
    """On a clean checkout, where what git ignores is not there."""
    links = {(page, link) for page in PAGES for link in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))}
    assert not [(page, link) for page, link in links if ":" not in link and not (page.parent / link).exists()]


def blocks(language: str) -> list[str]:
    return [
        match[2] for page in PAGES for match in BLOCK.finditer(page.read_text(encoding="utf-8")) if match[1] == language
    ]


def commands() -> list[list[str]]:
    """The words of every command of prune-lab in a fenced block, once."""
    lines = [line.partition("#")[0] for block in blocks("") for line in block.splitlines()]
    found = {tuple(shlex.split(line)) for line in lines if re.match(r"prune-lab +(?!runs)\w+ .*=", line)}
    return [list(words[1:]) for words in sorted(found)]


def dry(words: list[str]) -> list[str]:
    return [] if words[0] == "runs" else ["--dry-run"]


def test_every_command_in_the_documents_can_be_given(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder that has what the guides speak of; what would run is listed, and nothing runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PRUNE_LAB_DATA", str(tmp_path))
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number, pixels in enumerate(random_pixels(20, seed=len(name))):
            (tmp_path / "photos" / name / f"{number}.png").write_bytes(png(pixels))
    table_of(tmp_path / "rows.parquet", random_pixels(20), np.arange(20) % 2)
    (tmp_path / "reviews").mkdir()
    for number in range(20):
        (tmp_path / "reviews" / f"{number}.txt").write_text(f"review {number} " * 200)
    (tmp_path / "own.jsonl").write_text(
        "".join(f'{{"text": "review {number} {"good " * 200}", "format": {number % 3}}}\n' for number in range(20))
    )
    (tmp_path / "doubt.py").write_text(next(block for block in blocks("python") if "Doubt" in block))
    (tmp_path / "mine.yaml").write_text(next(block for block in blocks("yaml") if "name: mine" in block))
    call(capsys, "score", "scorer=random", "export=mine.csv")
    (tmp_path / "cleaning.csv").write_bytes((tmp_path / "mine.csv").read_bytes())
    call(capsys, "prune", "task=images", "task.path=photos", "keep=1", "rule=random", "export=labels.csv")
    answers = {" ".join(words): call(capsys, *words, "--dry-run") for words in commands()}
    assert not {command: answer.err for command, answer in answers.items() if answer.code}
