"""What a run really read: its rows again, from its own record, and from them tokens by source and how often documents.

The order of rows is a function of shards and seeds (`proxy_model.train.data`), so nothing is logged while training.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from curation.pipeline.errors import UsageError
from packing.loader.dataset import PackedDataset
from proxy_model.train import data
from proxy_model.train.token_table import TokenTable

CONFIG, DOCS = "config.json", "docs.parquet"  # of a folder of `curate proxy train`, of a folder of shards
STANDS_FOR = "ablation_packed"  # in a plan.json beside shards: they hold the plan's ablation, not its mix
ROWS = 512  # read at a time


@dataclass(frozen=True)
class Consumption:
    """Padding left out, except in `tokens`.

    sources: tokens by source.  copies: tokens by how many copies of their document were read.
    documents: different ones.  rows, tokens: sequences, and their tokens with padding.
    """

    sources: dict[str, int]
    copies: dict[str, int]
    documents: int
    rows: int
    tokens: int


def rows_of(folder: Path) -> tuple[PackedDataset, data.Rows]:
    """The rows that a run reads, in its order.

    Raises UsageError for a folder without a run, and for shards that are not those it was trained on.
    """
    path = folder / CONFIG
    try:
        described = orjson.loads(path.read_bytes())
        identity: dict[str, Any] = described["identity"]
    except FileNotFoundError:
        raise UsageError(f"{folder} has no {CONFIG}", "name the folder of a run of `curate proxy train`") from None
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is damaged: {error}", "remove that folder and train the run again") from None
    dataset = data.open_shards(Path(described["shards"]))
    manifest = dataset.manifest
    if manifest.root != identity["shards"]:
        raise UsageError(
            f"{folder.name} was trained on shards {identity['shards'][:12]}, {dataset.directory} now has "
            f"{manifest.root[:12]}",
            "restore those shards; what the run read cannot be told from others",
        )
    rows, _ = data.split_off(data.scheduled(dataset), identity["holdout_share"], manifest)
    seeds = identity["seeds"]
    if identity["subset_share"] < 1 and seeds["subset"] is not None:
        rows = data.subset(rows, identity["subset_share"], seeds["subset"])
    table = TokenTable(tuple((int(start), int(batch)) for start, batch in identity["batch"]["rows"]))
    last = table.steps(identity["tokens"], manifest.sequence_length)[-1]
    return dataset, data.run_order(rows, last.first + last.sequences, seeds["order"])


def consumed(folder: Path) -> Consumption:
    """Of one run's folder."""
    dataset, rows = rows_of(folder)
    manifest, times = dataset.manifest, _times(rows)
    keys, readings, lengths, sources = [], [], [], []
    for begin in range(0, len(rows), ROWS):
        at = np.arange(begin, min(begin + ROWS, len(rows)))
        found = dataset.fragments(rows.take(at).places)
        keys.append(found.records["doc_key"])
        readings.append(np.repeat(times[at], found.counts) << 16 | found.records["copy"])
        lengths.append(found.lengths.astype(np.int64))
        sources.append(found.records["source"])
    key, reading, length, source = (np.concatenate(one) for one in (keys, readings, lengths, sources))
    by_source = np.bincount(source, length, len(manifest.sources))
    return Consumption(
        {name: int(by_source[i]) for i, name in enumerate(manifest.sources)},
        _copies(key, reading, length),
        len(np.unique(key)),
        len(rows),
        len(rows) * manifest.sequence_length,
    )


@dataclass(frozen=True)
class Planned:
    """What an arm's shards were to hold: shares of tokens by source, and by copies of their document.

    An ablation consists of whole documents: it has its mix's shares only roughly, so `sources` are its own then, and
    `mix` has those of the mix.
    """

    sources: dict[str, float]
    copies: dict[str, float]
    mix: dict[str, float]


def planned(shards: Path) -> Planned:
    """Of the mix that the shards were packed from (`mix/plan.json` beside them); without one, each document once.

    Copies are those of the schedule that the experiment stands for, so an ablation that repeats less than it shows.
    """
    manifest = data.open_shards(shards).manifest
    path = shards.parent / "mix" / "plan.json"
    plan = orjson.loads(path.read_bytes()) if path.exists() else {"cells": []}
    tokens = dict.fromkeys(manifest.sources, 0.0)
    for cell in plan["cells"]:
        if cell["source"] in tokens:
            tokens[cell["source"]] += float(cell.get("sampled", cell["planned"]))
    if not plan["cells"] or any(cell["source"] not in tokens for cell in plan["cells"]):  # cells over all sources
        table = pq.read_table(shards / DOCS, columns=["source", "tokens"])
        summed = table.group_by("source").aggregate([("tokens", "sum")])
        tokens |= dict(zip(summed["source"].to_pylist(), summed["tokens_sum"].to_pylist(), strict=True))
    by_copies = (plan.get("repeats") or {}).get("final") or [0.0, 1.0]
    mix = _shares(tokens)
    sources = _shares(_packed(shards)) if plan.get(STANDS_FOR) else mix
    return Planned(sources, {str(n): float(share) for n, share in enumerate(by_copies) if share}, mix)


def _packed(shards: Path) -> dict[str, float]:
    """Tokens by source of all rows, padding left out."""
    dataset = data.open_shards(shards)
    names, rows = dataset.manifest.sources, data.scheduled(dataset)
    held = np.zeros(len(names))
    for begin in range(0, len(rows), ROWS):
        found = dataset.fragments(rows.take(np.arange(begin, min(begin + ROWS, len(rows)))).places)
        held += np.bincount(found.records["source"], found.lengths, len(names))
    return dict(zip(names, held.tolist(), strict=True))


def _shares(tokens: dict[str, float]) -> dict[str, float]:
    total = sum(tokens.values()) or 1.0
    return {name: count / total for name, count in tokens.items()}


def id_bytes_of(tokenizer: Path) -> list[bytes]:
    """UTF-8 bytes of every id of a byte-level tokenizer; none for special tokens.  Raises UsageError."""
    from tokenizer.encoding.source import open_tokenizer
    from tokenizer.vocabulary import BYTE_CHARACTERS

    opened = open_tokenizer(tokenizer)
    byte_of = {character: byte for byte, character in enumerate(BYTE_CHARACTERS)}
    special = opened.special_ids.values()
    vocabulary: dict[str, int] = opened.raw["model"]["vocab"]
    made = [b""] * (1 + max(*vocabulary.values(), *special))
    for text, number in vocabulary.items():
        if number not in special:
            made[number] = bytes(byte_of[character] for character in text)
    return made


def documents(folders: Sequence[Path], id_bytes: Sequence[bytes]) -> Iterator[pa.LargeStringArray]:
    """Texts of all fragments that any of these runs of one arm read, each once, a batch at a time.

    id_bytes: UTF-8 bytes of every token id.  A document cut at a row's end is several texts.
    """
    seen: set[tuple[int, int]] = set()
    for folder in folders:
        dataset, rows = rows_of(folder)
        pairs = list(zip(rows.places.shard.tolist(), rows.places.row.tolist(), strict=True))
        fresh = [i for i, pair in enumerate(pairs) if pair not in seen and not seen.add(pair)]  # type: ignore[func-returns-value]
        for begin in range(0, len(fresh), ROWS):
            part = rows.take(np.array(fresh[begin : begin + ROWS], np.int64))
            yield _texts(dataset, part, id_bytes)


def _copies(key: NDArray[np.uint64], reading: NDArray[np.int64], length: NDArray[np.int64]) -> dict[str, int]:
    """Tokens by how many copies of their document were read; a copy read again in a later epoch is another one."""
    documents, place = np.unique(key, return_inverse=True)
    pairs = np.unique(np.stack([place, reading]), axis=1)
    many = np.bincount(pairs[0], minlength=len(documents))
    found = np.bincount(many, np.bincount(place, length, len(documents)))
    return {str(n): int(tokens) for n, tokens in enumerate(found) if tokens}


def _times(rows: data.Rows) -> NDArray[np.int64]:
    """int64[n]: how often each row was read before."""
    pairs = rows.places.shard << 40 | rows.places.row
    order = np.argsort(pairs, kind="stable")
    ranked = pairs[order]
    first = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]]))
    times = np.empty(len(pairs), np.int64)
    times[order] = np.arange(len(pairs)) - np.repeat(first, np.diff(np.append(first, len(pairs))))
    return times


def _texts(dataset: PackedDataset, rows: data.Rows, id_bytes: Sequence[bytes]) -> pa.LargeStringArray:
    length = dataset.manifest.sequence_length
    tokens = np.empty((len(rows), length), np.int64)
    dataset.read_tokens(rows.places.runs(len(rows))[0], tokens)
    found = dataset.fragments(rows.places)
    row = np.repeat(np.arange(len(rows)), found.counts)
    ends = np.cumsum(found.lengths.astype(np.int64))
    starts = ends - found.lengths
    base = starts[np.concatenate([[0], np.cumsum(found.counts)[:-1]])]
    begin = starts - base[row]
    texts = []
    for i in range(len(row)):
        ids = tokens[row[i], begin[i] : begin[i] + int(found.lengths[i])]
        texts.append(b"".join([id_bytes[t] for t in ids.tolist()]).decode("utf-8", "replace"))
    return pa.array(texts, pa.large_string())
