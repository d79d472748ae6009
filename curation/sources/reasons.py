"""Why a record stands in quarantine: the closed list of reasons that the readers give.

A quarantined record is damaged or over a limit; a record that is whole but no document
(a 404, an image) is *removed* instead.  An extractor's refusals add reasons of their own
(`extract`).  Each value is described in docs/sources.md.
"""

from __future__ import annotations

from enum import StrEnum


class QuarantineReason(StrEnum):
    """The value in the `reason` column of the quarantine shards."""

    # any stored stream
    TRUNCATED = "truncated"
    DAMAGED_COMPRESSION = "damaged_compression"
    DECOMPRESSION_BOMB = "decompression_bomb"
    RECORD_OVER_LIMIT = "record_over_limit"
    TEXT_OVER_LIMIT = "text_over_limit"
    NOT_UTF8 = "not_utf8"
    # WARC and ARC
    GARBAGE = "garbage"
    BAD_HEADER = "bad_header"
    BAD_LENGTH = "bad_length"
    BAD_HTTP = "bad_http"
    BAD_ENCODING = "bad_encoding"
    # JSON lines
    MALFORMED_JSON = "malformed_json"
    LONE_SURROGATE = "lone_surrogate"
    NOT_AN_OBJECT = "not_an_object"
    # JSON lines and Parquet
    MISSING_TEXT = "missing_text"
    TEXT_NOT_STRING = "text_not_string"
    # Parquet
    NOT_PARQUET = "not_parquet"
    DAMAGED_PARQUET = "damaged_parquet"
    # file trees
    NOT_TEXT = "not_text"
