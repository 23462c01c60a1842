"""GRPO against TRL's, where the extra `rl` is installed: the same batch, advantages, loss and gradient."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from prune_lab.experiments.studies.formats import grpo
from prune_lab.experiments.studies.formats.settings import Arm

pytest.importorskip("trl")


def test_advantages_loss_and_gradient_are_those_of_trl(tmp_path: Path) -> None:
    from benchmarks.formats_trl import rewarded, trainer

    made = trainer(str(tmp_path), width=16, prompts=4, samples=4)
    made.model.train()
    made.current_gradient_accumulation_steps = 1
    batch = made._generate_and_score_completions([made.train_dataset[row] for row in range(4) for _ in range(4)])
    mask = batch["completion_mask"].bool()
    answers = [one[own].tolist() for one, own in zip(batch["completion_ids"], mask, strict=True)]
    rewards = torch.tensor(rewarded(answers)).view(4, 4)
    torch.testing.assert_close(grpo.advantages(rewards).flatten(), batch["advantages"], rtol=0.01, atol=1e-3)

    tokens = torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)
    attention = torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1)
    number = batch["completion_ids"].shape[1]
    logits = made.model(input_ids=tokens, attention_mask=attention).logits[:, -number - 1 : -1]
    now = logits.log_softmax(-1).gather(-1, batch["completion_ids"][..., None])[..., 0]
    draw = torch.Generator().manual_seed(0)
    before, reference = (now.detach() + 0.3 * torch.randn(now.shape, generator=draw) for _ in range(2))

    ours = grpo.loss(now, before, batch["advantages"][:, None], mask, reference, Arm(kl=0.05))
    ours.backward()  # type: ignore[no-untyped-call]
    gradient = {name: weight.grad.clone() for name, weight in made.model.named_parameters()}
    made.model.zero_grad()
    made.beta, made.args.use_bias_correction_kl = 0.05, False  # TRL's default weighs the divergence by the ratio
    theirs = made._compute_loss(made.model, batch | {"old_per_token_logps": before, "ref_per_token_logps": reference})
    theirs.backward()
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)
    for name, weight in made.model.named_parameters():
        torch.testing.assert_close(gradient[name], weight.grad, rtol=1e-3, atol=1e-6, msg=name)
    assert any(float(one.abs().max()) > 1e-4 for one in gradient.values())
