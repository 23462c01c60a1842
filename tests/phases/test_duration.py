"""A recipe without a duration takes at least so many steps, whatever the size of the data."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import pytest

from prune_lab.cli import compose
from prune_lab.experiments.data import load
from prune_lab.experiments.phases.plan import Job, closure, job_of
from prune_lab.experiments.training.recipes import Recipe

from ..command_line import call


def jobs(*words: str, phase: str = "train") -> list[Job]:
    (run,) = compose.runs(phase, list(words))
    return closure([job_of(phase, run)])


def lengths(*words: str, phase: str = "train") -> dict[str, float]:
    """Epochs of the proxies, of the model, and of what it started from."""
    return {
        "proxy" if "proxy" in job.recipe else job.run.task.name: job.recipe["recipe"]["epochs"]
        for job in jobs(*words, phase=phase)
        if job.phase == "train"
    }


def test_a_small_set_is_passed_over_more_often_and_a_large_one_as_often_as_the_recipe_says() -> None:
    recipe = Recipe(least_epochs=8, least_steps=200, batch_size=128)
    epochs = {pool: recipe.timed(lambda pool=pool: pool).epochs for pool in (319, 1280, 3199, 3200, 50_000)}
    assert epochs == {319: 100, 1280: 20, 3199: 8, 3200: 8, 50_000: 8}
    assert recipe.timed(lambda: 319).derivation(319) == (
        "recipe.epochs=100, since the data are few: 8 epochs of 319 examples would be 16 steps, and recipe.least_steps "
        "is 200"
    )
    assert recipe.timed(lambda: 3200).derivation(3200) == ""
    given = Recipe(least_epochs=8, least_steps=200, epochs=2)
    assert given.timed(lambda: 1 // 0).epochs == 2  # the data are not looked at
    with pytest.raises(ValueError, match="exactly one of epochs, steps, examples"):
        Recipe()


def test_each_training_run_has_the_duration_of_its_own_data() -> None:
    small = "task.examples=100"  # 2 batches of 64
    assert lengths("task=digits") == {"digits": 20}
    assert lengths(small, "keep=0.5") == {"digits": 100, "proxy": 100}
    assert lengths(small, "keep=0.5", "scored=everything") == {"digits": 100, "proxy": 20}
    folds = ["scorer.folds=2", "scorer.proxies=1", "recipe.batch_size=25"]
    assert lengths(small, "keep=0.5", *folds) == {"digits": 50, "proxy": 100}  # a proxy sees one half
    assert lengths(small, "recipe.epochs=7", "keep=0.5") == {"digits": 7, "proxy": 7}
    whole = next(job for job in jobs(small, "recipe.steps=30") if job.phase == "train")
    assert (whole.recipe["recipe"]["steps"], whole.recipe["recipe"]["epochs"]) == (30, None)


def test_a_derived_duration_has_the_key_of_the_same_that_is_given() -> None:
    keys = [jobs(*words)[-1].key for words in ([], ["recipe.epochs=20"], ["recipe.epochs=20", "recipe.least_steps=9"])]
    assert len(set(keys)) == 1
    assert jobs("recipe.epochs=21")[-1].key != keys[0]


def test_data_are_counted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRUNE_LAB_CACHE", str(tmp_path))
    (run,) = compose.runs("train", ["task=digits", "task.dev=0.2"])
    found = run.task.fingerprint()
    load.pool_size.cache_clear()
    assert load.pool_size(run.task, found) == 1150
    load.pool_size.cache_clear()
    with mock.patch.object(load, "load_data", side_effect=AssertionError):
        assert load.pool_size(run.task, found) == 1150
        noisy = run.task.model_copy(update={"label_noise": 0.3})
        assert load.pool_size(noisy, found) == 1150


def test_score_ends_with_what_to_set_where_proxies_are_at_chance(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = ["task.examples=60", "model=linear", "scorer.proxies=2", "recipe.learning_rate=1e-9"]
    words += ["recipe.batch_size=60", "recipe.least_epochs=2", "recipe.least_steps=30", f"results={tmp_path}"]
    end = (
        "warning: 2 of 2 proxies are no better than guessing on dev, and scores of such proxies rank little: set "
        "recipe.epochs=120, which is 4 times as long"
    )
    for again in (False, True):  # found again, it is said again
        answer = call(capsys, "score", *words)
        assert end in answer.err.splitlines()[-2:]
        derived = "recipe.epochs=30, since the data are few: 2 epochs of 60 examples would be 2 steps" in answer.err
        assert derived != again
    learned = call(capsys, "score", *words, "recipe.learning_rate=0.5")
    assert "guessing" not in learned.err


@pytest.mark.parametrize(
    ("flip", "shift", "said"),
    [
        (False, 0, ""),
        (True, 0, "images are augmented: half of them mirrored (recipe.flip=false to leave them as they are)"),
        (True, 2, "half of them mirrored and shifted by up to 2 pixels (recipe.flip=false recipe.shift=0 to"),
    ],
)
def test_how_images_are_augmented_is_said(flip: bool, shift: int, said: str) -> None:
    recipe = Recipe(epochs=1, flip=flip, shift=shift)
    assert said in recipe.augmentation
    assert bool(said) == bool(recipe.augmentation)
