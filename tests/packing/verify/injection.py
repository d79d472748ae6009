"""Random damage to a shard directory; a kind is a function (directory, rng) -> what was done, or None: impossible here.

`DAMAGE` changes files under the manifest's digests, as disks, copies and people do.  `WRITTEN_WRONG` changes contents
and then brings the digests up to date, as a writer with a defect would: only looking at what is written finds it.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from packing.layout import files
from packing.layout.manifest import Manifest
from tests.packing.directories import rehash

Damage = Callable[[Path, random.Random], str | None]
KINDS = (
    "manifest.json", "data/*.bin", "index/*.csr", "index/*.seg", "index/*.parquet", "order/*.u16", "docs.parquet",
    "dropped.parquet",
)  # fmt: skip


def _pick(directory: Path, rng: random.Random, kind: str | None = None) -> Path:
    return rng.choice(sorted(directory.glob(kind or rng.choice(KINDS))))


def flip_in(kind: str) -> Damage:
    """One bit of a file of this kind."""

    def flip(directory: Path, rng: random.Random) -> str | None:
        path = _pick(directory, rng, kind)
        raw = bytearray(path.read_bytes())
        if not raw:
            return None
        bit = rng.randrange(len(raw) * 8)
        raw[bit // 8] ^= 1 << bit % 8
        path.write_bytes(raw)
        return f"bit {bit} of {path.name} flipped"

    return flip


def truncate(directory: Path, rng: random.Random) -> str | None:
    path = _pick(directory, rng)
    size = path.stat().st_size
    if not size:
        return None
    keep = rng.choice([0, size - 1, rng.randrange(size)])
    path.write_bytes(path.read_bytes()[:keep])
    return f"{path.name} cut to {keep} of {size} bytes"


def extend(directory: Path, rng: random.Random) -> str | None:
    path = _pick(directory, rng)
    tail = rng.choice([b"\0", b"\n", rng.randbytes(rng.randrange(1, 300))])
    path.write_bytes(path.read_bytes() + tail)
    return f"{len(tail)} bytes after the end of {path.name}"


def zero_page(directory: Path, rng: random.Random) -> str | None:
    path = _pick(directory, rng)
    raw = bytearray(path.read_bytes())
    at = rng.randrange(0, max(1, len(raw)), 512)
    page = raw[at : at + 512]
    if not any(page):
        return None
    raw[at : at + 512] = bytes(len(page))
    path.write_bytes(raw)
    return f"{len(page)} bytes of {path.name} lost at {at}"


def remove(directory: Path, rng: random.Random) -> str | None:
    path = _pick(directory, rng, rng.choice(KINDS[1:]))
    path.unlink()
    return f"{path.name} removed"


def swap_files(directory: Path, rng: random.Random) -> str | None:
    paths = sorted(directory.glob(rng.choice(KINDS[1:5])))
    a, b = rng.sample(paths, 2)
    first, second = a.read_bytes(), b.read_bytes()
    a.write_bytes(second)
    b.write_bytes(first)
    return f"{a.name} and {b.name} swapped" if first != second else None


def swap_shards(directory: Path, rng: random.Random) -> str | None:
    manifest = Manifest.read(directory)
    a, b = rng.sample(manifest.shards, 2)
    for one, other in zip(a.files, b.files, strict=True):
        first, second = (directory / one.name).read_bytes(), (directory / other.name).read_bytes()
        (directory / one.name).write_bytes(second)
        (directory / other.name).write_bytes(first)
    return f"shards {a.name} and {b.name} swapped" if a.files[0].sha256 != b.files[0].sha256 else None


def duplicate_over(directory: Path, rng: random.Random) -> str | None:
    a, b = rng.sample(Manifest.read(directory).shards, 2)
    for one, other in zip(a.files, b.files, strict=True):
        shutil.copy(directory / one.name, directory / other.name)
    return f"shard {b.name} overwritten by {a.name}" if a.files[0].sha256 != b.files[0].sha256 else None


def duplicate_beside(directory: Path, rng: random.Random) -> str | None:
    shards = Manifest.read(directory).shards
    one, name = rng.choice(shards), files.shard_name(len(shards))
    for file in one.files:
        shutil.copy(directory / file.name, directory / file.name.replace(one.name, name))
    return f"shard {one.name} copied as {name}"


def add_rows(directory: Path, rng: random.Random) -> str | None:
    manifest = Manifest.read(directory)
    path = files.data_path(directory, rng.choice(manifest.shards).name)
    raw = path.read_bytes()
    path.write_bytes(raw + raw[: 4 * manifest.sequence_length * rng.randrange(1, 3)])
    return f"rows added to {path.name}"


def edit_manifest(directory: Path, rng: random.Random) -> str | None:
    """A number or word of the manifest changed in valid JSON."""
    path = directory / files.MANIFEST
    raw = json.loads(path.read_bytes())
    places: list[tuple[Any, Any]] = []

    def walk(value: Any) -> None:
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(one, dict | list):
                walk(one)
            else:
                places.append((value, key))

    walk(raw)
    parent, key = rng.choice(places)
    old = parent[key]
    parent[key] = old + 1 if isinstance(old, int | float) else f"{old}x"
    path.write_text(json.dumps(raw, indent=1, sort_keys=True) + "\n")
    return f"manifest {key}: {old!r} changed"


def two_runs_mixed(directory: Path, rng: random.Random) -> str | None:
    """A file of another, valid, directory."""
    path = _pick(directory, rng, rng.choice(KINDS[1:5]))
    other = bytearray(path.read_bytes())
    middle = len(other) // 2
    other[:middle], other[middle:] = other[len(other) - middle :], other[: len(other) - middle]
    if bytes(other) == path.read_bytes():
        return None
    path.write_bytes(other)
    return f"halves of {path.name} in the wrong order"


DAMAGE: dict[str, Damage] = {
    **{f"bit flip in {kind}": flip_in(kind) for kind in KINDS},
    "truncated file": truncate, "extended file": extend, "lost page": zero_page, "missing file": remove,
    "swapped files": swap_files, "swapped shards": swap_shards, "shard overwritten by another": duplicate_over,
    "shard copied under a new name": duplicate_beside, "extra rows": add_rows, "edited manifest": edit_manifest,
    "file put together wrongly": two_runs_mixed,
}  # fmt: skip


def _row(directory: Path, rng: random.Random) -> tuple[Manifest, str, np.ndarray[Any, Any], int, int]:
    """(manifest, shard, its rows to be changed, a row, its used tokens)."""
    manifest = Manifest.read(directory)
    shard = rng.choice([shard for shard in manifest.shards if shard.rows])
    rows = np.array(files.map_rows(directory, shard.name, manifest.sequence_length))
    row = rng.randrange(shard.rows)
    starts, lengths = files.map_csr(directory, shard.name, shard.rows)
    return manifest, shard.name, rows, row, int(lengths[int(starts[row]) : int(starts[row + 1])].sum())


def token_becomes(which: str) -> Damage:
    """A used token becomes an id that cannot stand there."""

    def change(directory: Path, rng: random.Random) -> str | None:
        manifest, shard, rows, row, used = _row(directory, rng)
        at = rng.randrange(used)
        ids = {"EOS": manifest.eos_id, "padding": manifest.pad_id, "beyond": manifest.vocab_rows + rng.randrange(9)}
        if rows[row, at] == ids[which]:
            return None
        rows[row, at] = ids[which]
        rows.tofile(files.data_path(directory, shard))
        rehash(directory)
        return f"{which} at token {at} of row {row} of {shard}"

    return change


def eos_lost(directory: Path, rng: random.Random) -> str | None:
    manifest, shard, rows, _, _ = _row(directory, rng)
    places = np.argwhere(rows == manifest.eos_id)
    if not len(places):
        return None
    row, at = places[rng.randrange(len(places))]
    rows[row, at] = manifest.vocab_rows - 1
    rows.tofile(files.data_path(directory, shard))
    rehash(directory)
    return f"EOS of row {row} of {shard} became an ordinary token"


def padding_filled(directory: Path, rng: random.Random) -> str | None:
    manifest, shard, rows, row, used = _row(directory, rng)
    if used == manifest.sequence_length:
        return None
    rows[row, rng.randrange(used, manifest.sequence_length)] = manifest.vocab_rows - 1
    rows.tofile(files.data_path(directory, shard))
    rehash(directory)
    return f"an id in the padding of row {row} of {shard}"


def rows_doubled(directory: Path, rng: random.Random) -> str | None:
    """A row is written twice, over another one, with its index: documents doubled and lost."""
    a, b = rng.sample(Manifest.read(directory).shards, 2)
    if (a.rows, a.fragments, a.tokens) != (b.rows, b.fragments, b.tokens) or a.files[0].sha256 == b.files[0].sha256:
        return None
    for one, other in zip(a.files, b.files, strict=True):
        shutil.copy(directory / one.name, directory / other.name)
    rehash(directory)
    return f"{b.name} written from {a.name}'s rows"


def length_moved(directory: Path, rng: random.Random) -> str | None:
    """A boundary between two fragments is one token off, in the index and in the table."""
    manifest, name, _, _, _ = _row(directory, rng)
    shard = next(shard for shard in manifest.shards if shard.name == name)
    path, table_path = files.csr_path(directory, name), files.fragment_path(directory, name)
    head = 8 * (shard.rows + 1)
    raw = path.read_bytes()
    lengths = np.frombuffer(raw[head:], files.LENGTH).copy()
    table = pq.read_table(table_path)
    seq = table["seq"].to_numpy()
    inner = [i for i in range(len(lengths) - 1) if seq[i] == seq[i + 1] and lengths[i + 1] > 1]
    if not inner:
        return None
    i = rng.choice(inner)
    lengths[i] += 1
    lengths[i + 1] -= 1
    path.write_bytes(raw[:head] + lengths.tobytes())
    pq.write_table(table.set_column(table.schema.get_field_index("len"), "len", pa.array(lengths)), table_path)
    rehash(directory)
    return f"boundary {i} of {name} moved"


def column_changed(column: str) -> Damage:
    """One value of a column in table and provenance records, or in the table alone where the records lack it."""

    def change(directory: Path, rng: random.Random) -> str | None:
        _, name, _, _, _ = _row(directory, rng)
        path = files.fragment_path(directory, name)
        table = pq.read_table(path)
        values = table[column].to_numpy().copy()
        i = rng.randrange(len(values))
        values[i] += 1
        place = table.schema.get_field_index(column)
        pq.write_table(table.set_column(place, table.schema.field(place), pa.array(values)), path)
        segments = np.array(files.map_segments(directory, name))
        if column in ("doc_key", "copy", "source") and rng.random() < 0.5:  # a wrong n_bytes in both: only texts know
            segments[column] = values
            segments.tofile(files.segment_path(directory, name))
        rehash(directory)
        return f"{column} of fragment {i} of {name} changed"

    return change


def order_changed(directory: Path, rng: random.Random) -> str | None:
    path = _pick(directory, rng, "order/*.u16")
    order = np.fromfile(path, files.QUEUE)
    order[rng.randrange(len(order))] += 1
    order.tofile(path)
    rehash(directory)
    return "a sequence of another queue"


def document_unlisted(directory: Path, rng: random.Random) -> str | None:
    path = directory / "docs.parquet"
    table = pq.read_table(path)
    drop = rng.randrange(table.num_rows)
    pq.write_table(pa.concat_tables([table.slice(0, drop), table.slice(drop + 1)]), path)
    rehash(directory)
    return f"document {drop} not listed"


def document_listed_twice(directory: Path, rng: random.Random) -> str | None:
    path = directory / "docs.parquet"
    table = pq.read_table(path)
    pq.write_table(pa.concat_tables([table, table.slice(rng.randrange(table.num_rows), 1)]), path)
    rehash(directory)
    return "a document listed twice"


def count_changed(directory: Path, rng: random.Random) -> str | None:
    """A count of the manifest is wrong, its root is right."""
    manifest = Manifest.read(directory)
    shards, queues, ledger = list(manifest.shards), list(manifest.queues), json.loads(json.dumps(manifest.ledger))
    what = rng.choice(["rows", "fragments", "tokens", "queue", "ledger"])
    if what == "queue":
        queues[0] = replace(queues[0], rows=queues[0].rows + 1)
    elif what == "ledger":
        part = rng.choice(["documents", "tokens"])
        ledger[part][rng.choice(["in", "packed"])] += 1
    else:
        i = rng.randrange(len(shards))
        shards[i] = replace(shards[i], **{what: getattr(shards[i], what) + 1})
    changed = replace(manifest, shards=shards, queues=queues, ledger=ledger).with_root()
    (directory / files.MANIFEST).write_bytes(changed.to_json())
    return f"{what} counted wrongly"


def shard_unlisted(directory: Path, rng: random.Random) -> str | None:
    """The last shard is not in the manifest, nor on the disk."""
    manifest = Manifest.read(directory)
    for one in manifest.shards[-1].files:
        (directory / one.name).unlink()
    (directory / files.MANIFEST).write_bytes(replace(manifest, shards=manifest.shards[:-1]).with_root().to_json())
    return f"{manifest.shards[-1].name} left out"


WRITTEN_WRONG: dict[str, Damage] = {
    "EOS inside a document": token_becomes("EOS"), "padding inside a document": token_becomes("padding"),
    "id beyond the vocabulary": token_becomes("beyond"), "EOS lost": eos_lost, "padding not at the end": padding_filled,
    "rows written twice": rows_doubled, "boundary moved": length_moved,
    **{f"{one} wrong": column_changed(one) for one in
       ("seq", "len", "doc_key", "copy", "doc_offset", "n_bytes", "source", "flags")},
    "schedule wrong": order_changed, "document not listed": document_unlisted,
    "document listed twice": document_listed_twice, "count wrong": count_changed, "shard left out": shard_unlisted,
}  # fmt: skip
