"""Checks of a shard directory, and questions to it."""
