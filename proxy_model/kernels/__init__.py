"""Lightning attention over packed rows: linear in length, exact at document boundaries."""

from proxy_model.kernels.ops import lightning_attention
from proxy_model.kernels.slopes import lightning_slopes

__all__ = ["lightning_attention", "lightning_slopes"]
