"""Words and experiment files that nobody meant: each ends in a sentence, a mend and exit code 2, and quickly."""

from __future__ import annotations

from pathlib import Path

import pytest

from prune_lab.cli import compose
from prune_lab.cli.experiment_file import MOST_BYTES
from prune_lab.experiments.errors import ConfigError

HEAD = "experiment:\n  name: mine\n  title: t\n"
GOOD = f"defaults:\n  - override /task: digits\n{HEAD}  grids: [['keep=0.5']]\n"
BOMB = "a: &a [x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefg", "bcdefgh", strict=True)
)


@pytest.mark.parametrize(
    ("content", "said", "mend"),
    [
        (HEAD + "  grids: []\n", "grids has no line", "grids: [["),
        (HEAD + "  grids: null\n", "experiment.grids=null is no list", "experiment.grids=["),
        (HEAD + "  grids: keep=0.5\n", "experiment.grids=keep=0.5 is no list", "experiment.grids=[keep=0.5]"),
        (HEAD + "  grids: [['experiment=demo']]\n", "an experiment inside an experiment", "leave it out"),
        (HEAD + "  gird: 1\n  grids: [[keep=1]]\n", "Did you mean experiment.grids?", ""),
        (HEAD, "experiment.grids is missing", "grids: in the file"),
        (f"x: &x [1]\n{GOOD}y: *x\n", "line 8: aliases are not read", "write out what *x stands for"),
        ("experiment: &a\n  sizes: {b: *a}\n", "line 2: aliases are not read", "write out"),
        (BOMB + GOOD, "aliases are not read", "write out"),
        ("a: " + "[" * 2000, "within each other", "experiments_in_ci.md has an example"),
        ("a: " + "{a: " * 2000, "within each other", "experiments_in_ci.md has an example"),
        (f"{GOOD}# {'x' * MOST_BYTES}\n", "at most 200,000 are read", "experiments_in_ci.md has an example"),
        ("experiment: null\n", "has no section experiment", "experiments_in_ci.md has an example"),
        ("experiment: hello\n", "has no section experiment", "experiments_in_ci.md has an example"),
        ("", "has no section experiment", "experiments_in_ci.md has an example"),
        ("3\n", "line 1: a file of an experiment is a mapping", "experiments_in_ci.md has an example"),
        ("- a\n", "line 1: a file of an experiment is a mapping", "experiments_in_ci.md has an example"),
        ("!!set {a, b}\n", "mine.yaml: no plain YAML", "experiments_in_ci.md has an example"),
        (GOOD + "  name: other\n", "line 7: found duplicate key name", ""),
        (GOOD.replace("mine", "m" * 300), "experiment.name=", ""),
        (GOOD.replace("digits", "digit"), "Did you mean task=digits?", "task=digits"),
        (GOOD.replace("override /task", "task"), "cannot be composed", "override /task: digits"),
        ("defaults: 3\n" + HEAD + "  grids: [[keep=1]]\n", "cannot be composed", "override /task: digits"),
        (GOOD + "keep: ${nope}\n", "cannot be composed: Interpolation key 'nope' not found", "plain values"),
        ((GOOD + "# é\n").encode("latin-1"), "is no UTF-8 text (byte 99)", "save it as UTF-8"),
        (GOOD.encode("utf-16"), "is no UTF-8 text (byte 0)", "save it as UTF-8"),
        (GOOD.encode() + b"# \0\n", "unacceptable character", "experiments_in_ci.md has an example"),
    ],
)
def test_a_file_that_is_no_experiment_is_answered_with_what_one_is(
    tmp_path: Path, content: str | bytes, said: str, mend: str
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError) as caught:
        compose.experiment([f"experiment={path}"])
    assert said in caught.value.what
    assert mend in (caught.value.mend or "")
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("name", ["absent.yaml", "folder.yaml", "loop.yaml", f"{'a' * 5000}.yaml"])
def test_what_is_no_file_is_no_experiment(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    with pytest.raises(ConfigError, match=r"no file|too long"):
        compose.experiment([f"experiment={tmp_path / name}"])


def test_a_file_has_the_numbers_and_the_marks_that_editors_write(tmp_path: Path) -> None:
    path = tmp_path / "mine (2), new.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + f"{GOOD}recipe:\n  learning_rate: 1e-3\n".encode())
    _, (run,) = compose.experiment([f"experiment='{path}'"])
    assert (run.keep, run.recipe.learning_rate) == (0.5, 0.001)


@pytest.mark.parametrize(
    ("words", "said", "mend"),
    [
        (["seed=range(1,0)"], "names no value, and nothing would run", "seed=range(0,3)"),
        (["keep=range(0,1,-1)"], "names no value", "keep=range(0,3)"),
        (["seed=range(0,3,0)"], "is no range of at most 20,000 numbers", "seed=range(0,3)"),
        (["seed=range(0,nan)"], "is no range", "seed=range(0,3)"),
        (["seed=range(0,1000000000)"], "is no range of at most 20,000", "seed=range(0,3)"),
        (["seed=shuffle(range(0,1000000000))"], "is no range of at most 20,000", "seed=range(0,3)"),
        (["seed=range(0,1000)", "keep=range(0.001,1,0.001)"], "span 999,000 runs", "several commands"),
        (["seed=interval(0,1)"], "is no list of values", "seed=range(0,3)"),
        (["seed=sort(3,b,1)"], "no setting of the form", "seed=0,1,2 or seed=range(0,3)"),
        (["seed='0,1'"], "seed=0,1: input should be a valid integer", "seed=0,1"),
        (["policy=shuffle(1,2,3)"], "there is no policy=", ""),
        (["rule='hard,random'"], "there is no rule=hard,random", "rule=hard,random"),
        (["task=null"], "there is no task=null. There is: cifar10", ""),
        (["task=3"], "there is no task=3. There is: cifar10", ""),
        (["launcher=[[[]]]"], "there is no launcher=[[[]]]. There is: local, processes", ""),
        (["recipe=[]"], "there is no recipe=[]", ""),
        (["recipe={epochs:3}"], "recipe is chosen by a name", "recipe.epochs=3"),
        (["rule='${'"], "there is no rule=${", ""),
        (["task='${oc.decode:\"1\"}'"], "there is no task=${oc.decode", ""),
        (["keep='${oc.decode:\"1\"}'"], "keep=${oc.decode", "keep=0.5"),
        (["keep=${oc.decode:'1'}"], "valid number", "keep=0.5"),
        (["keep=" + "[" * 2000 + "]" * 2000], "no setting of the form", ""),
        (["seed=" + "9" * 5000], "no setting of the form", ""),
        (["a" * 1_000_000], "a word of 1,000,000 letters", "seed=range(0,1000)"),
        (["keep=" + "a" * 5000], "(5,000 letters)", "keep=0.5"),
        (["task=" + "a" * 5000], "(5,000 letters)", ""),
        (["seed=[" + ",".join(["1"] * 500) + "]"], "(1,001 letters)", "seed=0"),
        (["results=\udc80store"], "is no text in UTF-8", "a name in UTF-8"),
        (["=3"], "no setting of the form key=value", "keep=0.5"),
        ([" "], "no setting of the form key=value", "keep=0.5"),
        (["task@recipe=digits"], "no setting of the form key=value", "keep=0.5"),
        (["hydra.verbose=true"], "would be ignored", "leave it out"),
        (["hydra.searchpath=[nope://x]"], "cannot be composed", ""),
        (["hydra.searchpath=[file:///nope]"], "/nope is not available", ""),
        (["results=a,b"], "a command reads one store", "runs --results a --merge b, and then results=a"),
        (["launcher=local,processes"], "one and the same for all runs", "launcher=local"),
        (["device=cuda:0,cpu"], "one and the same for all runs", "device=cuda:0"),
        (["~task"], "task is missing", "leave ~task out"),
        (["task=images", "task.path=~/x"], "no setting of the form", str(Path.home() / "x")),
        (["keep=null"], "keep=null: input should be a valid number", "keep=0.5"),
        (["model.width=100000000000"], "less than or equal to 2147483647", ""),
        (["recipe.epochs=1e300"], "less than or equal to 1000000", ""),
    ],
)  # fmt: skip
def test_a_word_that_nobody_meant_is_answered(words: list[str], said: str, mend: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose.runs("train", words)
    assert said in caught.value.what
    assert mend in (caught.value.mend or "")
    assert len(str(caught.value)) < 1000


def test_words_that_hydras_users_write_are_understood() -> None:
    assert compose.grid(["+seed=0,1", "++keep=0.5", "rule.name=easy"]) == [
        ("seed=0", "keep=0.5", "rule=easy"),
        ("seed=1", "keep=0.5", "rule=easy"),
    ]
    assert compose.grid(["rule=glob(h*,r*)"]) == [("rule=hard",)]
    assert compose.grid(["rule=glob([h*,r*])"]) == [("rule=hard",), ("rule=random",)]
    assert compose.grid(["task='digits'"]) == [("task=digits",)]


@pytest.mark.parametrize("word", ["experiment=demo,smoke", "experiment=choice(demo,smoke)", "experiment=glob(*)"])
def test_one_experiment_is_made_at_a_time(word: str) -> None:
    with pytest.raises(ConfigError, match="say which experiment"):
        compose.experiment([word])
