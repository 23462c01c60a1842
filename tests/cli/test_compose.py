"""Overrides to runs: groups, sweeps, and the nearest right word for a wrong one."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest

from prune_lab.cli import completion, compose, options, verbs, words
from prune_lab.experiments.errors import ConfigError
from prune_lab.experiments.phases import export
from prune_lab.experiments.store.folders import PHASES

from ..command_line import call


def test_a_task_brings_its_model_and_recipe_and_a_word_for_them_wins() -> None:
    (run,) = compose.runs("train", ["task=cifar10"])
    assert (run.model.name, run.recipe.flip, run.recipe.least_epochs) == ("convnet", True, 8)
    (run,) = compose.runs("train", ["model=resnet18", "task=cifar10", "recipe.epochs=3"])
    assert (run.model.name, run.recipe.epochs) == ("resnet18", 3)


def test_a_sweep_is_the_product_and_a_later_word_replaces() -> None:
    assert compose.grid(["keep=0.5", "seed=0,1", "rule=random,easy", "keep=0.25"]) == [
        (keep, seed, rule)
        for keep in ["keep=0.25"]
        for seed in ("seed=0", "seed=1")
        for rule in ("rule=random", "rule=easy")
    ]


@pytest.mark.parametrize(
    ("words", "mend"),
    [
        (["keep=0.3", "keep=0.5"], "one of the two, or keep=0.3,0.5 for both"),
        (["+seed=0", "seed=1,2"], "one of the two, or seed=0,1,2 for both"),
        (["rule=hard", "rule.name=easy"], "one of the two, or rule=hard,easy for both"),
        (["recipe.epochs=3", "keep=1", "recipe.epochs=4"], "one of the two, or recipe.epochs=3,4 for both"),
        (["results=a", "results='b'"], "one of the two"),
        (["launcher=local", "launcher=processes"], "one of the two"),
    ],
)
def test_a_key_has_one_word(words: list[str], mend: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is given twice") as caught:
        compose.runs("train", words)
    assert caught.value.mend == mend
    with pytest.raises(ConfigError, match="is given twice"):
        compose.experiment(["experiment=smoke", *words])
    own = tmp_path / "mine.yaml"
    own.write_text(f"experiment:\n  name: mine\n  title: t\n  grids: [{words}]\n")
    with pytest.raises(ConfigError, match="is given twice"):
        compose.experiment([f"experiment={own}"])
    assert compose.runs("train", ["keep=0.3", "keep=0.3"])  # one meaning


def test_flags_are_words_and_repeated_ones_sweep() -> None:
    given = options.overrides(["seed=0"], keep=["0.5", "1"], seed=None, results=["it's"])
    assert given == ["seed=0", "keep=0.5,1", r"results='it\'s'"]
    assert options.placed(["3f2a", "results='a'"], ["a"]) == ("3f2a", "a")
    with pytest.raises(ConfigError, match="2 stores"):
        options.placed(["results=b"], ["a"])


def test_a_page_of_ones_own_takes_no_place_of_ours(tmp_path: Path) -> None:
    own, taken = tmp_path / "mine.yaml", {"demo": "demo", "capacity_digits": "capacity_digits", "high": "high_pruning"}
    for name, page in taken.items():
        own = tmp_path / f"{name}.yaml"
        sizes = "{pruning: {grids: [[keep=1]]}}"
        own.write_text(f"experiment:\n  title: t\n  grids: [[keep=1]]\n  name: {name}\n  sizes: {sizes}\n")
        with pytest.raises(ConfigError, match=rf"{name}\.yaml, line 4: .* over {page}") as caught:
            compose.experiment([f"experiment={own}"])
        assert caught.value.mend == f"name: my_{name}"
    own.write_text("experiment:\n  title: t\n  grids: [[keep=1]]\n  name: demo_2\n")
    compose._section.cache_clear()
    assert compose.experiment([f"experiment={own}"])[0].folder == "demo_2"


def test_in_a_sweep_over_choices_a_key_goes_to_those_that_have_it() -> None:
    words = ["scorer=margin,el2n,file", "scorer.path=mine.csv", "scorer.epoch=1,2"]
    assert compose.grid(words) == [
        ("scorer=margin",),
        ("scorer=el2n", "scorer.epoch=1"),
        ("scorer=el2n", "scorer.epoch=2"),
        ("scorer=file", "scorer.path=mine.csv"),
    ]
    with pytest.raises(ConfigError, match="belongs to scorer=file"):
        compose.runs("train", ["scorer=margin,el2n", "scorer.path=mine.csv"])


def test_range_sweeps_and_quoted_values() -> None:
    assert [s.seed for s in compose.runs("train", ["seed=range(0,3)"])] == [0, 1, 2]
    (run,) = compose.runs("train", ["task=images", "task.path='a folder, with = signs'"])
    assert run.task.path == "a folder, with = signs"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["kep=0.5"], "Did you mean keep?"),
        (["task=cifar"], "Did you mean task=cifar10?"),
        (["scorer=e12n"], "Did you mean scorer=el2n?"),
        (["task.exampels=3"], "Did you mean task.examples?"),
        (["model.widht=3"], "Did you mean model.width?"),
        (["recipe.epoch=3"], "Did you mean recipe.epochs?"),
        (["recipe.epochs=-1"], "recipe.epochs=-1"),
        (["scorer=file"], "scorer.path"),
        (["task=images", "task.path="], "task.path"),
        (["experiment=demo"], "prune-lab reproduce experiment=demo"),
        (["keep=0"], "keep=0"),
        (["keep=1.2"], "keep=1.2"),
        (["keep=nan"], "keep=nan"),
        (["rule=hardest"], "rule=hardest"),
        (["seed=-1"], "seed=-1"),
        (["keep"], "key=value"),
        (["recipe.steps=10", "recipe.epochs=3"], "recipe.epochs=null"),
        (["task=imdb", "model=mlp"], "model=gpt"),
        (["scorer=perplexity"], "scorer=loss"),
        (["task=pydoc", "balance=0.5"], "balance=0"),
        (["drop_hardest=0.1"], "Did you mean rule.drop_hardest?"),
        (["rule.drop_hardest=0.1"], "rule.drop_hardest belongs to rule=stratified, and this is rule=hard"),
        (["rule=stratified", "rule.drop_hardest=0.6", "keep=0.5"], "drop_hardest"),
        (["task=perceptron", "recipe.flip=true"], "recipe.flip"),
        (["task=images"], "task.path"),
        (["device=tpu"], "device=tpu"),
        (["keep.more=1"], "keep"),
        (["task=pydoc", "model.width=30"], "model.heads"),
        (["task=pydoc", "scorer=forgetting"], "scorer=forgetting"),
        (["keep=50"], "to mend it: keep=0.5"),
        (["keep=50%"], "to mend it: keep=0.5"),
        (["keep=1.5"], "to mend it: keep=0.5"),  # not keep=0.015
        (["keep=2"], "to mend it: keep=0.5"),  # not keep=0.02
        (["keep=0"], "to mend it: keep=0.5"),
        (["seed=abc"], "to mend it: seed=0"),
        (["seed=1.5"], "to mend it: seed=1"),
        (["scorer.proxies=2.5"], "to mend it: scorer.proxies=2"),
        (["seed=0..2"], "to mend it: seed=0,1,2"),
        (["seed=0-99"], "to mend it: seed=range(0,100)"),
        (["rule=hrd"], "to mend it: rule=hard"),
        (["keep==0.5"], "to mend it: keep=0.5"),
        (["keep = 0.5"], "to mend it: keep=0.5"),
        (["keep=0.3,"], "to mend it: keep=0.3"),
        (["epochs=3"], "recipe.epochs"),
        (["path=x"], " or task.path"),
        (["task.path=a (b)"], "\"task.path='a (b)'\""),
        (["cifar10"], "to mend it: task=cifar10"),
        (["demo"], "prune-lab reproduce experiment=demo"),
        (["scorer.clusters=3"], "scorer.clusters belongs to scorer=duplicates, prototypes, and this is scorer=el2n"),
        (["model.stride=2"], "model.stride belongs to model=convnet, and this is model=mlp"),
        (["task=pydoc", "scorer=dual"], "scorer=perplexity"),
        (["task=pydoc", "scorer=d2", "scorer.base=forgetting"], "scorer.base=el2n"),
        (["rule=beta"], "scorer=dual"),
        (["rule=quota", "scorer=dual"], "scorer=class_error"),
        (["scorer=dual", "scorer.epochs=5"], "scorer.window=5"),
        (["scorer=tdds", "scorer.window=91"], "scorer.window=90"),
        (["scorer=tdds", "scorer.window=2"], "scorer.window=2"),
        (["scorer=ensemble_disagreement", "scorer.proxies=1"], "scorer.proxies=1"),
        (["scorer=d2", "scorer.proxies=3"], "scorer.proxies"),
        (["scorer=mask", "model=convnet"], "model=mlp"),
        (["task=pydoc", "task.path=books"], "task=text task.path"),
        (["scorer=mask", "recipe.optimizer=adamw"], "recipe.optimizer=sgd"),
        (["scorer=mask", "scorer.keep=1"], "scorer.keep=1"),
        (["scorer=duplicates", "scorer.proxies=3"], "scorer.proxies"),
        (["task=pydoc", "scorer=continuation", "scorer.prompt=1"], "scorer.prompt=1"),
    ],
)
def test_a_wrong_word_is_answered_with_the_right_one(words: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose.runs("train", words)
    assert said in str(caught.value)
    assert caught.value.exit_code == 2
    assert "expecting" not in str(caught.value)  # the parser's words


@pytest.mark.parametrize("scorer", ["mask", "memorization", "influence_max", "influence_sum_abs"])
def test_a_convnet_is_refused_for_its_batch_norm_alone(scorer: str) -> None:
    with pytest.raises(ConfigError, match=r"model\.norm=group"):
        compose.runs("score", ["task=digits", f"scorer={scorer}", "model=convnet"])
    compose.runs("score", ["task=digits", f"scorer={scorer}", "model=convnet", "model.norm=group"])


def test_every_config_composes_and_validates() -> None:
    needs = {
        ("task", "images"): ["task.path=x"],
        ("task", "text"): ["task.path=x"],
        ("scorer", "file"): ["task=digits", "scorer.path=x"],
        ("recipe", "images"): ["task=cifar10"],
        ("recipe", "resnet"): ["task=cifar10"],
    }
    fitting = {"gpt": "pydoc", "text": "pydoc", "perceptron": "perceptron"}
    fitting |= dict.fromkeys(("perplexity", "continuation", "ngram_importance"), "pydoc")
    for group in ("task", "model", "recipe", "scorer", "launcher", "study"):
        for name in compose.choices(group):
            more = needs.get(
                (group, name), [] if group in ("task", "study") else [f"task={fitting.get(name, 'digits')}"]
            )
            (run,) = compose.runs("simulate" if group == "study" else "train", [f"{group}={name}", *more])
            if group != "recipe":
                assert getattr(run, group).name == name


def test_an_experiment_applies_its_own_settings_and_the_users_after() -> None:
    experiment, runs = compose.experiment(["experiment=cifar10_pruning", "seed=7"])
    assert experiment.folder == "cifar10_pruning"
    assert {run.seed for run in runs} == {7}
    assert {(run.model.width, run.recipe.epochs) for run in runs} == {(0.25, 4)}
    assert len([run for run in runs if run.keep == 1]) == 1
    experiment, runs = compose.experiment(["experiment=high_pruning", "experiment.size=smoke", "seed=7"])
    assert experiment.folder == "high_pruning_smoke"
    assert {run.task.name for run in runs} == {"digits"}


def test_a_pages_folder_is_answered_with_its_experiment_and_size() -> None:
    with pytest.raises(ConfigError, match=r"to mend it: experiment=capacity experiment\.size=digits"):
        compose.described(["experiment=capacity_digits"])


def test_an_experiment_must_be_named() -> None:
    with pytest.raises(ConfigError, match="experiment=demo"):
        compose.experiment(["keep=0.5"])
    with pytest.raises(ConfigError, match="to mend it: prune-lab reproduce experiment=demo"):
        compose.experiment(["demo"])
    with pytest.raises(ConfigError, match="Did you mean experiment=demo"):
        compose.experiment(["experiment=demmo"])


def test_completion_offers_keys_then_values() -> None:
    assert "task=" in list(completion.complete("ta"))
    assert "recipe.learning_rate=" in list(completion.complete("recipe.l"))
    assert list(completion.complete("scorer=el")) == ["scorer=el2n"]
    assert list(completion.complete("rul")) == ["rule=", "rule.drop_hardest="]
    assert list(completion.complete("rule=")) == [
        f"rule={rule}" for rule in ("beta", "easy", "hard", "middle", "quota", "random", "stratified")
    ]
    assert list(completion.complete("rule=s")) == ["rule=stratified"]
    assert list(completion.complete("model.positions=l")) == ["model.positions=learned"]
    assert list(completion.complete("model.tied=")) == ["model.tied=true", "model.tied=false"]
    assert list(completion.complete("rule=hard,ra")) == ["rule=hard,random"]
    assert list(completion.complete("scorer=el2n,aum,e")) == [
        "scorer=el2n,aum,ensemble_disagreement",
        "scorer=el2n,aum,entropy",
    ]


def test_completion_of_flags_and_runs(tmp_path: Path) -> None:
    assert options._launchers("") == ["local", "processes", "submitit"]
    assert options._phases("tr") == ["train"]
    assert options._experiments("high") == ["high_pruning"]
    (tmp_path / "train" / "3f2a").mkdir(parents=True)
    (tmp_path / "train" / ".3f2a.resume").mkdir()
    context = SimpleNamespace(params={"results": [str(tmp_path)]})
    assert options._keys(context, "3f") == ["3f2a"]  # type: ignore[arg-type]


def test_help_names_the_common_settings_and_all_their_choices(capsys: pytest.CaptureFixture[str]) -> None:
    shown = call(capsys, "--help")
    assert (shown.code, shown.out.count("Common settings")) == (0, 1)
    said = set(re.findall(r"[a-z0-9_]+", options.settings()))
    for name in ("task", "model", "scorer", "rule", "policy", "study", "keep", "budget", "balance", "seed", "device"):
        assert {name, *(compose.choices(name) if name in compose.GROUPS else words.literals(name))} <= said


def test_the_help_of_a_verb_says_what_it_reads_and_writes_and_how_it_ends(capsys: pytest.CaptureFixture[str]) -> None:
    assert verbs.reads("score") == {"device", "model", "recipe", "score_seed", "scored", "scorer", "seed", "task"}
    assert verbs.reads("train") - verbs.reads("prune") == {"budget", "finetune", "policy", "search"}
    assert verbs.reads("prune") - verbs.reads("score") == {"balance", "keep", "rule"}
    assert verbs.reads("evaluate") - verbs.reads("train") == {"shifted"}
    assert verbs.reads("simulate") == {"seed", "study"}
    assert verbs.writes("score") == ["results/score/KEY/: scores.parquet, record.json"]
    assert {"index.html", "table.csv", "claims.json"} <= set(re.findall(r"[\w.]+", verbs.writes("report")[1]))
    assert list(verbs.exit_codes(checks=True)) == [0, 1, 2, 3, 4, 5, 130]
    shown = call(capsys, "claims", "--help")
    assert (shown.code, "5 what an experiment expects" in shown.out) == (0, True)
    assert "5 what" not in call(capsys, "doctor", "--help").out
    assert "results/prune/KEY/: kept.parquet" in call(capsys, "prune", "--help").out


@pytest.mark.parametrize("phase", PHASES)
def test_only_what_a_verb_says_it_exports_is_exported(phase: str, tmp_path: Path) -> None:
    (run,) = compose.runs("prune", [f"export={tmp_path / 'x.csv'}"])
    if phase in verbs.EXPORTED:
        return export.check(phase, run)
    with pytest.raises(ConfigError, match="score or prune"):
        export.check(phase, run)
    return None


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(capsys, "--version").out == f"prune-lab {version('prune-lab')}\n"


def test_configs_from_a_folder_of_the_users_own(tmp_path: object) -> None:
    folder = tmp_path / "scorer"  # type: ignore[operator]
    folder.mkdir()
    (folder / "mine.yaml").write_text("name: el2n\nproxies: 7\n")
    (run,) = compose.runs("train", [f"hydra.searchpath=[file://{tmp_path}]", "scorer=mine"])
    assert run.scorer.proxies == 7  # type: ignore[union-attr]


@pytest.mark.parametrize("name", compose.choices("experiment"))
def test_every_size_of_every_experiment_is_valid(name: str) -> None:
    experiment = compose.described([f"experiment={name}"])
    assert experiment.folder == experiment.name == name
    for size in ("cpu", *experiment.sizes):
        words = [f"experiment={name}", f"experiment.size={size}"]
        chosen = compose.described(words).chosen
        for line in chosen.grids:  # a point of each: the others differ in plain values
            assert compose.run_of("evaluate", compose.grid([*chosen.settings, *line, *words])[-1])


def test_a_wrong_size_is_refused_with_the_right_ones() -> None:
    with pytest.raises(ConfigError, match=r"experiment\.size=huge.*cpu, digits, smoke, paper"):
        compose.experiment(["experiment=capacity", "experiment.size=huge"])
