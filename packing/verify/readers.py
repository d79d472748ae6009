"""Opens an export with the library it was made for, and compares every row, in the library's own environment.

    read_back(Path("shards"), "megatron", Path("megatron")) -> ReadBack(reader='megatron-core 0.16.1', rows=…, …)

Imports numpy and the layout at the top; each library only in its own function, so that this runs in an
environment that has that library and none of ours.  Other things that a reader promises (positions, masks, each
row once) are compared too and counted in `wrong`.
"""

from __future__ import annotations

import itertools
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from packing.export.job import shards_by_queue
from packing.export.rows import in_training_order, used_tokens
from packing.layout import files
from packing.layout.manifest import Manifest

Row = NDArray[np.int64]


@dataclass
class ReadBack:
    """What a real reader gave: `equal` of `rows` rows, and `wrong` by what else differs."""

    format: str
    reader: str
    rows: int = 0
    read: int = 0
    equal: int = 0
    wrong: dict[str, int] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Every row was read once and equal, and nothing else differs."""
        return self.rows == self.read == self.equal and not any(self.wrong.values())


def read_back(directory: Path, to: str, exported: Path) -> ReadBack:
    """Compare every row of an export with the directory, through the real library.  Raises ImportError."""
    package, read = READERS[to]
    manifest = Manifest.read(directory)
    result = ReadBack(to, f"{package} {version(package)}")
    read(directory, manifest, exported, result)
    return result


def installed(to: str) -> bool:
    """Whether the library that reads `to` is here."""
    try:
        version(READERS[to][0])
    except PackageNotFoundError:
        return False
    return True


def rows_by_queue(directory: Path, manifest: Manifest) -> Iterator[Row]:
    """All rows, queue by queue."""
    for shards in shards_by_queue(manifest):
        for shard in shards:
            for row in files.map_rows(directory, shard.name, manifest.sequence_length):
                yield row.astype(np.int64)


def rows_of_stages(directory: Path, manifest: Manifest) -> Iterator[Row]:
    """All scheduled rows, stage by stage in training order."""
    for stage in range(len(manifest.stages)):
        for block in in_training_order(directory, manifest, stage):
            yield from block.rows.astype(np.int64)


def _compare(expected: Iterable[Row], found: Iterable[Any], result: ReadBack) -> None:
    for ours, theirs in itertools.zip_longest(expected, found):
        result.rows += ours is not None
        result.read += theirs is not None
        if ours is not None and theirs is not None:
            result.equal += bool(np.array_equal(ours, np.asarray(theirs).astype(np.int64)))


def _megatron(directory: Path, manifest: Manifest, exported: Path, result: ReadBack) -> None:
    """IndexedDataset row by row, then GPTDataset: each row once as a training sample."""
    from megatron.core.datasets.gpt_dataset import GPTDataset, GPTDatasetConfig
    from megatron.core.datasets.indexed_dataset import IndexedDataset
    from megatron.core.datasets.utils import Split

    class Tokenizer:
        eod, pad, vocab_size = manifest.eos_id, manifest.pad_id, manifest.vocab_rows
        unique_identifiers, unique_description = {"class": "ids"}, "ids"

    prefixes = [str(path.with_suffix("")) for path in sorted(exported.glob("*.idx"))]
    datasets = [IndexedDataset(prefix) for prefix in prefixes]
    _compare(rows_by_queue(directory, manifest), (data[i] for data in datasets for i in range(len(data))), result)
    listed = (exported / "data_args.txt").read_text().split()[1::2]
    result.wrong["prefixes in data_args.txt"] = len(set(listed) - {Path(one).name for one in prefixes})
    samples: Counter[bytes] = Counter()
    rows: Counter[bytes] = Counter()
    for prefix in prefixes:
        with tempfile.TemporaryDirectory() as cache:
            config = GPTDatasetConfig(
                random_seed=1, sequence_length=manifest.sequence_length, blend=([prefix], None), split="1,0,0",
                path_to_cache=cache, tokenizer=Tokenizer(), reset_position_ids=True, reset_attention_mask=True,
                eod_mask_loss=True, create_attention_mask=False, add_extra_token_to_sequence=False,
            )  # fmt: skip
            low = GPTDataset.build_low_level_dataset(prefix, config)
            data = GPTDataset(low, prefix, np.arange(len(low), dtype=np.int32), None, Split.train, config)
            for i in range(len(data)):
                samples[data[i]["tokens"].numpy().astype(np.int64).tobytes()] += 1
    for row in rows_by_queue(directory, manifest):
        rows[np.where(row == manifest.pad_id, 0, row).tobytes()] += 1  # it trains padding as token 0, loss masked
    result.wrong["samples of GPTDataset that are no row, or rows that are no sample"] = sum(
        ((samples - rows) + (rows - samples)).values()
    )


def _datatrove(directory: Path, manifest: Manifest, exported: Path, result: ReadBack) -> None:
    """DatatroveFolderDataset with positions from the index files."""
    from datatrove.utils.dataset import DatatroveFolderDataset

    size = np.dtype(f"<u{_token_size(exported, '*/*.ds.metadata')}").itemsize
    folders = sorted(path for path in exported.iterdir() if path.is_dir())
    found: list[dict[str, Any]] = []
    for folder in folders:
        data = DatatroveFolderDataset(
            str(folder), seq_len=manifest.sequence_length - 1, token_size=size, filename_pattern="*.ds",
            recursive=False, return_positions=True,
        )  # fmt: skip
        found += [data[i] for i in range(len(data))]
    _compare(rows_by_queue(directory, manifest), (one["input_ids"].numpy() for one in found), result)
    pairs = zip(_positions(directory, manifest), found, strict=False)
    result.wrong["positions"] = sum(not np.array_equal(ours, one["positions"].numpy()) for ours, one in pairs)


def _token_size(exported: Path, pattern: str) -> int:
    return int(next(exported.glob(pattern)).read_text().splitlines()[0].rpartition("|")[2])


def _positions(directory: Path, manifest: Manifest) -> Iterator[Row]:
    """Positions of each row's tokens in their fragments; padding counts from 0."""
    for shards in shards_by_queue(manifest):
        for shard in shards:
            starts, lengths = files.map_csr(directory, shard.name, shard.rows)
            for row in range(shard.rows):
                own = lengths[int(starts[row]) : int(starts[row + 1])].tolist()
                parts = [*own, manifest.sequence_length - sum(own)]
                yield np.concatenate([np.arange(part) for part in parts])


def _olmo(directory: Path, manifest: Manifest, exported: Path, result: ReadBack) -> None:
    """NumpyFSLDataset with label masks."""
    from olmo_core.data import NumpyFSLDataset

    masks = sorted(exported.glob("*/*.mask.npy"))
    paths = [path.with_name(path.name.replace(".mask", "")) for path in masks]
    rows = sum(shard.rows for shard in manifest.shards)
    size = sum(path.stat().st_size for path in paths) // (rows * manifest.sequence_length)
    data = NumpyFSLDataset(
        *map(str, paths), sequence_length=manifest.sequence_length, pad_token_id=manifest.pad_id,
        eos_token_id=manifest.eos_id, vocab_size=manifest.vocab_rows, dtype=np.uint16 if size == 2 else np.uint32,
        generate_doc_lengths=True, label_mask_paths=[str(path) for path in masks],
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as cache:
        data.work_dir = cache
        data.prepare()
        found = [data[i] for i in range(len(data))]
    _compare(rows_by_queue(directory, manifest), (one["input_ids"].numpy() for one in found), result)
    used = [
        count
        for shards in shards_by_queue(manifest)
        for shard in shards
        for count in used_tokens(directory, shard.name, shard.rows)
    ]
    place = np.arange(manifest.sequence_length)
    result.wrong["label masks"] = sum(
        not np.array_equal(place < count, one["label_mask"].numpy()) for count, one in zip(used, found, strict=False)
    )


def _mds(directory: Path, manifest: Manifest, exported: Path, result: ReadBack) -> None:
    """StreamingDataset, not shuffled."""
    from streaming import StreamingDataset
    from streaming.base.util import clean_stale_shared_memory

    def found() -> Iterator[Any]:
        for stage in range(len(manifest.stages)):
            clean_stale_shared_memory()
            data = StreamingDataset(local=str(exported / f"stage{stage}"), shuffle=False, batch_size=1)
            for i in range(len(data)):
                yield data[i]["tokens"]

    _compare(rows_of_stages(directory, manifest), found(), result)


def _litdata(directory: Path, manifest: Manifest, exported: Path, result: ReadBack) -> None:
    """StreamingDataset with TokensLoader, not shuffled."""
    from litdata.streaming import StreamingDataset, TokensLoader

    def found() -> Iterator[Any]:
        for stage in range(len(manifest.stages)):
            loader = TokensLoader(block_size=manifest.sequence_length)
            data = StreamingDataset(str(exported / f"stage{stage}"), item_loader=loader, shuffle=False, drop_last=False)
            for i in range(len(data)):
                yield data[i].numpy()

    _compare(rows_of_stages(directory, manifest), found(), result)


def _arrow(directory: Path, manifest: Manifest, exported: Path, result: ReadBack) -> None:
    import datasets

    stages = [datasets.load_from_disk(str(exported / f"stage{i}")) for i in range(len(manifest.stages))]
    _compare_datasets(directory, manifest, stages, result)


def _parquet(directory: Path, manifest: Manifest, exported: Path, result: ReadBack) -> None:
    import datasets

    with tempfile.TemporaryDirectory() as cache:
        stages = [
            datasets.load_dataset("parquet", data_files=str(exported / f"stage{i}/*.parquet"), cache_dir=cache)["train"]
            for i in range(len(manifest.stages))
        ]
        _compare_datasets(directory, manifest, stages, result)


def _compare_datasets(directory: Path, manifest: Manifest, stages: list[Any], result: ReadBack) -> None:
    """Rows, and that each row's fragments are followed by padding only."""
    _compare(rows_of_stages(directory, manifest), (row["input_ids"] for data in stages for row in data), result)
    result.wrong["padding before the end of the fragments, or none after"] = sum(
        not np.array_equal(
            np.asarray(row["input_ids"]) != manifest.pad_id,
            np.arange(manifest.sequence_length) < sum(row["seq_lengths"]),
        )
        for data in stages
        for row in data
    )


READERS: dict[str, tuple[str, Callable[[Path, Manifest, Path, ReadBack], None]]] = {
    "megatron": ("megatron-core", _megatron),
    "datatrove": ("datatrove", _datatrove),
    "olmo": ("ai2-olmo-core", _olmo),
    "mds": ("mosaicml-streaming", _mds),
    "litdata": ("litdata", _litdata),
    "arrow": ("datasets", _arrow),
    "parquet": ("datasets", _parquet),
}


def main() -> None:
    """`python -m packing.verify.readers DIRECTORY FORMAT EXPORT`: the result as one line of JSON."""
    import sys
    from dataclasses import asdict

    result = read_back(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
    print(json.dumps({**asdict(result), "whole": result.whole}))


if __name__ == "__main__":
    main()
