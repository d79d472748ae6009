"""What the model reads: tokens laid end to end, and where each segment begins.

A segment is a stretch that sees only itself: a document's fragment, or padding.  A batch's `position_ids` may begin
inside a document (a fragment's offset), so they serve RoPE alone; where the recurrent state is reset follows from
`cu_seqlens`.  CONTRACTS "Batch"; reference, proxy model §2.1 and §4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from packing.loader import Batch, TensorBatch

ALIGN = 64  # T of evaluation batches is a multiple, as it is of training batches (packing.loader.batch.ALIGN)
SHORTEST = 64  # smallest max_seqlen


@dataclass(frozen=True)
class Packed:
    """T tokens in N segments, some of which may be empty."""

    tokens: Tensor  # int64 [T]
    positions: Tensor  # int32 [T] for RoPE; may begin inside a document
    resets: Tensor  # int32 [T] index of the token in its segment: 0 at every segment start
    cu_seqlens: Tensor  # int32 [N + 1] segment i is cu_seqlens[i] … cu_seqlens[i + 1]; filled up with T
    max_seqlen: int  # at least the longest segment; a Python int, so that nothing waits for the device
    segment_ids: Tensor  # int32 [T]
    real: Tensor | None = None  # bool [T]: tokens that are no padding; None: all

    def to(self, device: torch.device | str) -> Packed:
        """The same on another device."""
        tensors: dict[str, Any] = {f.name: v for f in fields(self) if isinstance(v := getattr(self, f.name), Tensor)}
        return replace(self, **{name: tensor.to(device, non_blocking=True) for name, tensor in tensors.items()})


def packed_from(batch: TensorBatch | Batch, device: torch.device | str = "cpu") -> Packed:
    """A batch of `packing.loader` (numpy arrays or tensors) on `device`, without waiting for the device."""
    cu_seqlens = _moved(batch["cu_seqlens"], device)
    segment_ids = _moved(batch["segment_ids"], device)
    return Packed(
        tokens=_moved(batch["tokens"], device),
        positions=_moved(batch["position_ids"], device),
        resets=_index_in_segment(cu_seqlens, segment_ids),
        cu_seqlens=cu_seqlens,
        max_seqlen=int(batch["max_seqlen"]),
        segment_ids=segment_ids,
        real=(_moved(batch["source"], device) >= 0)[segment_ids.long()],
    )


def packed_sequences(sequences: Sequence[Tensor], device: torch.device | str = "cpu") -> Packed:
    """Token sequences (int64, any lengths) as one segment each, in order; the rest up to a multiple of 64 is another.

    The tokens of sequence i are `cu_seqlens[i] … cu_seqlens[i + 1]`; padding is token 0.
    Raises ValueError when there is no token at all.
    """
    lengths = [len(sequence) for sequence in sequences]
    used = sum(lengths)
    if not used:
        raise ValueError("packed_sequences needs at least one token")
    padding = -used % ALIGN
    sizes = torch.tensor([*lengths, padding])
    cu_seqlens = torch.cat([torch.zeros(1, dtype=torch.int64), sizes.cumsum(0)]).int()
    segment_ids = torch.repeat_interleave(torch.arange(len(sizes)), sizes).int()
    resets = _index_in_segment(cu_seqlens, segment_ids)
    packed = Packed(
        tokens=torch.cat([*(sequence.long().cpu() for sequence in sequences), torch.zeros(padding, dtype=torch.int64)]),
        positions=resets,
        resets=resets,
        cu_seqlens=cu_seqlens,
        max_seqlen=max(SHORTEST, 1 << (max(lengths) - 1).bit_length()),
        segment_ids=segment_ids,
        real=segment_ids < len(lengths) if padding else None,
    )
    return packed.to(device)


def _moved(values: Any, device: torch.device | str) -> Tensor:
    tensor = values if isinstance(values, Tensor) else torch.tensor(values)  # arrays of a Batch may be read-only
    return tensor.to(device, non_blocking=True)


def _index_in_segment(cu_seqlens: Tensor, segment_ids: Tensor) -> Tensor:
    """int32 [T]: how many tokens of the same segment stand before each token."""
    tokens = torch.arange(len(segment_ids), dtype=torch.int32, device=segment_ids.device)
    return tokens - cu_seqlens[segment_ids.long()]
