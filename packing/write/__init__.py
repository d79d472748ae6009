"""From encoded documents to a shard directory, the same bytes for any number of workers."""
