"""Which data goes to which experts: load, drop rate and router entropy by layer and data source.

Sums stay on the device as integers (entropy in units of 2^-24 nats), so that adding never waits, and the order of
adding never shows in the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from proxy_model.moe.routing import Routing

if TYPE_CHECKING:
    import pyarrow

UNIT = 2.0**24  # entropy steps a nat: 7e-8 nats, and 2^39 tokens before int64 ends


def token_sources(segment_ids: Tensor, source: Tensor) -> Tensor:
    """segment_ids int32 [T], source int32 [N] of a Batch (-1 for padding) → int64 [T]."""
    return source.long()[segment_ids.long()]


class ExpertUsage:
    """Accumulates over batches; `table()` reads it."""

    def __init__(self, layers: int, experts: int, sources: Sequence[str], device: torch.device | str = "cpu") -> None:
        self.sources, self.experts = list(sources), experts
        shape = layers, len(self.sources) + 1  # the last stands for padding and is never shown
        self.chosen = torch.zeros(*shape, experts, dtype=torch.int64, device=device)
        self.dropped = torch.zeros_like(self.chosen)
        self.tokens = torch.zeros(shape, dtype=torch.int64, device=device)
        self.entropy = torch.zeros(shape, dtype=torch.int64, device=device)

    @torch.no_grad()
    def add(self, routing: Sequence[Routing], source: Tensor) -> None:
        """One batch: routing of every layer, source int64 [T] in manifest.sources, -1 for padding."""
        source = torch.where(source < 0, len(self.sources), source)
        ones = torch.ones_like(source)
        for layer, one in enumerate(routing):
            cells = (source[:, None] * self.experts + one.experts).flatten()
            self.chosen[layer].view(-1).index_add_(0, cells, torch.ones_like(cells))
            if one.kept is not None:
                self.dropped[layer].view(-1).index_add_(0, cells, (~one.kept).flatten().long())
            self.tokens[layer].index_add_(0, source, ones)
            nats = torch.special.entr(one.probabilities).sum(-1)
            self.entropy[layer].index_add_(0, source, (nats * UNIT).round().long())

    def merge(self, others: Sequence[ExpertUsage]) -> None:
        """Add what others counted, for example other processes."""
        for other in others:
            for name in ("chosen", "dropped", "tokens", "entropy"):
                getattr(self, name).add_(getattr(other, name).to(self.chosen.device))

    def table(self) -> pyarrow.Table:
        """A row for every layer and source with a token: layer, source, tokens, chosen list[E], dropped list[E],
        drop_rate, entropy (mean, nats; ln E at most), load_cv (sd of chosen over its mean), largest_share."""
        import pyarrow as pa

        chosen, dropped = self.chosen.cpu().tolist(), self.dropped.cpu().tolist()
        tokens, entropy = self.tokens.cpu().tolist(), self.entropy.cpu().tolist()
        rows = []
        for layer in range(len(tokens)):
            for number, name in enumerate(self.sources):
                load, lost, count = chosen[layer][number], dropped[layer][number], tokens[layer][number]
                if not count:
                    continue
                mean = sum(load) / self.experts
                variance = sum((one - mean) ** 2 for one in load) / self.experts
                rows.append(
                    {
                        "layer": layer,
                        "source": name,
                        "tokens": count,
                        "chosen": load,
                        "dropped": lost,
                        "drop_rate": sum(lost) / sum(load),
                        "entropy": entropy[layer][number] / UNIT / count,
                        "load_cv": variance**0.5 / mean,
                        "largest_share": max(load) / sum(load),
                    }
                )
        whole, real = pa.int64(), pa.float64()
        schema = pa.schema(
            {
                "layer": pa.int16(),
                "source": pa.string(),
                "tokens": whole,
                "chosen": pa.list_(whole),
                "dropped": pa.list_(whole),
                "drop_rate": real,
                "entropy": real,
                "load_cv": real,
                "largest_share": real,
            }
        )
        return pa.Table.from_pylist(rows, schema)
