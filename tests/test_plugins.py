"""People's own scorers, rules, policies, tasks and models: a file named on the command line, like one of the house."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from prune_lab.cli import completion, compose, options
from prune_lab.experiments import choices
from prune_lab.experiments.errors import ConfigError, DataUnavailable
from prune_lab.experiments.phases.plan import job_of

from .command_line import call

TINY = ["model=linear", "recipe.epochs=3", "recipe.batch_size=50"]
GUIDE = Path(__file__).parent.parent / "docs" / "howto" / "own_code.md"
EXAMPLES = {  # file -> its content, as the guide shows it
    name: code
    for code in re.findall(r"```(?:python|yaml)\n(.*?)```", GUIDE.read_text(), flags=re.DOTALL)
    for name in re.findall(r"\A# (\S+)\n", code)
}
SCORER = EXAMPLES["doubt.py"]
PIPELINE = ("doubt", "every_other", "odd_first", "two_blobs", "zero_linear")


def written(folder: Path, *names: str) -> list[str]:
    """`--plugin FILE` for each."""
    for name in names:
        (folder / f"{name}.py").write_text(EXAMPLES[f"{name}.py"])
    return [word for name in names for word in ("--plugin", str(folder / f"{name}.py"))]


def test_one_of_each_kind_goes_through_the_pipeline_and_onto_a_page(
    capsys: pytest.CaptureFixture[str], results: str, tmp_path: Path
) -> None:
    words = ["task=two_blobs", "task.apart=1.5", "model=zero_linear", "recipe.epochs=1", "scorer=doubt",
             "rule=every_other,random", "rule.step=2,3", "policy=odd_first", "keep=0.5", "seed=0,1"]  # fmt: skip
    plugins = written(tmp_path, *PIPELINE)
    answer = call(
        capsys, "report", *words, *plugins, "--launcher", "processes", "launcher.workers=1", "--json", results
    )
    assert answer.code == 0, answer.err
    *_, page = answer.objects
    assert (page["metrics"]["runs"], page["metrics"]["points"]) == (6, 3)  # a step is no seed
    table = pd.read_csv(Path(page["path"]) / "table.csv", keep_default_na=False)
    assert set(table["rule"]) == {"every_other", "random"}
    assert set(table["scorer"]) == {"doubt", "none"}
    assert set(table["task"]) == {"two_blobs"}
    assert set(table["policy"]) == {"odd_first"}
    shown = (Path(page["path"]) / "index.html").read_text()
    assert "every_other" in shown
    assert "doubt" in shown
    answer = call(capsys, "evaluate", *words, *plugins, "--json", results)
    assert {one["status"] for one in answer.objects} == {"cached"}


def test_a_plug_in_is_listed_completed_validated_and_documented(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    plugins = written(tmp_path, "doubt", "every_other")
    answer = call(capsys, "choices", "scorer", *plugins, "--json")
    (doubt,) = [one for one in answer.objects if one["name"] == "doubt"]
    assert (doubt["source"], doubt["plugin"]) == ("this page", str(tmp_path / "doubt.py"))
    assert doubt["meaning"].startswith("One minus the probability")
    assert [one["name"] for one in doubt["settings"]] == ["proxies", "power"]
    assert list(completion.complete("scorer=dou")) == ["scorer=doubt"]
    assert list(completion.complete("rule.ste")) == ["rule.step="]
    with pytest.raises(ConfigError, match=r"Did you mean scorer\.power"):
        compose.runs("score", ["scorer=doubt", "scorer.powr=2"])
    with pytest.raises(ConfigError, match=r"rule\.step belongs to rule=every_other, and this is rule=hard"):
        compose.runs("score", ["rule.step=2"])
    with pytest.raises(ConfigError, match=r"scorer\.power=much"):
        compose.runs("score", ["scorer=doubt", "scorer.power=much"])


PLACED = """
import numpy as np
from prune_lab.experiments.choices import choice
from prune_lab.experiments.contracts import Place, PolicyChoice, RuleChoice, ScorerChoice

@choice("scorer", "placed_scorer")
class Scorer(ScorerChoice):
    "What a file says."
    weights: Place
    other: Place | None = None

@choice("rule", "placed_rule")
class Rule(RuleChoice):
    "What a file says."
    listed: Place
"""


def test_what_a_plug_in_reads_is_known_by_its_content(tmp_path: Path) -> None:
    """Its key held the path of this machine: a moved file was another result, and a changed one was the same."""
    (tmp_path / "placed.py").write_text(PLACED)
    choices.load_plugins([str(tmp_path / "placed.py")])
    for name, content in {"a/w": "1", "b/w": "1", "c/w": "2", "d/x/y": "3", "e/x/y": "3"}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)

    def key(phase: str, *words: str) -> str:
        (run,) = compose.runs(phase, ["task=digits", *words])
        return job_of(phase, run).key

    def scored(file: str, *more: str) -> str:
        return key("score", "scorer=placed_scorer", f"scorer.weights={tmp_path / file / 'w'}", *more)

    assert scored("a") == scored("b") != scored("c")
    assert scored("a", f"scorer.other={tmp_path / 'd'}") == scored("a", f"scorer.other={tmp_path / 'e'}") != scored("a")
    with pytest.raises(DataUnavailable, match=r"scorer\.weights=.*no such file"):
        scored("z")
    ruled = [key("prune", "keep=0.5", "rule=placed_rule", "scorer=random", f"rule.listed={tmp_path / one / 'w'}")
             for one in "abc"]  # fmt: skip
    assert ruled[0] == ruled[1] != ruled[2]


def test_a_changed_plug_in_makes_a_new_result_and_says_so(
    capsys: pytest.CaptureFixture[str], results: str, tmp_path: Path
) -> None:
    words = ["score", "task=digits", "task.examples=200", *TINY, "scorer=doubt", results, *written(tmp_path, "doubt")]
    first = call(capsys, *words, "--json").objects[0]
    assert call(capsys, *words, "--json").objects[0]["status"] == "cached"
    file = tmp_path / "doubt.py"
    file.write_text(file.read_text() + "\n# another thought\n")
    answer = call(capsys, *words, "--json")
    assert "doubt.py is not as it was when 1 of these runs was made" in answer.err
    assert (answer.objects[0]["status"], answer.objects[0]["key"] != first["key"]) == ("done", True)
    record = json.loads((Path(answer.objects[0]["path"]) / "record.json").read_text())
    assert len(record["recipe"]["scorer"]["plugin"]) == 16


def test_without_the_flag_nothing_of_a_users_is_imported(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, "doubt")
    monkeypatch.chdir(tmp_path)
    answer = call(capsys, "score", "scorer=doubt", "--dry-run")
    assert (answer.code, "there is no scorer=doubt" in answer.err) == (2, True)
    monkeypatch.setenv("PRUNE_LAB_PLUGINS", str(tmp_path / "doubt.py"))
    assert call(capsys, "score", "scorer=doubt", "--dry-run").code == 0


def test_what_cannot_be_a_plug_in_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    def refused(content: str, error: type[Exception], match: str, name: str = "mine.py") -> None:
        (tmp_path / name).write_text(content)
        with pytest.raises(error, match=match):
            choices.load_plugins([str(tmp_path / name)])

    refused(SCORER.replace('"doubt"', '"el2n"'), ConfigError, "defines scorer=el2n, which prune-lab has already")
    refused("x = 1\n", ConfigError, "defines no choice", "empty.py")
    refused("import nothing_of_that_name\n", ConfigError, "cannot be imported: ModuleNotFoundError", "broken.py")
    (tmp_path / "one.py").write_text(SCORER)
    choices.load_plugins([str(tmp_path / "one.py")])
    refused(SCORER, ConfigError, "define scorer=doubt twice", "two.py")
    refused(SCORER.replace('"scorer", ', '"scorr", '), ConfigError, "there is no such kind", "kind.py")
    refused(SCORER.replace("(ScorerChoice)", ""), ConfigError, "Doubt is a scorer, and no ScorerChoice", "base.py")
    with pytest.raises(DataUnavailable, match="no such file"):
        choices.load_plugins(["nowhere.py"])
    with pytest.raises(ConfigError, match="no installed plug-in"):
        choices.load_plugins(["nowhere"])
    answer = call(capsys, "score", "--plugin", "nowhere.py")
    assert answer.code == 4
    assert compose.runs("score", ["scorer=el2n"])[0].scorer.plugin is None


def test_the_scorer_that_the_readme_shows(capsys: pytest.CaptureFixture[str], results: str, tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (GUIDE.parents[2] / "README.md").read_text(), flags=re.DOTALL)
    assert len([line for line in code.splitlines() if line]) <= 10
    (tmp_path / "doubt.py").write_text(code)
    words = ["task=digits", "task.examples=200", *TINY, "scorer=doubt", "scorer.proxies=2", results]
    answer = call(capsys, "score", *words, "--plugin", str(tmp_path / "doubt.py"), "--json")
    assert (answer.code, answer.objects[0]["metrics"]["proxies"]) == (0, 2)


def test_the_study_that_the_guide_shows(capsys: pytest.CaptureFixture[str], results: str, tmp_path: Path) -> None:
    (tmp_path / "coupons.yaml").write_text(EXAMPLES["coupons.yaml"])
    words = [f"experiment={tmp_path / 'coupons.yaml'}", results, *written(tmp_path, "coupons")]
    answer = call(capsys, "reproduce", *words, "--check")
    assert (answer.code, "claims: 1 holds" in answer.err) == (0, True)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (SCORER.replace('"probability"', '"probabilty"'), "have no probabilty; there is: loss"),
        (SCORER.replace("    proxies: Proxies = 1\n", ""), "no proxies to look at"),
        (SCORER.replace("return (1", "raise KeyError('oh')  # (1"), "doubt.py, line 15, in score: KeyError: 'oh'"),
        (SCORER.replace(" ** self.power", "[:, 1:]"), "returned scores of shape (1, 199) for 200 examples"),
    ],
)
def test_a_mistake_in_a_plug_in_is_told_as_its_authors(
    capsys: pytest.CaptureFixture[str], results: str, tmp_path: Path, code: str, said: str
) -> None:
    (tmp_path / "doubt.py").write_text(code)
    words = ["task=digits", "task.examples=200", *TINY, "scorer=doubt", results]
    answer = call(capsys, "score", *words, "--plugin", str(tmp_path / "doubt.py"))
    assert answer.code in (1, 2)
    assert said in answer.err
    assert "defect" not in answer.err


def test_a_rule_that_is_no_order_of_preference_is_refused(
    capsys: pytest.CaptureFixture[str], results: str, tmp_path: Path
) -> None:
    for line, said in (
        ("return ranked[:3]", "must give every position from 0 to 199 once, and gave 3"),
        ("return values > 0", "of type bool"),
        ("return np.argsort(place)", "must say draws = True"),
    ):
        code = EXAMPLES["every_other.py"]
        (tmp_path / "rule.py").write_text(code[: code.index("        return np.concat")] + f"        {line}\n")
        words = ["task=digits", "task.examples=200", *TINY, "scorer=random", "rule=every_other", "keep=0.5", results]
        answer = call(capsys, "prune", *words, "--plugin", str(tmp_path / "rule.py"))
        assert (answer.code, said in answer.err) == (1, True) or (answer.code, said in answer.err) == (2, True), (
            answer.err
        )


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("return 1 + self.rate * (index % 2)", "return (1.0 + index)[:, None]", "a tensor of shape"),
        ("return 1 + self.rate * (index % 2)", "return index - 50.0", "not negative"),
        ("return 1 + self.rate * (index % 2)", "return index * 0.0", "not all zero"),
        ("return self.support", "return None", ""),
        ("return self.support", "return [0, 0, 1]", "each example once"),
        ("return self.support", "return range(200)", "examples that pruning dropped"),
    ],
)
def test_what_a_policy_returns_is_checked(
    capsys: pytest.CaptureFixture[str], results: str, tmp_path: Path, before: str, after: str, said: str
) -> None:
    """None is all of what is kept, whatever the policy: what was dropped never comes back."""
    (tmp_path / "mine.py").write_text(EXAMPLES["odd_first.py"].replace(before, after))
    words = ["task=digits", "task.examples=200", *TINY, "policy=odd_first", "keep=0.5", "rule=random", results]
    answer = call(capsys, "train", *words, "--plugin", str(tmp_path / "mine.py"), "--json")
    assert (answer.code, said in answer.err) == (2 if said else 0, True), answer.err
    if not said:
        assert answer.objects[-1]["metrics"]["examples_seen"] == 3 * 100


def test_the_source_is_in_the_key_of_all_that_it_made(tmp_path: Path) -> None:
    """Whatever `recipe` returns, and of the runs that its own trainer trains; a setting called path counts."""
    more = {
        "recipe": '    def recipe(self):\n        return {"name": "doubt"}\n',
        "trainer": "    def trainer(self, asks):\n        return print\n",
        "path": '    path: str = "a"\n',
    }
    keys: dict[str, list[str]] = {}
    for name, lines in more.items():
        for comment in ("", "# changed\n"):
            (tmp_path / "doubt.py").write_text(SCORER + "\n" + lines + comment)
            choices.load_plugins([str(tmp_path / "doubt.py")])
            (run,) = compose.runs("score", ["scorer=doubt"])
            job = job_of("score", run)
            keys.setdefault(name, []).append(job.key)
            keys.setdefault(f"{name}, proxies", []).append(job.inputs["train_0"].key)
    changed = {name for name, (before, after) in keys.items() if before != after}
    assert changed == {"recipe", "trainer", "trainer, proxies", "path"}
    assert len({job_of("score", run).key for run in compose.runs("score", ["scorer=doubt", "scorer.path=a,b"])}) == 2


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("    classes: Count = 10\n", "    classes: Count = 10\n    version: int = 1\n", "cannot be called version"),
        ('"needed": pd', '"runs": pd', "runs is a name that the page has"),
        ('{"mean": float(np.mean(needed))}', '{"seed": 1.0}', "seed is a name that the page has"),
        ('{"mean": float(np.mean(needed))}', '{"mean": "ten"}', "metrics numbers, not mean"),
        ('return {"needed"', "return pd.DataFrame() #", "must return two dicts"),
        ('tables["needed"].groupby', 'tables["nothing"].groupby', "in draw: KeyError"),
    ],
)
def test_what_a_study_gives_is_checked(
    capsys: pytest.CaptureFixture[str], results: str, tmp_path: Path, before: str, after: str, said: str
) -> None:
    (tmp_path / "coupons.py").write_text(EXAMPLES["coupons.py"].replace(before, after))
    answer = call(capsys, "simulate", "study=coupons", results, "--plugin", str(tmp_path / "coupons.py"))
    assert answer.code in (1, 2)
    assert said in answer.err
    assert "defect" not in answer.err


def test_a_tasks_data_are_checked(capsys: pytest.CaptureFixture[str], results: str, tmp_path: Path) -> None:
    code = EXAMPLES["two_blobs.py"].replace("np.arange(size) % 2", "np.arange(size) % 3")
    code = code.replace("/{row}", "/{row % 9}")
    (tmp_path / "blobs.py").write_text(code)
    answer = call(capsys, "train", "task=two_blobs", *TINY, results, "--plugin", str(tmp_path / "blobs.py"))
    assert answer.code == 2
    assert "train has 120 inputs, 120 targets and 9 different ids" in answer.err
    assert "train has targets outside of 0..1" in answer.err


def test_the_shell_completes_what_a_plug_in_defines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (_, file) = written(tmp_path, "doubt")
    monkeypatch.setenv("COMP_WORDS", f"prune-lab train --plugin {file} scorer=dou")
    monkeypatch.setenv("COMP_CWORD", "4")
    assert options._complete("scorer=dou") == ["scorer=doubt"]


def test_a_higher_version_makes_new_results_of_that_choice_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def keys() -> list[str]:
        words = [["scorer=el2n"], ["scorer=loss"]]
        return [job_of("score", run).key for one in words for run in compose.runs("score", one)]

    before = keys()
    monkeypatch.setattr(choices.get("scorer", "el2n"), "version", 2)
    after = keys()
    assert (before[0] != after[0], before[1] == after[1]) == (True, True)
