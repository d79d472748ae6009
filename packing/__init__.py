"""Packed training shards: planned, ordered, written once, exported, verified, loaded."""
