"""Faults of other packers, reproduced with the real libraries.  Each function imports its peer inside.

    python -m tests.packing.peer_bugs NAME FOLDER      one line of JSON: what the peer did

Every answer has `faulty`: whether this version of the peer still has the fault.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Answer = dict[str, Any]


def datatrove_merger_halves(folder: Path) -> Answer:
    """Ids above 65,535 without metadata files: the merger takes tokens for 2 bytes and writes half of them."""
    from datatrove.pipeline.tokens.merger import DocumentTokenizerMerger

    documents = _datatrove_documents(folder)
    DocumentTokenizerMerger(
        str(folder / "tokens"), str(folder / "merged"), "out", seed=1, save_final_metadata=False
    ).run(rank=0, world_size=1)  # fmt: skip
    found = sum(path.stat().st_size for path in (folder / "merged").glob("*.ds"))
    expected = 4 * sum(map(len, documents))
    return {"faulty": found < expected, "bytes": found, "expected": expected}


def _datatrove_documents(folder: Path) -> list[list[int]]:
    """A tokenized file of 4-byte ids, as DocumentTokenizer leaves it without metadata."""
    from datatrove.pipeline.tokens.tokenizer import TokenizedFile

    documents = [[70_000 + (7 * i + k) % 1000 for k in range(5 + i % 9)] for i in range(100)]
    (folder / "tokens").mkdir()
    file = TokenizedFile(
        str(folder / "tokens"), "00000_shuffled.ds", save_index=True, save_loss_metadata=False,
        save_final_metadata=False, tokenizer_name_or_path="x", token_size=4,
    )  # fmt: skip
    for ids in documents:
        file.write(ids, None)
    file.close()
    return documents


def datatrove_order_depends_on_tasks(folder: Path) -> Answer:
    """The same documents over 1, 2 and 4 tasks, one seed: other bytes."""
    from datatrove.data import Document
    from datatrove.pipeline.tokens import DocumentTokenizer, DocumentTokenizerMerger
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = {word: number for number, word in enumerate(["<|endoftext|>", "[UNK]", *"abcdefghij"])}
    plain = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    plain.save(str(folder / "tokenizer.json"))
    documents = [Document(" ".join("abcdefghij"[(i * k) % 10] for k in range(1, 9)), str(i)) for i in range(64)]
    digests = {}
    for tasks in (1, 2, 4):
        out = folder / str(tasks)
        for rank in range(tasks):
            step = DocumentTokenizer(
                str(out / "tokens"), local_working_dir=None, tokenizer_name_or_path=str(folder / "tokenizer.json"),
                eos_token="<|endoftext|>", seed=7, save_filename="x",
            )  # fmt: skip
            for _ in step.run(iter(documents[rank::tasks]), rank=rank, world_size=tasks) or ():
                pass
        DocumentTokenizerMerger(str(out / "tokens"), str(out / "merged"), "out", seed=7).run(rank=0, world_size=1)
        content = b"".join(path.read_bytes() for path in sorted((out / "merged").glob("*.ds")))
        digests[tasks] = hashlib.sha256(content).hexdigest()[:16]
    return {"faulty": len(set(digests.values())) > 1, "digests": digests}


def megatron_array_outlives_its_file(folder: Path) -> Answer:
    """An array taken from a dataset that is no longer referenced: the interpreter crashes when it is read."""
    code = (
        "import gc, sys\n"
        "from megatron.core.datasets.indexed_dataset import IndexedDataset\n"
        "data = IndexedDataset(sys.argv[1]); row = data[0]; del data; gc.collect(); print(int(row.sum()))\n"
    )
    _megatron_file(folder / "x", [[5] * 100_000], np.int32)
    done = subprocess.run([sys.executable, "-c", code, str(folder / "x")], capture_output=True, check=False)
    return {"faulty": done.returncode != 0, "exit": done.returncode}


def megatron_wraps_ids(folder: Path) -> Answer:
    """A builder of uint16 takes 70,000 and stores 4,464."""
    from megatron.core.datasets.indexed_dataset import IndexedDataset

    _megatron_file(folder / "x", [[70_000]], np.uint16)
    data = IndexedDataset(str(folder / "x"))
    stored = int(np.array(data[0])[0])
    return {"faulty": stored != 70_000, "stored": stored}


def megatron_reads_damage(folder: Path) -> Answer:
    """A flipped bit in the data is read without a word."""
    from megatron.core.datasets.indexed_dataset import IndexedDataset

    _megatron_file(folder / "x", [[5] * 100], np.int32)
    _flip(folder / "x.bin", 201)
    data = IndexedDataset(str(folder / "x"))
    return {"faulty": True, "sum": int(np.array(data[0]).sum()), "expected": 500}


def _megatron_file(prefix: Path, documents: list[list[int]], kind: type) -> None:
    import torch
    from megatron.core.datasets.indexed_dataset import IndexedDatasetBuilder

    builder = IndexedDatasetBuilder(f"{prefix}.bin", dtype=kind)
    for ids in documents:
        builder.add_item(torch.tensor(ids, dtype=torch.int64))
        builder.end_document()
    builder.finalize(f"{prefix}.idx")


def mds_reads_damage(folder: Path) -> Answer:
    """A local shard with a flipped bit, validate_hash given: nothing is noticed."""
    from streaming import MDSWriter, StreamingDataset
    from streaming.base.util import clean_stale_shared_memory

    with MDSWriter(out=str(folder / "x"), columns={"tokens": "ndarray:uint32:64"}, hashes=["sha1"]) as out:
        for _ in range(8):
            out.write({"tokens": np.full(64, 5, np.uint32)})
    path = folder / "x/shard.00000.mds"
    _flip(path, path.stat().st_size - 5)
    clean_stale_shared_memory()
    try:
        data = StreamingDataset(local=str(folder / "x"), shuffle=False, batch_size=1, validate_hash="sha1")
        total = sum(int(data[i]["tokens"].astype(np.int64).sum()) for i in range(8))
    except ValueError as error:
        return {"faulty": False, "told": str(error)}
    return {"faulty": total != 8 * 64 * 5, "sum": total, "expected": 8 * 64 * 5}


def olmo_padding_is_documents(folder: Path) -> Answer:
    """Padding with the id of EOS: each padding token is a document of its own in doc_lens."""
    from olmo_core.data import NumpyFSLDataset

    (folder / "cache").mkdir()
    ids = np.array([[5, 6, 1] + [1] * 13], np.uint32)  # one document of three tokens, thirteen of padding
    ids.tofile(folder / "x.npy")
    data = NumpyFSLDataset(
        str(folder / "x.npy"), sequence_length=16, pad_token_id=1, eos_token_id=1, vocab_size=10, dtype=np.uint32,
        generate_doc_lengths=True,
    )  # fmt: skip
    data.work_dir = folder / "cache"
    data.prepare()
    lengths = data[0]["doc_lens"].tolist()
    return {"faulty": len(lengths) > 2, "doc_lens": lengths}


def litdata_drops_the_end_of_chunks(folder: Path) -> Answer:
    """Tokens after the last whole block of every chunk file are never served."""
    import torch
    from litdata.streaming import StreamingDataset, TokensLoader
    from litdata.streaming.cache import Cache

    cache = Cache(str(folder / "x"), chunk_size=41, item_loader=TokensLoader(block_size=15))
    count = 0
    for i in range(2):
        cache[i] = torch.arange(count, count + 41, dtype=torch.int32)
        count += 41
    cache.done()
    cache.merge()
    data = StreamingDataset(str(folder / "x"), item_loader=TokensLoader(block_size=15), shuffle=False, drop_last=False)
    served = {int(token) for i in range(len(data)) for token in data[i]}
    return {"faulty": len(served) < count // 15 * 15, "tokens": count, "served": len(served)}


def trl_truncates(folder: Path) -> Answer:
    """Default packing (bfd): what a document has beyond the row's length is gone without a word."""
    from datasets import Dataset
    from trl.data_utils import pack_dataset

    rows = pack_dataset(Dataset.from_dict({"input_ids": [list(range(10)), [1, 2]]}), seq_length=4)
    kept = sum(len(row) for row in rows["input_ids"])
    return {"faulty": kept < 12, "tokens": 12, "kept": kept}


def _flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 16
    path.write_bytes(content)


BUGS: dict[str, tuple[str, Callable[[Path], Answer]]] = {
    "datatrove_merger_halves": ("datatrove", datatrove_merger_halves),
    "datatrove_order_depends_on_tasks": ("datatrove", datatrove_order_depends_on_tasks),
    "megatron_array_outlives_its_file": ("megatron-core", megatron_array_outlives_its_file),
    "megatron_wraps_ids": ("megatron-core", megatron_wraps_ids),
    "megatron_reads_damage": ("megatron-core", megatron_reads_damage),
    "mds_reads_damage": ("mosaicml-streaming", mds_reads_damage),
    "olmo_padding_is_documents": ("ai2-olmo-core", olmo_padding_is_documents),
    "litdata_drops_the_end_of_chunks": ("litdata", litdata_drops_the_end_of_chunks),
    "trl_truncates": ("trl", trl_truncates),
}


def main() -> None:
    from importlib.metadata import version

    package, reproduce = BUGS[sys.argv[1]]
    print(json.dumps({"peer": f"{package} {version(package)}", **reproduce(Path(sys.argv[2]))}))


if __name__ == "__main__":
    main()
