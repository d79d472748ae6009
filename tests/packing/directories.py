"""Small valid shard directories for tests: naive, obvious, and independent of the real planner and writer.

    write_directory(out, {"web": [[5, 6, 7], [8] * 200], "code": [[9, 9]]}, sequence_length=64)

Every document gets one EOS; longer ones are cut into pieces of L; next-fit packing in the given order; rows of a
source are its queue unless `queues` pools sources.  Digests in the manifest are those of the files written.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from packing.layout import files
from packing.layout.manifest import BLOCK, FileDigest, Manifest, QueueInfo, ShardInfo, StageInfo

EOS, PAD, BOS = 1, 0, 2
VOCAB_ROWS = 256

FRAGMENT_SCHEMA = pa.schema(
    [
        ("seq", pa.uint32()),  # row in the shard
        ("len", pa.uint32()),
        ("doc_key", pa.uint64()),
        ("copy", pa.uint16()),
        ("doc_offset", pa.uint64()),  # first token of the fragment within its document
        ("n_bytes", pa.uint32()),
        ("source", pa.uint16()),
        ("flags", pa.uint8()),
    ]
)


@dataclass(frozen=True)
class Fragment:
    """A piece of a document; `tokens` with the EOS when it is the last piece, and with a BOS where asked for."""

    doc_key: int
    copy: int
    source: int
    offset: int  # without BOS
    tokens: tuple[int, ...]
    flags: int

    @property
    def n_bytes(self) -> int:
        """Three bytes a token, none for EOS and BOS: a law that tests can recompute."""
        return 3 * sum(token not in (EOS, BOS) for token in self.tokens)


@dataclass(frozen=True)
class Row:
    """One sequence: its fragments in order; the rest is padding."""

    fragments: tuple[Fragment, ...]


def doc_key(source: str, number: int) -> int:
    """A 64-bit key of a test's document; copies share it."""
    return int.from_bytes(hashlib.blake2b(f"{source}#{number}".encode(), digest_size=8).digest(), "little")


def fragments_of(
    sources: Sequence[str], source: str, number: int, tokens: Sequence[int], length: int, copy: int, bos: str
) -> list[Fragment]:
    """The pieces of one document, EOS included, at most `length` tokens each."""
    whole = (*tokens, EOS)
    room = length - (bos != "none")
    pieces = []
    for offset in range(0, len(whole), room):
        begin = (BOS,) if bos == "fragment" or (bos == "doc" and offset == 0) else ()
        piece = begin + whole[offset : offset + room]
        flags = (files.FIRST if offset == 0 else 0) | (files.LAST if offset + room >= len(whole) else 0)
        pieces.append(Fragment(doc_key(source, number), copy, sources.index(source), offset, piece, flags))
    return pieces


def next_fit(fragments: Sequence[Fragment], length: int) -> list[Row]:
    """Rows in the given order: a fragment that does not fit opens the next row."""
    rows: list[list[Fragment]] = []
    free = 0
    for fragment in fragments:
        if len(fragment.tokens) > free:
            rows.append([])
            free = length
        rows[-1].append(fragment)
        free -= len(fragment.tokens)
    return [Row(tuple(row)) for row in rows]


def plan_rows(
    documents: Mapping[str, Sequence[Sequence[int]]],
    sequence_length: int,
    queues: Mapping[str, Sequence[str]] | None = None,
    copies: int = 1,
    bos: str = "none",
) -> dict[str, list[Row]]:
    """Rows of every queue, in training order: what the directory holds, for comparison in tests."""
    sources = list(documents)
    result = {}
    for queue, members in (queues or {source: [source] for source in sources}).items():
        fragments = [
            fragment
            for copy in range(1, copies + 1)
            for source in members
            for number, tokens in enumerate(documents[source])
            for fragment in fragments_of(sources, source, number, tokens, sequence_length, copy, bos)
        ]
        result[queue] = next_fit(fragments, sequence_length)
    return result


def even_schedule(rows: Sequence[int]) -> list[int]:
    """All rows of all queues, each queue spread evenly over the whole."""
    places = [((place + 0.5) / count, queue) for queue, count in enumerate(rows) for place in range(count)]
    return [queue for _, queue in sorted(places)]


def write_directory(
    out: Path,
    documents: Mapping[str, Sequence[Sequence[int]]],
    *,
    sequence_length: int = 64,
    queues: Mapping[str, Sequence[str]] | None = None,
    rows_per_shard: int = 3,
    schedules: Sequence[Sequence[int]] | None = None,
    copies: int = 1,
    bos: str = "none",
    vocab_rows: int = VOCAB_ROWS,
    seed: int = 0,
) -> Manifest:
    """Write a finished directory and return its manifest.

    `schedules`: queue numbers of each stage; together they use a queue at most as often as it has rows, and a later
    stage goes on in each queue where the stage before ended.  Default: one stage with every row.
    """
    sources = list(documents)
    planned = plan_rows(documents, sequence_length, queues, copies, bos)
    for folder in ("data", "index", "order"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    shards: list[ShardInfo] = []
    for number, rows in enumerate(planned.values()):
        for start in range(0, len(rows), rows_per_shard):
            name = files.shard_name(len(shards))
            shards.append(_write_shard(out, name, number, rows[start : start + rows_per_shard], sequence_length))
    counts = [len(rows) for rows in planned.values()]
    stages = []
    for number, schedule in enumerate(schedules if schedules is not None else [even_schedule(counts)]):
        np.asarray(schedule, files.QUEUE).tofile(files.order_path(out, number))
        share = np.bincount(np.asarray(schedule, np.int64), minlength=len(counts)) / max(1, len(schedule))
        order = digest(out, f"order/stage{number}.u16", blocks=False)
        stages.append(StageInfo(f"stage{number}", len(schedule), share.tolist(), None, order))
    total = sum(shard.tokens for shard in shards)
    made = Manifest(
        sequence_length=sequence_length,
        vocab_rows=vocab_rows,
        eos_id=EOS,
        pad_id=PAD,
        bos_id=None if bos == "none" else BOS,
        tokenizer="0" * 32,
        sources=sources,
        queues=[
            QueueInfo(name, len(rows), sum(len(f.tokens) for row in rows for f in row.fragments))
            for name, rows in planned.items()
        ],
        shards=shards,
        stages=stages,
        policy={"method": "next_fit", "long": "split", "bos": bos},
        ledger={
            "documents": {"in": copies * sum(map(len, documents.values())), "packed": _whole(planned), "dropped": {}},
            "tokens": {"in": total, "packed": total, "truncated": 0},
        },
        seed=seed,
        plan="0" * 64,
        files=[_write_docs(out, documents), _write_dropped(out)],
    ).with_root()
    (out / files.MANIFEST).write_bytes(made.to_json())
    return made


def digest(out: Path, name: str, *, blocks: bool = True) -> FileDigest:
    """Size, SHA-256 and block CRCs of a file as it lies on disk."""
    raw = (out / name).read_bytes()
    crc32 = [zlib.crc32(raw[at : at + BLOCK]) for at in range(0, len(raw), BLOCK)] if blocks else []
    return FileDigest(name, len(raw), hashlib.sha256(raw).hexdigest(), crc32)


def rehash(out: Path) -> Manifest:
    """Digests and root anew after a test changed files by hand, so that only the content is at fault."""
    old = Manifest.read(out)

    def again(one: FileDigest) -> FileDigest:
        return digest(out, one.name, blocks=bool(one.crc32))

    made = replace(
        old,
        shards=[replace(shard, files=[again(one) for one in shard.files]) for shard in old.shards],
        stages=[replace(stage, file=again(stage.file)) if stage.file else stage for stage in old.stages],
        files=[again(one) for one in old.files],
    ).with_root()
    (out / files.MANIFEST).write_bytes(made.to_json())
    return made


def _whole(planned: Mapping[str, Sequence[Row]]) -> int:
    return sum(bool(f.flags & files.LAST) for rows in planned.values() for row in rows for f in row.fragments)


def _write_shard(out: Path, name: str, queue: int, rows: Sequence[Row], length: int) -> ShardInfo:
    data = np.full((len(rows), length), PAD, files.TOKEN)
    for place, row in enumerate(rows):
        tokens = [token for fragment in row.fragments for token in fragment.tokens]
        data[place, : len(tokens)] = tokens
    data.tofile(files.data_path(out, name))
    flat = [(place, fragment) for place, row in enumerate(rows) for fragment in row.fragments]
    starts = np.cumsum([0, *(len(row.fragments) for row in rows)]).astype(files.ROW_START)
    lengths = np.array([len(fragment.tokens) for _, fragment in flat], files.LENGTH)
    files.csr_path(out, name).write_bytes(starts.tobytes() + lengths.tobytes())
    segments = [(f.doc_key, f.n_bytes, f.copy, f.source) for _, f in flat]
    np.array(segments, files.SEGMENT).tofile(files.segment_path(out, name))
    columns = [(seq, len(f.tokens), f.doc_key, f.copy, f.offset, f.n_bytes, f.source, f.flags) for seq, f in flat]
    arrays = [
        pa.array([row[i] for row in columns], field.type)
        for i, field in enumerate(FRAGMENT_SCHEMA)  # by column, so that types are exact
    ]
    pq.write_table(pa.Table.from_arrays(arrays, schema=FRAGMENT_SCHEMA), files.fragment_path(out, name))
    digests = [digest(out, f"data/{name}.bin")]
    digests += [digest(out, f"index/{name}.{kind}", blocks=False) for kind in ("csr", "seg", "parquet")]
    most = max((len(row.fragments) for row in rows), default=0)
    return ShardInfo(name, queue, len(rows), len(flat), int(lengths.sum()), digests, most)


def _write_docs(out: Path, documents: Mapping[str, Sequence[Sequence[int]]]) -> FileDigest:
    rows = [
        {
            "doc_key": doc_key(source, number),
            "id": f"{source}/part#{number}",
            "source": source,
            "language": "en",
            "category": None,
            "bucket": None,
            "tokens": len(tokens) + 1,
        }
        for source, many in documents.items()
        for number, tokens in enumerate(many)
    ]
    schema = pa.schema(
        [
            ("doc_key", pa.uint64()),
            ("id", pa.string()),
            ("source", pa.string()),
            ("language", pa.string()),
            ("category", pa.string()),
            ("bucket", pa.int8()),
            ("tokens", pa.int64()),
        ]
    )
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), out / "docs.parquet")
    return digest(out, "docs.parquet", blocks=False)


def _write_dropped(out: Path) -> FileDigest:
    schema = pa.schema([("doc_key", pa.uint64()), ("id", pa.string()), ("reason", pa.string()), ("tokens", pa.int64())])
    pq.write_table(schema.empty_table(), out / "dropped.parquet")
    return digest(out, "dropped.parquet", blocks=False)
