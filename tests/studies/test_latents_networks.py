"""The learners by gradients: what a predictor says of a tuple, masks, the moving teacher, and linear probes."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from prune_lab.experiments.contracts import Indices
from prune_lab.experiments.studies.latents import Latents, gradient, network, probing
from prune_lab.experiments.studies.latents.clustering import counted, given, learn, numbered, recovered
from prune_lab.experiments.studies.latents.contexts import Level
from prune_lab.experiments.studies.latents.grammar import Grammar
from prune_lab.experiments.studies.latents.settings import Gradient, Network


def strings(depth: int, number: int) -> list[Indices]:
    return Grammar(depth, 8, 2, 2, seed=1).sample(number, 1)


def first_level(levels: list[Indices]) -> Level:
    seen, _ = given(levels, "tokens")
    ids = numbered(seen.tokens, 2, seen.learned)[:, : seen.learned]
    return Level(1, ids, seen.tokens[:, : seen.learned], seen)


def test_a_predictor_learns_the_shares_that_are_counted() -> None:
    level = first_level(strings(2, 1200))
    wanted, weights = counted(level, "tokens", 0)
    chance, same = gradient.trained(
        Gradient(width=64, steps=150, batch_size=960, learning_rate=0.02), level, "tokens", 0
    )
    assert (same == weights).all()
    assert chance.shape == wanted.shape
    assert chance.sum(-1) == pytest.approx(np.ones(wanted.shape[:2]), abs=1e-5)
    assert np.average(np.abs(chance - wanted).mean((1, 2)), weights=weights) < 0.03
    assert np.abs(wanted.mean(0) - wanted).mean() > 0.06  # and not only the marginal


def test_a_predictor_is_given_the_symbols_of_its_tuple() -> None:
    level = first_level(strings(2, 60))
    inputs = gradient._one_hot(level)
    for place in range(2):
        for string in range(5):
            row = inputs[level.ids[place, string]].reshape(2, -1)
            assert row.argmax(1).tolist() == level.below[2 * place : 2 * place + 2, string].tolist()


def test_the_levels_are_found_by_gradients() -> None:
    predict = partial(gradient.trained, Gradient(width=64, steps=100, learning_rate=0.02))
    found = recovered(strings(3, 1500), "latents", 0, predict=predict)
    assert [float((own == -1).mean()) for _, own, _ in found] == [0, 0]
    again = learn(given(strings(3, 1500), "latents")[0], target="latents", seed=0, predict=predict)
    assert (again[1][1][:, 1200:] == found[1][1]).all()  # equal seeds, equal networks


def test_masks_hide_whole_patches_of_every_string() -> None:
    draw = torch.Generator().manual_seed(0)
    masked = network.masks(Network(masked=0.5, patch=1), 50, 8, 2, draw)
    assert (masked.sum(1) == 4).all()
    assert (masked[:, ::2] == masked[:, 1::2]).all()
    assert len(masked.unique(dim=0)) == 6
    assert (network.masks(Network(masked=0.9, patch=2), 3, 8, 2, draw).sum(1) == 4).all()  # never all of a string


@pytest.mark.parametrize("target", ["latents", "tokens"])
def test_training_end_to_end_lowers_the_loss_and_repeats(target: str) -> None:
    settings = Network(width=16, heads=2, layers=2, averaged=1, steps=30, looks=3, batch_size=64, learning_rate=0.01)
    tokens = strings(2, 400)[-1]

    def losses() -> list[float]:
        looks = network.trained(settings, tokens, 8, 2, target, 0, torch.device("cpu"))
        return [loss for _, loss, _ in looks]

    first = losses()
    assert len(first) == 3
    assert first[-1] < first[0]
    assert losses() == first


def test_the_student_sees_masks_and_the_teacher_whole_strings(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []
    forward = network.Encoder.forward

    def watched(self: Any, tokens: torch.Tensor) -> list[torch.Tensor]:
        seen.append(float((tokens == 8).double().mean()))
        return forward(self, tokens)

    monkeypatch.setattr(network.Encoder, "forward", watched)
    settings = Network(width=8, heads=2, layers=2, averaged=1, steps=3, looks=1, batch_size=8, masked=0.5)
    ((_, _, teacher),) = network.trained(settings, strings(2, 40)[-1], 8, 2, "latents", 0, torch.device("cpu"))
    assert seen == [0.5, 0.0] * 3  # the student, then the teacher
    assert not any(weight.requires_grad for weight in teacher.parameters())
    states = forward(teacher, torch.from_numpy(strings(2, 40)[-1]))
    last = torch.nn.functional.layer_norm(states[-1], states[-1].shape[-1:])
    wanted = network.teacher_latents(teacher, torch.from_numpy(strings(2, 40)[-1]), 1)
    torch.testing.assert_close(wanted, (last - last.mean((0, 1))) / (last.std((0, 1)) + 1e-3))


def test_the_teacher_follows_the_student() -> None:
    student, teacher = (network.built(Network(width=8, heads=2, layers=1, averaged=1), 4, 4, seed) for seed in (0, 1))
    wanted = [0.9 * own + 0.1 * other for own, other in zip(teacher.parameters(), student.parameters(), strict=True)]
    network.follow(teacher, student, 0.9)
    assert all(torch.allclose(own, one) for own, one in zip(teacher.parameters(), wanted, strict=True))


def test_a_probe_reads_what_is_linear_in_a_patch() -> None:
    draw = torch.Generator().manual_seed(0)
    symbols = torch.randint(3, (50, 2), generator=draw)
    states = torch.nn.functional.one_hot(symbols, 3).float().repeat_interleave(2, dim=1)  # (50, 4, 3)
    inputs = probing.pooled(states, 2)
    assert inputs.shape == (100, 4)
    assert ((inputs @ probing.fitted(inputs, symbols.reshape(-1))).argmax(1) == symbols.reshape(-1)).all()


def test_the_best_layer_is_chosen_on_other_strings() -> None:
    small = Network(width=16, heads=2, layers=2, averaged=1, steps=4, looks=2, probed=64)
    study = Latents(learner="end_to_end", depth=2, vocabulary=8, synonyms=2, sizes=(64,), tested=40, network=small,
                    targets=("tokens", "untrained"))  # fmt: skip
    work: Any = SimpleNamespace(
        seed=0, run=SimpleNamespace(device="cpu"), on=torch.device, notify=lambda words, share: None
    )
    tables, _ = study.measure(work)
    curves = tables["curves"]
    assert sorted(curves["step"].unique()) == [0, 2, 4]
    last = curves[(curves["target"] == "tokens") & (curves["step"] == 4)]
    (best,) = tables["levels"][tables["levels"]["target"] == "tokens"].to_dict("records")
    assert last.set_index("layer")["chosen_by"].idxmax() == best["layer"]
    assert last.set_index("layer")["accuracy"][best["layer"]] == best["accuracy"]
