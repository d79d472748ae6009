"""Byte-level BPE: counted, trained, encoded, exported and evaluated."""
