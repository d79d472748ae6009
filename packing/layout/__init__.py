"""The canonical shard directory: what every part of packing reads and writes.  Standard library and numpy only."""
