"""The faults of `peer_bugs`, asked of this project: each function raises AssertionError where it has one too."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from curation.pipeline.errors import UsageError
from packing.export import export
from packing.layout import files
from packing.layout.manifest import Manifest
from packing.loader import PackedDataset
from packing.verify import verify
from packing.write.token_ids import token_ids
from tests.packing.directories import write_directory
from tests.packing.write.corpora import IDS, RULES, corpus, keys, pack
from tests.tokenizer.vocabularies import small_vocabulary
from tokenizer.formats.export import export as save_tokenizer


def no_token_is_lost(folder: Path) -> None:
    """Ids above 65,535: all documents stand in the rows, and the datatrove export has every row."""
    wide = replace(IDS, rows=200_064, byte_lengths=np.full(200_064, 3, np.uint32))
    documents = {f"web/{i}": [70_000 + (7 * i + k) % 1000 for k in range(5 + i % 9)] for i in range(100)}
    made = pack(documents, folder, ids=wide)
    assert made.documents() == {(key, 1): ids for key, ids in keys(documents).items()}
    out = export(made.path, "datatrove", folder / "out").path
    rows = np.concatenate([np.fromfile(path, "<u4") for path in sorted(out.rglob("*.ds"))])
    assert rows.tolist() == [token for row in made.rows() for token in row]
    written = export(made.path, "litdata", folder / "litdata").path
    tokens = sum(path.stat().st_size for path in written.rglob("chunk-*.bin")) // 4
    assert tokens > len(rows)  # whole rows in every chunk: its reader serves whole blocks only


def order_is_the_same_for_any_division(folder: Path) -> None:
    """The same documents in 1, 2 and 4 pieces."""
    made = [pack(corpus(), folder / str(pieces), pieces=pieces).manifest.checksum for pieces in (1, 2, 4)]
    assert len(set(made)) == 1


def a_row_outlives_its_dataset(folder: Path) -> None:
    """What a dataset gave stays readable when it is gone, and so do its files."""
    write_directory(folder / "shards", {"web": [[5] * 100]}, sequence_length=64)
    data = PackedDataset(folder / "shards")
    row = data[0].tokens
    del data
    gc.collect()
    (folder / "shards/data/s00000.bin").unlink()
    assert int(row.sum()) == 64 * 5


def ids_are_never_wrapped(folder: Path) -> None:
    """A vocabulary that uint16 cannot hold is refused."""
    write_directory(folder / "shards", {"web": [[70_000]]}, sequence_length=64, vocab_rows=200_064)
    with pytest.raises(UsageError, match="uint16 holds ids up to 65,535"):
        export(folder / "shards", "megatron", folder / "out", dtype="uint16")


def a_flipped_bit_is_found(folder: Path) -> None:
    """`verify` names the file and the block; an export refuses the rows."""
    write_directory(folder / "shards", {"web": [[5] * 100]}, sequence_length=64)
    path = folder / "shards/data/s00000.bin"
    content = bytearray(path.read_bytes())
    content[201] ^= 16
    path.write_bytes(content)
    assert "data/s00000.bin" in "".join(map(str, verify(folder / "shards").faults))
    with pytest.raises(UsageError, match="CRC-32 differs"):
        export(folder / "shards", "mds", folder / "out")


def padding_is_never_the_end_of_documents(folder: Path) -> None:
    """One id for both is refused; padding is one segment of the batch."""
    save_tokenizer(small_vocabulary(), folder / "tokenizer")
    with pytest.raises(UsageError, match="must be three different ids"):
        token_ids(folder / "tokenizer", pad="<|endoftext|>", eos="<|endoftext|>")
    write_directory(folder / "shards", {"web": [[5, 6]]}, sequence_length=16)
    manifest = Manifest.read(folder / "shards")
    starts, lengths = files.map_csr(folder / "shards", "s00000", manifest.shards[0].rows)
    assert lengths.tolist() == [3] and starts.tolist() == [0, 1]


def nothing_is_truncated_unasked(folder: Path) -> None:
    """A document longer than a row is split; every token is trained on."""
    documents = {"web/a": list(range(5, 305)), "web/b": [7]}
    made = pack(documents, folder, RULES)
    assert made.documents() == {(key, 1): ids for key, ids in keys(documents).items()}
    assert made.manifest.ledger["tokens"]["truncated"] == 0


OURS: dict[str, Callable[[Path], None]] = {
    "datatrove_merger_halves": no_token_is_lost,
    "datatrove_order_depends_on_tasks": order_is_the_same_for_any_division,
    "megatron_array_outlives_its_file": a_row_outlives_its_dataset,
    "megatron_wraps_ids": ids_are_never_wrapped,
    "megatron_reads_damage": a_flipped_bit_is_found,
    "mds_reads_damage": a_flipped_bit_is_found,
    "olmo_padding_is_documents": padding_is_never_the_end_of_documents,
    "litdata_drops_the_end_of_chunks": no_token_is_lost,
    "trl_truncates": nothing_is_truncated_unasked,
}
