"""Batches for a trainer, exactly once.  Standard library, numpy, pyarrow and torch only."""
