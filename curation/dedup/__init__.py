"""Deduplication: exact copies here; near duplicates come with verification."""
