"""Readers: from crawl archives, JSON lines, Parquet and file trees to rows of `READ_SCHEMA`."""
