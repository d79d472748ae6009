"""Trees of text, Markdown, LaTeX and HTML files: one file is one record.

Texts are kept as they stand, decoded by `charset`; HTML goes to the extractor.  Small files
are grouped into tasks by content-defined cuts (as in rsync and restic), so that a new file
changes the task of its own group only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from curation.pipeline.hashing import hash64
from curation.sources import charset
from curation.sources.chunks import SAMPLE_BYTES, Chunk, ChunkBuilder, Damaged, Row
from curation.sources.compression import Bounds, Damage, blocks
from curation.sources.config import HtmlSource, Limits, TextSource
from curation.sources.extract import open_extractor
from curation.sources.inputs import InputFile, open_stored
from curation.sources.pages import Extraction, Page, Refusal
from curation.sources.reasons import QuarantineReason
from curation.sources.settle import Waiting, settle

CUT_EVERY = 64  # mean number of files in a group
GROUP_FILES = 256
GROUP_BYTES = 64 * 2**20
BINARY_PROBE = 8_192  # a NUL this early marks a binary file; git looks at the first 8,000 bytes


def group(files: Sequence[InputFile]) -> list[tuple[InputFile, ...]]:
    """Consecutive files in groups of about 64, cut where a name's hash says so or the group is full."""
    groups: list[tuple[InputFile, ...]] = []
    current: list[InputFile] = []
    size = 0
    for file in files:
        current.append(file)
        size += file.size
        if hash64(file.name) % CUT_EVERY == 0 or len(current) >= GROUP_FILES or size >= GROUP_BYTES:
            groups.append(tuple(current))
            current, size = [], 0
    return [*groups, tuple(current)] if current else groups


def read_tree(files: Sequence[InputFile], config: TextSource | HtmlSource) -> Iterator[Chunk]:
    """Chunks of one row a file; raises OSError for an unreadable file."""
    builder = ChunkBuilder(config.limits.text_bytes)
    with ExitStack() as stack:
        extract = stack.enter_context(open_extractor(config.extract)) if isinstance(config, HtmlSource) else _none
        for file in files:
            data = _contents(file, config.limits)
            if isinstance(data, Damaged):
                outcome: Row | Damaged | Waiting = data
            elif not data:
                outcome = Row(file, 0, removed_by="file.empty", removed_detail=config.read)
            else:
                outcome = _page(file, data) if isinstance(config, HtmlSource) else _text(file, data)
            settle([outcome], extract, builder)
            builder.consumed(file.size)
            if builder.full:
                yield builder.take()
    yield from builder.rest()


def _none(pages: Sequence[Page]) -> list[Extraction | Refusal]:
    """The extractor of a source that has no pages."""
    return []


def _contents(file: InputFile, limits: Limits) -> bytes | Damaged:
    """The whole file, decompressed, unless it is over the limit or damaged."""
    parts: list[bytes] = []
    total = 0
    with open_stored(file) as stored:
        for item in blocks(stored, file.name, Bounds(limits.record_bytes, limits.ratio)):
            if isinstance(item, Damage):
                return Damaged(file, 0, item.offset, item.reason, item.detail, item.sample)
            parts.append(item.data)
            total += len(item.data)
            if total > limits.record_bytes:
                detail = f"file of more than {limits.record_bytes:,} bytes, the limit (record_bytes)"
                return Damaged(file, 0, 0, QuarantineReason.RECORD_OVER_LIMIT, detail, parts[0][:SAMPLE_BYTES])
    return b"".join(parts)


def _text(file: InputFile, data: bytes) -> Row | Damaged:
    text, used = charset.decode(data, None)
    if _is_binary(text):
        return _not_text(file, data, used)
    return Row(file, 0, text, offset=0, metadata={"charset": used})


def _page(file: InputFile, data: bytes) -> Waiting | Damaged:
    if b"\0" in data:  # rare, so the extractor's decoding is seldom done twice
        text, used = charset.decode(data, None)
        if _is_binary(text):
            return _not_text(file, data, used)
    return Waiting(Row(file, 0, offset=0), Page(data, None, None))


def _is_binary(text: str) -> bool:
    return "\0" in text[:BINARY_PROBE] or text.count("\0") > len(text) / 1_000


def _not_text(file: InputFile, data: bytes, used: str) -> Damaged:
    detail = f"NUL characters when read as {used}"
    return Damaged(file, 0, 0, QuarantineReason.NOT_TEXT, detail, data[:SAMPLE_BYTES])
