"""Transfer: a second set after the first one; everything below the head is carried over, and the table keeps both."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_model

from prune_lab.cli import compose
from prune_lab.experiments.data import text
from prune_lab.experiments.data.digits import Digits
from prune_lab.experiments.data.load import load_data
from prune_lab.experiments.errors import ConfigError
from prune_lab.experiments.laws import claims
from prune_lab.experiments.laws.expectations import Expectation
from prune_lab.experiments.models.networks.dense import mlp
from prune_lab.experiments.phases.plan import job_of
from prune_lab.experiments.report.pruning.runs import table
from prune_lab.experiments.store.folders import Store
from prune_lab.experiments.training.transfer import start_from

from ..command_line import call, changed

LOW, HIGH = "task.classes=[0,1,2,3,4]", "finetune.task.classes=[5,6,7]"
THEN = [LOW, "finetune.task.name=digits", HIGH, "finetune.task.examples=60"]
SMALL = ["task=digits", "model.width=16", "recipe.epochs=2", "scorer.proxies=1"]


def network(classes: int, seed: int, inputs: int = 6) -> torch.nn.Module:
    generator = torch.Generator().manual_seed(seed)
    return mlp(torch.zeros(2, inputs), generator, classes=classes, width=8, depth=2)


def test_everything_below_the_head_is_carried_over_and_the_head_stays_as_drawn(tmp_path: Path) -> None:
    first, second, untouched = network(4, 0), network(3, 1), network(3, 1)
    save_model(first, str(tmp_path / "first"))
    sentence = start_from(second, tmp_path / "first", with_head=False)
    theirs, mine, drawn = (dict(model.named_parameters()) for model in (first, second, untouched))
    *below, weight, bias = mine
    assert below
    assert all(torch.equal(mine[name], theirs[name]) for name in below)
    assert all(torch.equal(mine[name], drawn[name]) for name in (weight, bias))
    assert f"{sum(theirs[name].numel() for name in below):,}" in sentence


def test_a_model_of_other_shapes_is_refused_and_nothing_is_filled(tmp_path: Path) -> None:
    second, untouched = network(3, 1), network(3, 1)
    save_model(network(3, 0, inputs=5), str(tmp_path / "first"))
    with pytest.raises(ConfigError, match=r"\(8, 5\) there, \(8, 6\) here"):
        start_from(second, tmp_path / "first", with_head=False)
    for mine, drawn in zip(second.parameters(), untouched.parameters(), strict=True):
        assert torch.equal(mine, drawn)


def test_classes_are_kept_alone_and_renumbered_in_the_order_given() -> None:
    every, some = load_data(Digits(name="digits")), load_data(Digits(classes=("7", "3")))
    assert some.classes == ("7", "3")
    for split, examples in some.splits.items():
        whole = every.splits[split]
        number = dict(zip(whole.ids, whole.targets, strict=True))
        assert len(examples.ids) == sum(target in (3, 7) for target in whole.targets)
        assert [(7, 3)[target] for target in examples.targets] == [number[name] for name in examples.ids]


def test_a_class_that_is_not_there_or_named_twice_is_refused(capsys: pytest.CaptureFixture[str], results: str) -> None:
    answer = call(capsys, "train", *SMALL, results, "task.classes=[3,14]")
    assert answer.code == 2
    assert "no class 14; there is: 0, 1, 2" in answer.err
    answer = call(capsys, "train", *SMALL, results, "task.classes=[3,3]")
    assert answer.code == 2
    assert "named twice" in answer.err


def test_only_the_first_set_is_pruned_and_the_second_is_what_is_measured(
    capsys: pytest.CaptureFixture[str], results: str
) -> None:
    made = call(capsys, "evaluate", *SMALL, *THEN, "keep=0.5", results)
    assert made.code == 0, made.err
    assert "starts from" in made.err
    (row,) = table(Store(Path(results.removeprefix("results=")))).to_dict("records")
    low = load_data(Digits(classes=tuple("01234"))).splits["train"]
    assert (row["task"], row["rule"], row["scorer"]) == ("digits, then digits", "hard", "el2n")
    assert (row["pool"], row["examples"]) == (len(low.ids), round(0.5 * len(low.ids)))
    assert row["finetune.task.examples"] == 60
    assert row["finetune.task.classes"] == "5,6,7"
    expected = Expectation.model_validate(
        {"claim": "", "source": "", "at_least": 0.0, "point": {"where": {"finetune.task.classes": [5, 6, 7]}}}
    )
    assert claims.check(expected, table(Store(Path(results.removeprefix("results="))))).n == 1


def test_the_key_depends_on_both_sets_and_the_first_run_is_that_without_a_second() -> None:
    def job(*words: str) -> str:
        (run,) = compose.runs("train", changed(*SMALL, *words))
        return job_of("train", run).key

    (run,) = compose.runs("train", [*SMALL, *THEN, "keep=0.5"])
    assert job_of("train", run).inputs["start"].key == job(LOW, "keep=0.5")
    keys = {job(*THEN, *more) for more in ([], ["keep=0.5"], ["finetune.task.examples=50"], ["task.classes=[0,1]"])}
    assert len(keys) == 4


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (["finetune.task.examples=5000"], "to mend it: finetune.task.examples="),
        (["finetune.task.classes=[3,14]"], "to mend it: finetune.task.classes=[0,1]"),
        (["finetune.task.name=perceptron", "finetune.task.dimension=32"], "one set: finetune.task.classes=[...]"),
    ],
)
def test_errors_of_the_second_set_call_its_settings_by_their_names(
    capsys: pytest.CaptureFixture[str], results: str, second: list[str], said: str
) -> None:
    name = [] if second[0].startswith("finetune.task.name") else ["finetune.task.name=digits"]
    answer = call(capsys, "train", *SMALL, *name, *second, results)
    assert answer.code == 2
    assert said in answer.err
    assert "finetune.finetune" not in answer.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["model=linear", "finetune.task.name=digits"], "below the head"),
        (["task=pydoc", "finetune.task.name=imdb"], "task.vocabulary=257 finetune.task.vocabulary=257"),
        (["finetune.task.name=imdb"], "a model of task=digits cannot go on with"),
        (["finetune.task.name=digits", "finetune.task.exampels=3"], "no finetune.task.exampels"),
    ],
)
def test_what_cannot_be_carried_over_is_refused_before_anything_runs(words: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        compose.runs("train", words)
    assert said in f"{refused.value} {refused.value.mend}"


def test_bytes_are_the_same_tokens_for_every_text(tmp_path: Path) -> None:
    made = []
    for name, sentence in (("cats", "the cat sat on the mat. "), ("näh", "Straße und Bäume. ")):
        (tmp_path / name).mkdir()
        for number in range(12):
            (tmp_path / name / f"{number}.txt").write_text(sentence * (3 + number))
        made.append(text.load("text", str(tmp_path / name), dev=0.2, vocabulary=257, context=16).tokenizer)
    assert made[0] == made[1]
