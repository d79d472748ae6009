"""Texts in, ids out, by the fastest engine that is exact."""
