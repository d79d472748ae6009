"""Any causal language model of transformers as a scorer.

Right-padded batches with explicit position ids and attention mask, and no key-value cache: MiniMax's cached path is
wrong where the first layer is linear (reference, proxy model §7), and right padding leaves what stands before it alone.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from proxy_model.evaluate.scoring import Progressed, Request, Scored, answer, batches, finished, rows_of, targets


class HFScorer:
    """`budget`: padded tokens of one forward pass.  `max_length`: the model's own where it states one."""

    def __init__(self, model: Any, digest: str, *, budget: int = 8_192, max_length: int | None = None) -> None:
        self.model = model.eval()
        self.digest = digest
        self.budget = budget
        config = model.config.get_text_config()
        self.max_length: int | None = max_length or getattr(config, "max_position_embeddings", None)
        self.settings = {"kind": "hf", "dtype": str(model.dtype), "device": model.device.type, "budget": budget}
        self._vocab_size = int(config.vocab_size)
        self._keeps = "logits_to_keep" in inspect.signature(model.forward).parameters

    @torch.inference_mode()
    def log_likelihoods(self, requests: Sequence[Request], progressed: Progressed | None = None) -> list[Scored]:
        """See `Scorer`."""
        scored: list[Scored | None] = [None] * len(requests)
        device = self.model.device
        for batch in batches(rows_of(requests, self._vocab_size), self.budget, padded=True):
            width = len(batch[0].tokens)
            tokens = torch.tensor([[*row.tokens, *[0] * (width - len(row.tokens))] for row in batch])
            lengths = torch.tensor([len(row.tokens) for row in batch])
            mask = torch.arange(width) < lengths[:, None]
            wanted = targets(batch, device)
            first = int(wanted.positions.min()) if self._keeps else 0
            logits: Tensor = self.model(
                input_ids=tokens.to(device),
                attention_mask=mask.long().to(device),
                position_ids=torch.arange(width).expand(len(batch), -1).to(device),
                use_cache=False,
                **({"logits_to_keep": width - first} if self._keeps else {}),
            ).logits

            def logits_at(part: slice, logits: Tensor = logits, wanted: Any = wanted, first: int = first) -> Tensor:
                return logits[wanted.rows[part], wanted.positions[part] - first]

            answer(scored, batch, wanted, logits.shape[-1], logits_at)
            if progressed:
                progressed(sum(len(row.answers) for row in batch), sum(len(row.tokens) for row in batch))
        return finished(scored)
