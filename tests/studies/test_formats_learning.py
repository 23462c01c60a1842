"""GRPO, PPO and expert iteration on a tiny GPT: each formula by hand, and the loop that all three share."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from prune_lab.experiments.errors import ConfigError, RunFailed
from prune_lab.experiments.models.networks.gpt import Gpt, gpt
from prune_lab.experiments.seeds import torch_stream
from prune_lab.experiments.studies.formats import Formats, expert_iteration, grpo, ppo, reinforcing
from prune_lab.experiments.studies.formats.counting import entropy, majority, of_samples, pass_at
from prune_lab.experiments.studies.formats.learning import Learner, begun
from prune_lab.experiments.studies.formats.sampling import Rollout, log_probabilities, mean, sample
from prune_lab.experiments.studies.formats.settings import Arm
from prune_lab.experiments.studies.formats.task import STOP, TOKENS, answers, chains, length, parse, prompts, write

STUDY = Formats(least=2, most=3, examples=300, tested=20, samples=4, k=(1, 4), looks=2)
SMALL: dict[str, Any] = {"rollouts": 3, "prompts": 4, "samples": 4, "learning_rate": 0.01}


def network(seed: int = 0) -> Gpt:
    return gpt(torch_stream(seed, "init"), vocabulary=len(TOKENS), context=2 * 3 + 1 + length(3) + 1, width=8, depth=1,
               heads=1, positions="learned", tied=False)  # fmt: skip


def rolled(right: int, *, number: int = 4) -> Rollout:
    """Solutions of two chains, `number` of each, of which the first `right` of each chain are right, in words."""
    asked = chains(np.random.default_rng(0), 2, 3, 3)
    traces = np.repeat(write(asked, "words"), number, 0)
    parsed = parse(traces)
    wrong = np.arange(2 * number) % number >= right
    places = np.flatnonzero(wrong)
    traces[places, parsed.lengths[places] - 2] = (traces[places, parsed.lengths[places] - 2] + 1) % 10
    parsed = parse(traces)
    tokens, longest = torch.from_numpy(traces), int(parsed.lengths.max())
    rewards = torch.from_numpy((parsed.answers == np.repeat(answers(asked), number)).astype(np.float32))
    mask = torch.arange(longest) < torch.from_numpy(parsed.lengths)[:, None]
    return Rollout(torch.from_numpy(prompts(asked)).repeat_interleave(number, 0), tokens[:, :longest], mask, rewards,
                   parsed, number)  # fmt: skip


def learner(algorithm: str = "grpo", **settings: Any) -> Learner:
    arm = Arm(algorithm=algorithm, **SMALL | settings)  # type: ignore[arg-type]
    return begun(arm, network(), torch_stream(0, "rollouts"))


def before(of: Learner, rollout: Rollout) -> Tensor:
    with torch.no_grad():
        return log_probabilities(of.policy, rollout.prompts, rollout.tokens, of.arm.temperature)[0]


def moved(of: Learner) -> float:
    """How far the policy is from the base."""
    pairs = zip(of.policy.parameters(), of.base.parameters(), strict=True)
    return max(float((own - other).detach().abs().max()) for own, other in pairs)


# ---- sampling --------------------------------------------------------------------------------------------------------


def test_one_temperature_is_used_in_sampling_and_in_log_probabilities() -> None:
    model, asked = network(), chains(np.random.default_rng(0), 1, 3, 3)
    model.head.weight.data *= 20  # far from uniform
    rollout = sample(model, asked, samples=3000, temperature=0.5, generator=torch_stream(0, "draw"))
    with torch.no_grad():
        own, spread = log_probabilities(model, rollout.prompts, rollout.tokens, 0.5)
    first = own[:, 0].exp()
    chance = {int(token): float(first[rollout.tokens[:, 0] == token][0]) for token in rollout.tokens[:, 0].unique()}
    for token, expected in chance.items():
        assert float((rollout.tokens[:, 0] == token).float().mean()) == pytest.approx(expected, abs=0.03)
    assert float(-own[:, 0].detach().mean()) == pytest.approx(float(spread[0, 0]), abs=0.1)  # mean surprise
    other, _ = log_probabilities(model, rollout.prompts, rollout.tokens, 1.0)
    assert not torch.allclose(own, other)


def test_the_mask_ends_with_the_first_stop() -> None:
    rollout = sample(network(), chains(np.random.default_rng(0), 9, 2, 3), samples=3, temperature=1.0,
                     generator=torch_stream(0, "draw"))  # fmt: skip
    for tokens, mask in zip(rollout.tokens.tolist(), rollout.mask.tolist(), strict=True):
        assert sum(mask) == (tokens.index(STOP) + 1 if STOP in tokens else len(tokens))
        assert mask == sorted(mask, reverse=True)


def test_log_probabilities_are_those_of_one_trace_alone() -> None:
    model, rollout = network(), rolled(1)
    every, spread = log_probabilities(model, rollout.prompts, rollout.tokens, 1.0)
    every, spread = every.detach(), spread.detach()
    place = rollout.prompts.shape[1]
    whole = torch.cat([rollout.prompts[3], rollout.tokens[3]])
    for step in range(4):
        chance = model(whole[None, : place + step])[0, -1].log_softmax(-1).detach()
        assert float(chance[whole[place + step]]) == pytest.approx(float(every[3, step]), abs=1e-5)
        assert entropy(chance.exp().numpy()) == pytest.approx(float(spread[3, step]), abs=1e-5)


# ---- GRPO ------------------------------------------------------------------------------------------------------------


def test_advantages_sum_to_zero_in_a_group_and_are_zero_where_nothing_varies() -> None:
    rewards = torch.tensor([[1.0, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0], [1, 1, 0, 0]])
    found = grpo.advantages(rewards)
    assert torch.allclose(found.sum(1), torch.zeros(4), atol=1e-6)
    assert (found[1:3] == 0).all()
    assert found[0, 0] == pytest.approx(0.75 / 0.5, rel=1e-4)


def test_the_ratio_is_clipped_only_where_it_went_the_way_of_the_advantage() -> None:
    arm, mask = Arm(clip=0.2, kl=0.0), torch.ones(1, 1)
    for ratio, advantage, slope in ((1.5, 1.0, 0), (1.5, -1.0, 1), (0.5, 1.0, -1), (0.5, -1.0, 0), (1.1, 1.0, -1)):
        now = torch.tensor([[math.log(ratio)]], requires_grad=True)
        found = grpo.loss(now, torch.zeros(1, 1), torch.full((1, 1), advantage), mask, None, arm)
        found.backward()  # type: ignore[no-untyped-call]
        assert now.grad is not None
        assert np.sign(float(now.grad)) == slope, (ratio, advantage)


def test_the_divergence_is_k3_and_is_left_out_where_beta_is_zero() -> None:
    now, other = torch.tensor([[-1.0, -2.0]]), torch.tensor([[-1.5, -1.0]])
    zero, mask = torch.zeros(1, 2), torch.ones(1, 2)
    found = grpo.loss(now, now, zero, mask, other, Arm(kl=0.1))
    expected = 0.1 * np.mean([math.exp(-0.5) - 1 + 0.5, math.exp(1.0) - 1 - 1.0])
    assert float(found) == pytest.approx(expected, rel=1e-5)
    own, rollout = learner(kl=0.0), rolled(2)
    grpo.update(own, rollout, before(own, rollout), None)
    assert moved(own) > 0


def test_losses_are_means_of_traces_or_of_tokens() -> None:
    values, mask = torch.tensor([[1.0, 9.0], [4.0, 2.0]]), torch.tensor([[True, False], [True, True]])
    assert float(mean(values, mask, "sequence")) == pytest.approx((1 + 3) / 2)
    assert float(mean(values, mask, "token")) == pytest.approx(7 / 3)


@pytest.mark.parametrize("algorithm", ["grpo", "ppo", "ei"])
def test_an_update_makes_right_solutions_likelier_than_wrong_ones(algorithm: str) -> None:
    own, rollout = learner(algorithm, kl=0.0, learning_rate=0.003), rolled(2)
    start = before(own, rollout)
    for _ in range(4):
        reinforcing.UPDATES[algorithm](own, rollout, before(own, rollout), None)
    gained = ((before(own, rollout) - start) * rollout.mask).sum(1)
    assert gained[rollout.rewards == 1].mean() > gained[rollout.rewards == 0].mean()


# ---- PPO -------------------------------------------------------------------------------------------------------------


def test_advantages_of_tokens_are_those_computed_by_hand() -> None:
    rewards = torch.tensor([[0.0, 0.0, 1.0], [0.5, 0.0, 0.0]])
    values = torch.tensor([[0.2, 0.4, 0.6], [0.1, 0.9, 0.9]])
    mask = torch.tensor([[True, True, True], [True, False, False]])
    found = ppo.estimated(rewards, values, mask, decay=0.5)
    third = 1 - 0.6
    second = (0.6 - 0.4) + 0.5 * third
    first = (0.4 - 0.2) + 0.5 * second
    assert found[0].tolist() == pytest.approx([first, second, third])
    assert found[1].tolist() == pytest.approx([0.5 - 0.1, 0, 0])  # what is beyond the end adds nothing


def test_the_reward_is_at_the_last_token_and_the_divergence_at_each() -> None:
    rollout = rolled(4, number=4)
    now, other = torch.zeros(rollout.tokens.shape), torch.full(rollout.tokens.shape, 0.5)
    found = ppo.rewards_of(rollout, now, other, 0.1)
    last = int(rollout.mask[0].sum()) - 1
    assert found[0, last] == pytest.approx(1 + 0.05)
    assert found[0, 0] == pytest.approx(0.05)
    assert (found[~rollout.mask] == 0).all()
    assert (ppo.rewards_of(rollout, now, None, 0.1)[0, :last] == 0).all()


def test_the_critic_begins_at_zero_and_learns_alone() -> None:
    own, rollout = learner("ppo"), rolled(2)
    assert own.critic is not None
    assert (own.critic(rollout.prompts, rollout.tokens) == 0).all()
    weights = copy.deepcopy(own.base.state_dict())
    ppo.update(own, rollout, before(own, rollout), None)
    assert (own.critic(rollout.prompts, rollout.tokens) != 0).any()
    assert all(torch.equal(one, weights[name]) for name, one in own.base.state_dict().items())


# ---- expert iteration ------------------------------------------------------------------------------------------------


def test_correct_solutions_are_kept_once_or_each_time() -> None:
    rollout = rolled(3)
    assert expert_iteration.kept(rollout, distinct=False).tolist() == [0, 1, 2, 4, 5, 6]
    assert expert_iteration.kept(rollout, distinct=True).tolist() == [0, 4]  # equal: the first of each chain
    assert expert_iteration.kept(rolled(0), distinct=True).tolist() == []


def test_a_round_begins_at_the_base_or_goes_on() -> None:
    rollout = rolled(2)
    ends = {}
    for online in (False, True):
        for first in (True, False):  # from the base, or from a policy that has moved
            own = learner("ei", online=online, updates=1)
            if not first:
                with torch.no_grad():
                    own.policy.head.weight += 1
            expert_iteration.update(own, rollout, before(own, rollout), None)
            ends[online, first] = moved(own)
    assert ends[False, True] == ends[False, False]
    assert ends[True, False] > ends[True, True] + 0.5


@pytest.mark.parametrize("distinct", [True, False])
def test_as_many_steps_are_taken_whatever_is_kept(distinct: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    monkeypatch.setattr(expert_iteration, "step", lambda learner, loss: taken.append(1))
    own = learner("ei", distinct=distinct, updates=5)
    expert_iteration.update(own, rolled(3), torch.zeros(1), None)
    assert len(taken) == 5


# ---- counting --------------------------------------------------------------------------------------------------------


def test_pass_at_k_is_the_share_of_all_choices_of_k_samples() -> None:
    correct = np.array([0, 1, 3, 6])
    for k in (1, 2, 4, 6):
        expected = [1 - math.comb(6 - c, k) / math.comb(6, k) for c in correct]
        assert pass_at(k, correct, 6).tolist() == pytest.approx(expected)
    with pytest.raises(ConfigError, match="pass@7 of 6 samples"):
        pass_at(7, correct, 6)


def test_the_majority_counts_no_malformed_solution() -> None:
    given = np.array([[-1, -1, -1, 4], [2, 2, 7, -1], [-1, -1, -1, -1], [3, 9, 9, 3]])
    assert majority(given).tolist() == [4, 2, -1, 3]


def test_the_log_of_a_rollout_counts_what_is_there() -> None:
    rollout = rolled(1)
    right = answers(chains(np.random.default_rng(0), 2, 3, 3))
    found = of_samples(rollout, right, (1, 2))
    assert found["share_words"] == 1
    assert math.isnan(found["accuracy_prog"])
    assert (found["accuracy"], found["pass_1"], found["pass_2"]) == (0.25, 0.25, 0.5)
    assert (found["majority"], found["unvaried"], found["distinct"], found["format_entropy"]) == (0, 0, 0.5, 0)
    assert entropy([0.5, 0.5, 0]) == pytest.approx(math.log(2))


# ---- the loop --------------------------------------------------------------------------------------------------------


def run(algorithm: str, folder: Path, **settings: Any) -> tuple[Learner, list[str]]:
    said: list[str] = []
    done = reinforcing.reinforced(
        STUDY, Arm(algorithm=algorithm, **SMALL | settings), network(), seed=3, repeat=0,  # type: ignore[arg-type]
        checkpoint=folder / "arm", notify=lambda sentence, share: None, decide=said.append, seconds=0,
    )  # fmt: skip
    return done, said


@pytest.mark.parametrize("algorithm", ["grpo", "ppo", "ei"])
def test_a_killed_arm_goes_on_to_the_same_bits(
    algorithm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    whole, _ = run(algorithm, tmp_path / "whole")
    written = reinforcing.checkpoints.write

    def killed(path: Path, content: dict[str, Any]) -> None:
        written(path, content)
        if content["rollout"] == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(reinforcing.checkpoints, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        run(algorithm, tmp_path / "half")
    monkeypatch.setattr(reinforcing.checkpoints, "write", written)
    resumed, _ = run(algorithm, tmp_path / "half")
    assert all(torch.equal(own, resumed.policy.state_dict()[name]) for name, own in whole.policy.state_dict().items())
    assert repr(resumed.rows) == repr(whole.rows)  # NaN is not equal to itself
    assert repr(resumed.looks) == repr(whole.looks)
    assert [row["rollout"] for row in whole.looks] == [2, 3]
    assert len(whole.rows) == 3


def test_a_rollout_without_any_reward_is_said_and_gives_numbers(tmp_path: Path) -> None:
    done, said = run("grpo", tmp_path, kl=0.0)  # an untrained network is never right
    assert "no solution of rollout 1 of GRPO, rate 0.01, KL 0 is right: it teaches nothing" in said[0]
    assert len(said) == 1
    assert all(np.isfinite([one for name, one in row.items() if "accuracy_" not in name]).all() for row in done.rows)
    assert moved(done) == 0


def test_the_first_rollout_is_not_apart_from_the_base(tmp_path: Path) -> None:
    done, _ = run("ppo", tmp_path)
    assert done.rows[0]["kl_divergence"] == 0
    assert {"share_none", "greedy_share_prog", "pass_4", "majority", "token_entropy", "length"} <= set(done.rows[0])


def test_a_policy_or_a_reference_that_diverged_ends_the_run_with_a_sentence(tmp_path: Path) -> None:
    own, rollout = learner(), rolled(2)
    with torch.no_grad():
        own.policy.head.weight[:] = torch.nan
    with pytest.raises(RunFailed, match="the policy, or the model that its KL divergence is from, has diverged"):
        grpo.update(own, rollout, before(own, rollout), None)
    own = learner()
    with torch.no_grad():
        own.base.head.weight[:] = torch.inf
    with pytest.raises(RunFailed, match="gives no finite probabilities"):
        reinforcing.taken(own, chains(np.random.default_rng(0), 4, 2, 3), print)
