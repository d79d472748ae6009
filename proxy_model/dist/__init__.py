"""Training on more processes: plain torch (FSDP2, expert parallelism, distributed checkpoints), started by torchrun.

A loop holds one `Ranks`; on one process all it does is nothing, so no line of the loop asks whether it is distributed.
"""

from proxy_model.dist.ranks import ALONE, Ranks, started

__all__ = ["ALONE", "Ranks", "started"]
