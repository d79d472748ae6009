"""Shard directories in the layouts of other trainers."""
