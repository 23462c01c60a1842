"""People's own scorers, rules, policies, tasks and models: a file named on the command line, like one of the house."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from prune_lab.cli import compose
from prune_lab.experiments import choices
from prune_lab.experiments.errors import ConfigError, DataUnavailable
from prune_lab.experiments.phases.plan import job_of

from .command_line import call

TINY = ["model=linear", "recipe.epochs=3", "recipe.batch_size=50"]
SCORER = '''
from prune_lab.experiments.choices import choice
from prune_lab.experiments.contracts import ScorerChoice
from prune_lab.experiments.scoring.evidence import Proxies, seen


@choice("scorer", "doubt", source="this test")
class Doubt(ScorerChoice):
    """One minus the probability of the label at the end of training."""

    proxies: Proxies = 1
    power: float = 1.0  # of the doubt

    def score(self, evidence):
        return (1 - seen(evidence, "probability")) ** self.power
'''
RULE = '''
import numpy as np
from prune_lab.experiments.choices import choice
from prune_lab.experiments.contracts import RuleChoice


@choice("rule", "every_other")
class EveryOther(RuleChoice):
    """Every so many of the ranked examples, then the rest."""

    step: int = 2

    def preference(self, values, place):
        ranked = np.argsort(-values, kind="stable")
        return np.concatenate([ranked[start :: self.step] for start in range(self.step)])
'''
POLICY = '''
import torch
from prune_lab.experiments.choices import choice
from prune_lab.experiments.contracts import PolicyChoice


class Fading:
    def __init__(self, support, rate):
        self.support, self.rate = support, rate

    def visited(self, epoch, progress):
        return self.support

    def weights(self, step, index):
        return 1 + self.rate * (index % 2)

    def observe(self, step, index, losses):
        pass

    def state(self):
        return {}

    def restore(self, state):
        pass


@choice("policy", "odd_first")
class OddFirst(PolicyChoice):
    """Odd examples weigh more."""

    rate: float = 0.5

    def build(self, training):
        return Fading(training.support, self.rate)
'''
TASK = '''
import numpy as np
from prune_lab.experiments.choices import choice
from prune_lab.experiments.contracts import Data, Examples, TaskChoice


@choice("task", "two_blobs")
class TwoBlobs(TaskChoice):
    """Two Gaussian blobs."""

    reads = "vectors"
    apart: float = 2.0

    def fingerprint(self):
        return "blobs-1"

    def load(self):
        def part(name, size):
            draw = np.random.default_rng(len(name))
            labels = np.arange(size) % 2
            inputs = draw.normal(size=(size, 5)) + self.apart * labels[:, None]
            ids = np.array([f"{name}/{row}" for row in range(size)])
            return Examples(inputs.astype(np.float32), labels, ids)

        splits = {name: part(name, size) for name, size in (("train", 120), ("dev", 40), ("test", 60))}
        return Data("two_blobs", "vectors", splits, ("a", "b"))
'''
MODEL = '''
import torch
from prune_lab.experiments.choices import choice
from prune_lab.experiments.contracts import ModelChoice


@choice("model", "scaled_linear")
class ScaledLinear(ModelChoice):
    """A linear layer that begins at zero."""

    takes = ("vectors", "images")
    has_body = False

    def build(self, data, examples, init):
        layer = torch.nn.Linear(examples[0].numel(), len(data.classes))
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
        return torch.nn.Sequential(torch.nn.Flatten(), layer)
'''
FILES = {"doubt": SCORER, "every": RULE, "odd": POLICY, "blobs": TASK, "scaled": MODEL}


def written(folder: Path, *names: str) -> list[str]:
    """`--plugin FILE` for each."""
    for name in names:
        (folder / f"{name}.py").write_text(FILES[name])
    return [word for name in names for word in ("--plugin", str(folder / f"{name}.py"))]


def test_one_of_each_kind_goes_through_the_pipeline_and_onto_a_page(
    capsys: pytest.CaptureFixture[str], results: str, tmp_path: Path
) -> None:
    words = ["task=two_blobs", "task.apart=1.5", "model=scaled_linear", "recipe.epochs=3", "scorer=doubt",
             "rule=every_other,random", "rule.step=2,3", "policy=odd_first", "keep=0.5", "seed=0,1,2"]  # fmt: skip
    plugins = written(tmp_path, *FILES)
    answer = call(
        capsys, "report", *words, *plugins, "--launcher", "processes", "launcher.workers=1", "--json", results
    )
    assert answer.code == 0, answer.err
    *_, page = answer.objects
    assert (page["metrics"]["runs"], page["metrics"]["points"]) == (9, 3)  # a step is no seed
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
    plugins = written(tmp_path, "doubt", "every")
    answer = call(capsys, "choices", "scorer", *plugins, "--json")
    (doubt,) = [one for one in answer.objects if one["name"] == "doubt"]
    assert (doubt["source"], doubt["plugin"]) == ("this test", str(tmp_path / "doubt.py"))
    assert doubt["meaning"].startswith("One minus the probability")
    assert [one["name"] for one in doubt["settings"]] == ["proxies", "power"]
    assert list(compose.complete("scorer=dou")) == ["scorer=doubt"]
    assert list(compose.complete("rule.ste")) == ["rule.step="]
    with pytest.raises(ConfigError, match=r"Did you mean scorer\.power"):
        compose.runs("score", ["scorer=doubt", "scorer.powr=2"])
    with pytest.raises(ConfigError, match=r"rule\.step belongs to rule=every_other, and this is rule=hard"):
        compose.runs("score", ["rule.step=2"])
    with pytest.raises(ConfigError, match=r"scorer\.power=much"):
        compose.runs("score", ["scorer=doubt", "scorer.power=much"])


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
    refused(SCORER, ConfigError, "both define scorer=doubt", "two.py")
    with pytest.raises(DataUnavailable, match="no such file"):
        choices.load_plugins(["nowhere.py"])
    with pytest.raises(ConfigError, match="no installed plug-in"):
        choices.load_plugins(["nowhere"])
    answer = call(capsys, "score", "--plugin", "nowhere.py")
    assert answer.code == 4
    assert compose.runs("score", ["scorer=el2n"])[0].scorer.plugin is None


def test_the_scorer_that_the_readme_shows(capsys: pytest.CaptureFixture[str], results: str, tmp_path: Path) -> None:
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", readme, flags=re.DOTALL) if "# doubt.py" in block]
    assert len([line for line in code.splitlines() if line]) <= 10
    (tmp_path / "doubt.py").write_text(code)
    words = ["task=digits", "task.examples=200", *TINY, "scorer=doubt", "scorer.proxies=2", results]
    answer = call(capsys, "score", *words, "--plugin", str(tmp_path / "doubt.py"), "--json")
    assert (answer.code, answer.objects[0]["metrics"]["proxies"]) == (0, 2)


def test_a_higher_version_makes_new_results_of_that_choice_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def keys() -> list[str]:
        words = [["scorer=el2n"], ["scorer=loss"]]
        return [job_of("score", run).key for one in words for run in compose.runs("score", one)]

    before = keys()
    monkeypatch.setattr(choices.get("scorer", "el2n"), "version", 2)
    after = keys()
    assert (before[0] != after[0], before[1] == after[1]) == (True, True)
