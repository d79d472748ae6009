"""What all layers need to know about a batch, worked out once a forward pass."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Context(NamedTuple):
    """Boundaries and angles; a NamedTuple, because torch.compile and FSDP look into those."""

    resets: Tensor  # int32 [T] index of the token in its segment
    segment_ids: Tensor  # int32 [T]
    cu_seqlens: Tensor  # int32 [N + 1]
    max_seqlen: int
    cos: Tensor  # float32 (float64 in a float64 model) [T, rotary_dim / 2]
    sin: Tensor
    real: Tensor | None  # bool [T]: tokens that are no padding
    groups: tuple[Tensor, ...] | None  # see `layers.groups`; None where varlen attention or a dense mask serves
