"""One arm: rollout, update, log, again. One sampler, verifier and log for every algorithm; resumable to the bit."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Generator

from ...errors import RunFailed
from ...models.networks.gpt import Gpt
from ...seeds import derive, torch_stream
from ...store import checkpoints
from . import contributing, expert_iteration, grpo, ppo
from .corpus import fresh, held_out
from .counting import of_formats, of_samples
from .learning import Learner, begun
from .sampling import Rollout, log_probabilities, mean, sample
from .settings import Arm
from .task import Chains, answers

if TYPE_CHECKING:
    from . import Formats

UPDATES: dict[str, Callable[..., None]] = {"grpo": grpo.update, "ppo": ppo.update, "ei": expert_iteration.update}
CHECKPOINT_SECONDS = 20.0


def reinforced(
    study: Formats, arm: Arm, base: Gpt, *, seed: int, repeat: int, checkpoint: Path,
    notify: Callable[[str, float], None], decide: Callable[[str], None], seconds: float = CHECKPOINT_SECONDS,
) -> Learner:  # fmt: skip
    """The learner after all rollouts of the arm, from the checkpoint where there is one."""
    own = derive(seed, "arm", repeat)  # equal for all arms: they meet the same chains in the same order
    learner = begun(arm, base, torch_stream(own, "rollouts"))
    if (saved := checkpoints.read(checkpoint, notify)) is not None:
        with checkpoints.taken(checkpoint):
            learner.take(saved)
    tested, looks = held_out(study, seed), looked(arm.rollouts, study.looks)
    last = time.monotonic()
    while learner.rollout < arm.rollouts:
        asked = fresh(study, arm.prompts, seed, "asked", repeat, learner.rollout)
        others = fresh(study, arm.prompts, seed, "others", repeat, learner.rollout) if arm.meter else None
        learner.rows.append(taken(learner, asked, decide, others, torch_stream(own, "others", learner.rollout)))
        if learner.rollout in looks:
            draw = torch_stream(own, "look", learner.rollout)
            learner.looks.append({"rollout": learner.rollout} | measured(study, learner.policy, base, tested, draw)[0])
        notify("", learner.rollout / arm.rollouts)
        if time.monotonic() - last > seconds or learner.rollout == arm.rollouts:
            checkpoints.write(checkpoint, learner.state())
            last = time.monotonic()
    return learner


def looked(rollouts: int, looks: int) -> set[int]:
    """After which rollouts a model is measured on the held-out chains, the last one included."""
    return {max(1, round(rollouts * number / looks)) for number in range(1, looks + 1)}


def taken(
    learner: Learner, chains: Chains, decide: Callable[[str], None], others: Chains | None = None,
    draw: Generator | None = None,
) -> dict[str, Any]:  # fmt: skip
    """One rollout and its updates; what is logged of it, before the updates.

    `others` are the chains that contributions are to, whose samples are drawn by `draw` and teach nothing.
    """
    arm, policy = learner.arm, learner.policy
    rollout = sample(policy, chains, samples=arm.samples, temperature=arm.temperature, generator=learner.draw)
    greedy = sample(policy, chains, samples=1, temperature=0.0)
    with torch.no_grad():
        before, spread = log_probabilities(policy, rollout.prompts, rollout.tokens, arm.temperature)
        reference, _ = log_probabilities(learner.base, rollout.prompts, rollout.tokens, arm.temperature)
    if not torch.isfinite(reference).all():
        raise RunFailed(
            f"the model that the KL divergence of {arm.called} is from gives no finite probabilities: it has diverged",
            "a smaller study.learning_rate",
        )
    row = {"rollout": learner.rollout + 1} | _logged(rollout, greedy, chains, before - reference, spread)
    if not rollout.rewards.any() and not (learner.rows and learner.rows[-1]["accuracy"] == 0):  # said once in a row
        decide(f"warning: no solution of rollout {learner.rollout + 1} of {arm.called} is right: it teaches nothing")
    if others is not None:
        target = sample(policy, others, samples=arm.samples, temperature=arm.temperature, generator=draw)
        found = contributing.contributions(policy, rollout, target, arm.temperature)
        row |= contributing.of_formats(found, rollout)
    UPDATES[arm.algorithm](learner, rollout, before, reference if arm.kl else None)
    learner.rollout += 1
    return row


def _logged(rollout: Rollout, greedy: Rollout, chains: Chains, apart: Any, spread: Any) -> dict[str, float]:
    """The row of a rollout: of its samples, of the most likely solution of each chain, and of the tokens."""
    row = of_samples(rollout, answers(chains), tuple({1, rollout.samples // 2, rollout.samples}))
    row |= of_formats(greedy, "greedy_")
    row |= {"kl_divergence": float((apart * rollout.mask).sum(1).mean())}  # of whole traces, in nats
    return row | {"token_entropy": float(mean(spread, rollout.mask, "token"))}


@torch.no_grad()
def measured(
    study: Formats, policy: Gpt, base: Gpt, tested: Chains, draw: Generator
) -> tuple[dict[str, Any], Rollout]:  # fmt: skip
    """A row on the held-out chains: of `samples` solutions of each at temperature 1, and of the most likely one."""
    found = sample(policy, tested, samples=study.samples, temperature=1.0, generator=draw)
    own, _ = log_probabilities(policy, found.prompts, found.tokens, 1.0)
    theirs, _ = log_probabilities(base, found.prompts, found.tokens, 1.0)
    row = of_samples(found, answers(tested), study.k)
    row |= of_formats(sample(policy, tested, samples=1, temperature=0.0), "greedy_")
    row["kl_divergence"] = float(((own - theirs) * found.mask).sum(1).mean())
    return row, found
