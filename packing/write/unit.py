"""A unit: some encoded documents on disk, from which any queue's order can be read.

    tokens.bin        uint32: ids of each document and its end, documents in the order of their first occurrence
    occurrences.bin   OCCURRENCE records sorted by (queue, order_key, doc_key, copy): a range of order keys is a slice
    docs.parquet      UNIT_DOCUMENTS sorted by doc_key, with the reason where a document does not go on
    unit.json         sizes, digests, names of sources and queues: written last

How documents are divided into units changes nothing of what is packed (reference, packing §6: two passes).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash
from numpy.typing import NDArray

from curation.pipeline.errors import ConservationError, UsageError
from curation.pipeline.shards import write_atomic
from packing.layout.files import TOKEN
from packing.write.encoded import DOCUMENT_FIELDS, EncodedDocuments, check
from packing.write.occurrences import OCCURRENCE, Listed, Occurrences
from packing.write.token_ids import TokenIds

TOKENS, OCCURRENCES, DOCUMENTS, UNIT = "tokens.bin", "occurrences.bin", "docs.parquet", "unit.json"
UNIT_DOCUMENTS = pa.schema(
    [*DOCUMENT_FIELDS, pa.field("tokens", pa.int64(), nullable=False), pa.field("reason", pa.string())]
)
EMPTY, UNLISTED = "empty", "not in the mix"  # reasons
UNIT_TOKENS = 16 << 20  # a unit holds 64 MiB of ids, or one document; a process holds it twice while writing
SUM = 1 << 128  # contents are added modulo this
MOST_TOKENS = 1 << 32  # of one document: offsets of fragments are told in tokens


@dataclass(frozen=True)
class UnitInfo:
    """`documents` = those that go on + `empty` + `unlisted`; `tokens` of one occurrence each, ends included."""

    documents: int
    empty: int
    unlisted: int
    listed: int  # occurrences that the mix table has of these documents, empty ones too
    occurrences: int
    tokens: int
    sources: list[str]  # numbers in OCCURRENCE.source
    queues: list[str]  # numbers in OCCURRENCE.queue
    tokenizer: str
    content: str  # of the documents that go on: the same sum over units, however the documents are divided
    digests: dict[str, str]  # xxh3-128 of each file


@dataclass(frozen=True, eq=False)
class Unit:
    """An opened unit; its arrays are maps of its files."""

    path: Path
    info: UnitInfo
    tokens: NDArray[np.uint32]
    occurrences: NDArray[np.void]


def write_units(
    batches: Iterable[EncodedDocuments],
    folder: Path,
    tokens: TokenIds,
    occurrences_of: Occurrences,
    *,
    unit_tokens: int = UNIT_TOKENS,
) -> Iterator[UnitInfo]:
    """Units `folder/00000`, … of the documents.  Raises UsageError for ids that `encoded.check` refuses."""
    number, size = 0, 0
    held: list[EncodedDocuments] = []
    for one in batches:
        check(one, tokens)
        if held and size + len(one.ids) > unit_tokens:
            yield _write(folder / f"{number:05}", held, tokens, occurrences_of)
            number, held, size = number + 1, [], 0
        held.append(one)
        size += len(one.ids)
    if held:
        yield _write(folder / f"{number:05}", held, tokens, occurrences_of)


def _write(path: Path, held: list[EncodedDocuments], tokens: TokenIds, occurrences_of: Occurrences) -> UnitInfo:
    path.mkdir(parents=True)
    documents = pa.Table.from_batches([one.documents for one in held]).combine_chunks()
    counts = np.concatenate([one.counts for one in held])
    if int(counts.max(initial=0)) + 1 >= MOST_TOKENS:
        name = documents["id"][int(counts.argmax())].as_py()
        raise UsageError(f"document {name!r} has {int(counts.max()):,} tokens", "split it: 2^32 − 2 is the most")
    listed = occurrences_of(documents)
    keys = np.asarray(documents["doc_key"].combine_chunks())
    sources, source = _numbered(documents["source"])
    records, document = _records(listed, counts, keys, source)
    kept, first = np.unique(document, return_index=True)
    kept = kept[np.argsort(first, kind="stable")]  # in the order in which they are read later
    starts = np.zeros(len(counts), np.uint64)
    starts[kept] = np.cumsum(counts[kept] + 1) - (counts[kept] + 1)
    records["start"] = starts[document]
    content = _write_tokens(path / TOKENS, held, counts, keys, kept, tokens.eos)
    with open(path / OCCURRENCES, "wb") as file:
        file.write(records.tobytes())
        _sync(file)
    reasons: list[str | None] = [None if count else EMPTY for count in counts.tolist()]
    unlisted = counts > 0
    unlisted[kept] = False
    for row in np.flatnonzero(unlisted).tolist():
        reasons[row] = UNLISTED
    table = documents.append_column(UNIT_DOCUMENTS.field("tokens"), pa.array(np.where(counts > 0, counts + 1, 0)))
    table = table.append_column(UNIT_DOCUMENTS.field("reason"), pa.array(reasons, pa.string()))
    pq.write_table(table.take(pc.sort_indices(table["doc_key"])), path / DOCUMENTS, compression="zstd")
    info = UnitInfo(
        documents=len(counts),
        empty=int((counts == 0).sum()),
        unlisted=int(unlisted.sum()),
        listed=len(listed.document),
        occurrences=len(records),
        tokens=int((counts[kept] + 1).sum()),
        sources=sources,
        queues=listed.queues,
        tokenizer=tokens.tokenizer,
        content=f"{content:032x}",
        digests={name: _digest(path / name) for name in (TOKENS, OCCURRENCES, DOCUMENTS)},
    )
    write_atomic(path / UNIT, orjson.dumps(asdict(info), option=orjson.OPT_INDENT_2))
    return info


def _records(
    listed: Listed, counts: NDArray[np.int64], doc_key: NDArray[np.uint64], source: NDArray[np.int64]
) -> tuple[NDArray[np.void], NDArray[np.int64]]:
    """Sorted OCCURRENCE records of documents with tokens, and the row of each one's document."""
    wanted = np.flatnonzero(counts[listed.document] > 0)
    document = listed.document[wanted]
    records = np.zeros(len(wanted), OCCURRENCE)
    for name, column in (("order_key", listed.order_key), ("copy", listed.copy), ("queue", listed.queue)):
        records[name] = column[wanted]
    records["source"] = source[document]
    records["doc_key"] = doc_key[document]
    records["tokens"] = counts[document] + 1
    order = np.lexsort((records["copy"], records["doc_key"], records["order_key"], records["queue"]))
    return records[order], document[order]


def _write_tokens(
    path: Path,
    held: list[EncodedDocuments],
    counts: NDArray[np.int64],
    keys: NDArray[np.uint64],
    kept: NDArray[np.int64],
    eos: int,
) -> int:
    """The ids of the kept documents (rows over all batches), each with its end.

    Returns the sum of the xxh3-128 of each one's doc_key and ids, modulo 2^128.
    """
    ids = np.concatenate([one.ids for one in held]).astype(TOKEN, copy=False)
    stop = np.cumsum(counts)
    end = np.array([eos], TOKEN).tobytes()
    content = 0
    with open(path, "wb") as file:
        for row in kept.tolist():
            mine = ids[stop[row] - counts[row] : stop[row]].data
            file.write(mine)
            file.write(end)
            digest = xxhash.xxh3_128(mine)
            digest.update(keys[row].tobytes())
            content += digest.intdigest()
        _sync(file)
    return content % SUM


def unit_paths(folder: Path) -> list[Path]:
    """The units in a folder that `write_units` filled."""
    return [one.parent for one in sorted(folder.glob(f"*/{UNIT}"))]


def open_unit(path: Path) -> Unit:
    """Open and check against the digests.  Raises ConservationError where a file was changed, UsageError for none."""
    try:
        info = UnitInfo(**orjson.loads((path / UNIT).read_bytes()))
    except (FileNotFoundError, orjson.JSONDecodeError, TypeError) as error:
        raise UsageError(
            f"{path}: no whole unit of encoded documents ({error})", "encode the documents again"
        ) from None
    for name, digest in info.digests.items():
        if not (path / name).is_file() or _digest(path / name) != digest:
            raise ConservationError(
                f"{path / name}: changed since it was written", "remove the unit and encode its documents again"
            )
    return Unit(path, info, _map(path / TOKENS, TOKEN), _map(path / OCCURRENCES, OCCURRENCE))


def _map(path: Path, dtype: np.dtype[Any]) -> NDArray[Any]:
    return np.memmap(path, dtype, mode="r") if path.stat().st_size else np.empty(0, dtype)


def _numbered(names: pa.ChunkedArray) -> tuple[list[str], NDArray[np.int64]]:
    """Distinct names in order, and the number of each row's."""
    distinct = sorted(pc.unique(names).to_pylist())
    numbers = pc.index_in(names, value_set=pa.array(distinct, pa.string()))
    return distinct, numbers.to_numpy().astype(np.int64)


def _digest(path: Path) -> str:
    digest = xxhash.xxh3_128()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _sync(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())
