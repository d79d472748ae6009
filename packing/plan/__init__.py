"""Which fragments of which documents share a sequence, from lengths alone."""
