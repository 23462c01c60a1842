"""The chains, their three formats, the strict parser, and the corpus by shares, errors and gaps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from prune_lab.experiments.contracts import IGNORED
from prune_lab.experiments.studies.formats import Formats
from prune_lab.experiments.studies.formats.corpus import corpus, corrupted, data_of, fresh, held_out
from prune_lab.experiments.studies.formats.settings import Arm
from prune_lab.experiments.studies.formats.task import (
    FORMATS,
    STOP,
    TOKEN,
    TOKENS,
    answers,
    chains,
    length,
    parse,
    prompts,
    said,
    write,
)


def trace(text: str, longest: int = 40) -> Any:
    """(1, longest) tokens of a text, with its end."""
    tokens = [TOKEN[word] for word in text.split()]
    return np.array([tokens + [STOP] * (longest - len(tokens))])


def made(**settings: Any) -> Any:
    return corpus(Formats(**{"examples": 3000} | settings), 1)


def test_the_verifier_agrees_with_the_generator_on_900_traces() -> None:
    drawn = chains(np.random.default_rng(0), 300, 3, 7)
    for place, name in enumerate(FORMATS):
        parsed = parse(write(drawn, name))
        assert (parsed.formats == place).all()
        assert (parsed.answers == answers(drawn)).all()
        assert parsed.ended.all()


def test_answers_are_worked_from_left_to_right_by_another_way() -> None:
    drawn = chains(np.random.default_rng(1), 50, 3, 5)
    for row, right in enumerate(answers(drawn)):
        asked = said(prompts(drawn.take(np.array([row])))[0]).split()[1:-1]  # <begin> 3 + 5 * 2 ?
        value = int(asked[0])
        for sign, digit in zip(asked[1::2], asked[2::2], strict=True):
            value = eval(f"{value} {sign} {digit}") % 10
        assert value == right


def test_corrupted_solutions_are_well_formed_and_wrong() -> None:
    drawn = chains(np.random.default_rng(2), 400, 3, 5)
    drawn = drawn.take((drawn.operands[:, 1:] != 0).all(1) | (drawn.number == 5))
    changed = corrupted(drawn, np.arange(len(drawn)), np.random.default_rng(3))
    same = answers(changed) == answers(drawn)
    assert same.mean() < 0.05  # 0 * 0 * 3 is 0 whatever one changes
    for place, name in enumerate(FORMATS):
        parsed = parse(write(changed, name))
        assert (parsed.formats == place).all()
        assert (parsed.answers != answers(drawn))[~same].all()
    differs = (changed.operands != drawn.operands).sum(1) + (changed.operators != drawn.operators).sum(1)
    assert set(differs[~same]) == {1}
    assert set(differs[same]) <= {0}


@pytest.mark.parametrize(
    ("text", "form", "answer"),
    [
        ("def x = 3 ; x = x + 5 ; x = x * 2 ; ret x", "prog", 6),
        ("py 3 + 5 * 2 end", "expr", 6),
        ("start 3 then plus 5 gives 8 then times 2 gives 6 so 6", "words", 6),
        ("start 3 then plus 5 gives 9 then times 2 gives 0 so 4", "words", 4),  # what is said at the end counts
        ("py 7 end", "expr", 7),  # of one operand: well formed, if not of this question
    ],
)
def test_a_trace_is_told_by_all_of_it(text: str, form: str, answer: int) -> None:
    parsed = parse(trace(text))
    assert (FORMATS[parsed.formats[0]], parsed.answers[0]) == (form, answer)


@pytest.mark.parametrize(
    "text",
    [
        "def x = 3 ; x = x + 5 ; ret",  # cut
        "def x = 3 ; x = x plus 5 ; ret x",  # a word of another format
        "start 3 then plus 5 gives 8 so py",  # no digit at its end
        "start def then plus 5 gives 8 so 8",  # the substring `def` makes no program
        "py 3 + 5 * 2",  # no end
        "py 3 + + 2 end",
        "py 3 + 5 * 2 end end",
        "3 + 5 * 2",
        "",
    ],
)
def test_the_malformed_is_of_no_format_and_has_no_answer(text: str) -> None:
    parsed = parse(trace(text))
    assert (parsed.formats[0], parsed.answers[0]) == (-1, -1)


def test_a_trace_without_an_end_is_malformed_and_its_length_is_all_of_it() -> None:
    tokens = trace("py 3 + 5 * 2 end")[:, :7]
    parsed = parse(tokens)
    assert (parsed.formats[0], parsed.answers[0], parsed.ended[0], parsed.lengths[0]) == (-1, -1, False, 7)


def test_the_longest_trace_has_room() -> None:
    drawn = chains(np.random.default_rng(0), 200, 7, 7)
    assert all((write(drawn, name)[:, length(7) - 1] == STOP).all() for name in FORMATS)


def test_shares_repeats_errors_and_the_gap_are_as_planted() -> None:
    found = made()
    assert np.bincount(found.formats).tolist() == [900, 1200, 900]
    parsed = parse(found.traces)
    right = parsed.answers == answers(found.chains)
    assert (parsed.formats == found.formats).all()
    assert (right[found.formats == 2]).all()
    assert not right[found.wrong].any()
    assert right[~found.wrong & ~found.dropped].all()
    assert found.wrong[found.formats == 1].mean() == pytest.approx(0.25, abs=0.04)
    assert found.wrong[(found.formats == 0) & ~found.dropped].mean() == pytest.approx(0.1, abs=0.03)
    gap = (found.formats == 0) & (found.chains.number == 5) & (found.chains.operators[:, -1] == 2)
    assert (found.dropped == gap).all()
    assert gap.sum() > 50
    assert right[gap].mean() < 0.5


def test_without_errors_and_gaps_every_solution_is_right() -> None:
    found = made(errors=(0, 0, 0), gaps=())
    assert (parse(found.traces).answers == answers(found.chains)).all()


def test_repeats_give_the_same_examples_again() -> None:
    found = made(repeats=(3, 1, 1))
    assert np.bincount(found.formats).tolist() == [2700, 1200, 900]
    programs = found.traces[found.formats == 0]
    assert len(np.unique(programs, axis=0)) <= 900
    assert (programs[:3] == programs[0]).all()


def test_no_chain_that_is_held_out_is_trained_on() -> None:
    study = Formats(examples=3000, tested=100, least=3, most=4)
    tested = held_out(study, 1)
    assert len(set(tested.identity)) == len(tested) == 100
    others = np.concatenate([corpus(study, 1).chains.identity, fresh(study, 500, 1, "asked", 0, 3).identity])
    assert not set(tested.identity) & set(others)


def test_the_loss_is_of_the_solution_and_its_end_alone() -> None:
    found = made(examples=30)
    windows = data_of(found, found).splits["train"]
    asked = prompts(found.chains).shape[1]
    for row in range(30):
        own = windows.targets[row]
        learned = own[own != IGNORED]
        assert (own[: asked - 1] == IGNORED).all()
        assert learned[-1] == STOP
        assert (learned[:-1] != STOP).all()
        assert said(learned) == said(found.traces[row])
    assert windows.inputs.max() < len(TOKENS)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"shares": (0.3, 0.3, 0.3)}, "sum to 0.9: they must sum to 1"),
        ({"shares": (0.5, 0.5, 0.0)}, "none is in the format words"),
        ({"shares": (0.5, 0.49999, 0.00001)}, "none is in the format words"),
        ({"samples": 8, "k": (1, 16)}, "study.k=16 is above study.samples=8"),
        ({"least": 6, "most": 5}, "study.most=5 is below study.least=6"),
        ({"width": 20, "heads": 4}, "a multiple of 2 x study.heads=4"),
        ({"least": 2, "most": 2, "tested": 150}, "more than a tenth of the 300 chains"),
        ({"arms": ({}, {})}, "two of study.arms are the same"),
        ({"arms": ({"updates": 3},)}, "samples do not divide into 3 updates"),
        ({"arms": ({"samples": 1},)}, "greater than or equal to 2"),
    ],
)
def test_what_cannot_be_is_refused_before_the_run(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Formats(**settings)


def test_an_arm_is_said_as_it_is_written() -> None:
    assert str(Arm()) == "{}"
    assert str(Arm(algorithm="ppo", kl=0.1)) == "{algorithm: ppo, kl: 0.1}"
    assert Arm().called == "GRPO, rate 0.001, KL 0.001"
    assert Arm(algorithm="ei", online=True).called == "expert iteration online, distinct solutions"


def test_settings_that_do_not_matter_do_not_move_the_key() -> None:
    plain = Formats(arms=({"algorithm": "ei"},)).simplified()  # type: ignore[arg-type]
    assert Formats(arms=({"algorithm": "ei", "kl": 0.1, "clip": 0.1},)).simplified() == plain  # type: ignore[arg-type]
    grpo = Formats(arms=({"distinct": False},)).simplified()  # type: ignore[arg-type]
    assert grpo == Formats().simplified()
    assert Formats(arms=({"kl": 0.1},)).simplified() != grpo  # type: ignore[arg-type]
