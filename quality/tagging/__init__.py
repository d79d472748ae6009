"""Tags for whole documents: chunking, labelers, percentiles, mixing score, buckets, files of documents."""
