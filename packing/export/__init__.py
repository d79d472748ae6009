"""Shard directories in the formats of other trainers: small metadata beside the same rows.

from packing.export import export
export(Path("shards"), "megatron", Path("megatron"), link=True)
"""

from packing.export.registry import FORMATS, Exported, export

__all__ = ["FORMATS", "Exported", "export"]
