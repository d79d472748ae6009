"""Which document a token of the training order comes from."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike

import pyarrow.compute as pc
import pyarrow.parquet as pq

from packing.layout.files import FIRST, fragment_path
from packing.loader.dataset import PackedDataset


@dataclass(frozen=True)
class Origin:
    """A token's place in its document, and where it lies in the directory."""

    doc_key: int
    copy: int
    offset: int  # token number within the document; a BOS is none
    source: str
    shard: str
    row: int  # of the shard
    fragment: int  # of the row


def who(directory: str | PathLike[str], stage: int, sequence: int, token: int) -> Origin:
    """The origin of token `token` of global sequence `sequence`.

    Raises IndexError for a place that does not exist, LookupError for padding and for a BOS, which no document has.
    """
    dataset = PackedDataset(directory, stage)
    length = dataset.manifest.sequence_length
    if not 0 <= token < length:
        raise IndexError(f"token {token} of a sequence of {length}")
    place = dataset.places([sequence])
    number, row = int(place.shard[0]), int(place.row[0])
    shard = dataset.shards.info(number).name
    path = fragment_path(dataset.directory, shard)
    fragments = pq.read_table(path, filters=pc.field("seq") == row).to_pylist()
    start, bos = 0, dataset.manifest.policy.get("bos")
    for at, fragment in enumerate(fragments):
        if token < start + fragment["len"]:
            begins = bos == "fragment" or (bos == "doc" and bool(fragment["flags"] & FIRST))
            if begins and token == start:
                raise LookupError(f"token {token} of sequence {sequence} is the BOS of document {fragment['doc_key']}")
            return Origin(
                doc_key=fragment["doc_key"],
                copy=fragment["copy"],
                offset=fragment["doc_offset"] + token - start - begins,
                source=dataset.manifest.sources[fragment["source"]],
                shard=shard,
                row=row,
                fragment=at,
            )
        start += fragment["len"]
    raise LookupError(f"token {token} of sequence {sequence} is padding: the row ends at {start}")
