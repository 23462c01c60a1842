"""What was run before is found again: the keys of every experiment's jobs are what they were."""

from __future__ import annotations

from .. import keys


def test_every_key_is_the_one_that_was_published() -> None:
    committed = keys.TABLE.read_text().splitlines()
    found = list(keys.rows())
    assert len(committed) > 150
    assert [row for row in found if row not in committed] == []
    assert [row for row in committed if row not in found] == []
