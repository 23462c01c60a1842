"""TRL's GRPO on a Llama from a config and a tokenizer made here: the other side of a benchmark and of a test.

Nothing is downloaded. It needs the extra `rl`.
"""

from __future__ import annotations

import os
import tempfile
import time
from typing import Any

from prune_lab.experiments.studies.formats.task import BEGIN, PAD, STOP, TOKENS


def trainer(folder: str, *, width: int = 32, prompts: int = 64, samples: int = 8, steps: int = 1) -> Any:
    """A GRPOTrainer of a Llama of one layer whose reward is the share of even tokens: what is right does not matter."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from datasets import Dataset
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
    from trl import GRPOConfig, GRPOTrainer

    bare = Tokenizer(models.WordLevel({word: place for place, word in enumerate(TOKENS)}, unk_token=TOKENS[PAD]))
    bare.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bare, eos_token=TOKENS[STOP], pad_token=TOKENS[PAD], bos_token=TOKENS[BEGIN]
    )
    config = LlamaConfig(
        vocab_size=len(TOKENS), hidden_size=width, intermediate_size=4 * width, num_hidden_layers=1,
        num_attention_heads=4, num_key_value_heads=4, max_position_embeddings=64, eos_token_id=STOP, pad_token_id=PAD,
        bos_token_id=BEGIN,
    )  # fmt: skip
    given = GRPOConfig(
        output_dir=folder, per_device_train_batch_size=prompts * samples // 2, gradient_accumulation_steps=1,
        steps_per_generation=2, num_generations=samples, max_completion_length=32, max_steps=2 * steps, report_to=[],
        use_cpu=True, bf16=False, gradient_checkpointing=False, loss_type="grpo", learning_rate=1e-3, beta=0.0,
        save_strategy="no", logging_strategy="no", disable_tqdm=True, seed=0,
    )  # fmt: skip
    asked = Dataset.from_list([{"prompt": f"<begin> {a} + {b} * {a} ?"} for a in range(10) for b in range(10)])
    return GRPOTrainer(LlamaForCausalLM(config), rewarded, args=given, train_dataset=asked, processing_class=tokenizer)


def rewarded(completion_ids: list[list[int]], **_: Any) -> list[float]:
    return [sum(token % 2 == 0 for token in one) / max(len(one), 1) for one in completion_ids]


def rollouts(steps: int) -> float:
    """Rollouts a second of 512 solutions with two updates each, the first rollout left out."""
    with tempfile.TemporaryDirectory() as folder:
        trainer(folder, steps=1).train()
        made = trainer(folder, steps=steps)
        begin = time.perf_counter()
        made.train()
        return steps / (time.perf_counter() - begin)
