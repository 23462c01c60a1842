"""What was run before is found again: the keys of every experiment's jobs are what they were."""

from __future__ import annotations

import pytest

from prune_lab.cli import compose

from .. import keys

COMMITTED = keys.TABLE.read_text().splitlines()
NAMES = compose.choices("experiment")


def committed(*names: str) -> list[str]:
    return [row for row in COMMITTED if row.partition(",")[0] in names]


@pytest.mark.parametrize("name", NAMES)
def test_every_key_of_an_experiment_is_the_one_that_was_published(name: str) -> None:
    assert list(keys.of_experiment(name)) == committed(name)


def test_every_key_of_a_choice_is_the_one_that_was_published() -> None:
    assert len(COMMITTED) > 150
    assert sorted(keys.of_choices()) == sorted(row for row in COMMITTED if row not in committed(*NAMES))
