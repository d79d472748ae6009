"""One reader of pack_loader.py, run by its own interpreter: `READER FOLDER LENGTH ROWS`, then passes on standard input.

Every line of input is `PASS TOKENS`; the answer is {"cpu": seconds, "tokens": served}.  The first line of output says
the versions and the passes; `check PASS` answers with digests of what the pass serves, to compare ids.
Row digests are summed, so that a reader which shuffles rows has the same as one that does not.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

EOS, PAD, VOCAB = 1, 0, 200_064
BATCH_TOKENS = 32_768
LEAST = "memcpy of a full batch's bytes"
WRITTEN = 25  # bytes of a full batch per token: tokens 8, labels 8, position_ids 4, segment_ids 4, loss_mask 1
Stream = Iterator[Any]  # int64 tokens of batches, in a tensor or an array
Passes = dict[str, Callable[[], Stream]]


def ours(folder: Path, length: int, rows: int) -> Passes:
    """Everything a batch has, from one queue and from eight interleaved; rows alone, in order and at random."""
    from packing.layout.files import map_rows
    from packing.loader import PackedDataset, TensorDataset, TensorLoader

    size = max(1, BATCH_TOKENS // length)
    flat = PackedDataset(folder / "one")
    shuffled = TensorDataset(folder / "one")

    def full(name: str) -> Stream:
        return (batch["tokens"] for batch in TensorLoader(folder / name, global_batch=size))

    def stacked() -> Stream:
        import torch

        for numbers in batches_of(random_rows(rows), size):
            yield torch.stack(shuffled.__getitems__(numbers))

    def least() -> Stream:
        """The bytes that a full batch reads and writes, copied by memcpy, into two buffers in turn: nothing is made.

        A trainer holds a batch while the next is made, so one buffer would flatter the caches.
        """
        data = map_rows(folder / "one", "s00000", length)
        tokens = size * length
        buffers = [np.empty(tokens * WRITTEN, np.uint8) for _ in range(2)]
        filler = np.ones(tokens * (WRITTEN - 4), np.uint8)
        for number, at in enumerate(range(0, len(data) - size + 1, size)):
            buffer = buffers[number % 2]
            buffer[: 4 * tokens] = data[at : at + size].reshape(-1).view(np.uint8)
            buffer[4 * tokens :] = filler
            yield buffer[: 8 * tokens].view(np.int64)

    return {
        "full": lambda: full("one"),
        "full, 8 queues": lambda: full("eight"),
        "rows": lambda: (flat.tokens(range(at, at + size)) for at in range(0, rows - size + 1, size)),
        "rows at random": lambda: (shuffled[numbers] for numbers in batches_of(random_rows(rows), size)),
        "rows at random, stacked": stacked,
        LEAST: least,
    }


def megatron(folder: Path, length: int, rows: int) -> Passes:
    """GPTDataset, with position ids that restart (and without the dense mask, which would take most of the time)."""
    import torch
    from megatron.core.datasets import gpt_dataset
    from megatron.core.datasets.utils import Split

    class Tokenizer:
        eod, pad, vocab_size, unique_identifiers = EOS, PAD, VOCAB, {"name": "ids"}
        unique_description = "ids"

    prefix = str(next((folder / "megatron").glob("*.bin")).with_suffix(""))

    def dataset(reset: bool) -> Any:
        config = gpt_dataset.GPTDatasetConfig(
            random_seed=1,
            sequence_length=length,
            blend=([prefix], None),
            split="1,0,0",
            path_to_cache=str(folder / "megatron-cache"),
            tokenizer=Tokenizer(),
            reset_position_ids=reset,
            reset_attention_mask=reset,
            eod_mask_loss=reset,
            create_attention_mask=False,
            add_extra_token_to_sequence=False,
        )
        low = gpt_dataset.GPTDataset.build_low_level_dataset(prefix, config)
        numbers = np.arange(len(low), dtype=np.int32)
        return gpt_dataset.GPTDataset(low, prefix, numbers, None, Split.train, config)

    made = {"reset positions": dataset(True), "plain": dataset(False)}

    def serve(one: Any) -> Stream:
        for numbers in batches_of(range(len(one)), max(1, BATCH_TOKENS // length)):
            yield torch.utils.data.default_collate([one[number] for number in numbers])["tokens"]

    return {name: (lambda one=one: serve(one)) for name, one in made.items()}


def olmo(folder: Path, length: int, rows: int) -> Passes:
    """OLMo-core's packed dataset (its own packing of the same documents) and its fixed lengths with doc_lens."""
    from olmo_core.data import LongDocStrategy, NumpyFSLDataset, NumpyPackedFSLDataset
    from olmo_core.data.collator import DataCollator

    paths = sorted(str(path) for path in (folder / "olmo").glob("*/s?????.npy"))
    options: dict[str, Any] = {
        "sequence_length": length,
        "pad_token_id": PAD,
        "eos_token_id": EOS,
        "vocab_size": VOCAB,
        "dtype": np.uint32,
        "generate_doc_lengths": True,
    }
    packed = NumpyPackedFSLDataset(*paths, long_doc_strategy=LongDocStrategy.fragment, **options)
    made = {"packed": packed, "fixed": NumpyFSLDataset(*paths, **options)}
    collate = DataCollator(pad_token_id=PAD)
    for name, one in made.items():
        one.work_dir = folder / f"olmo-{name}"
        one.work_dir.mkdir(exist_ok=True)
        one.prepare()

    def serve(one: Any) -> Stream:
        for numbers in batches_of(range(len(one)), max(1, BATCH_TOKENS // length)):
            yield collate([one[number] for number in numbers])["input_ids"]

    return {name: (lambda one=one: serve(one)) for name, one in made.items()}


def datatrove(folder: Path, length: int, rows: int) -> Passes:
    """DatatroveFolderDataset with positions in order (its best case) and without."""
    import torch
    from datatrove.utils.dataset import DatatroveFolderDataset

    place = str(next((folder / "datatrove").glob("*/*.ds")).parent)
    options = {"seq_len": length - 1, "token_size": 4, "filename_pattern": "*.ds", "recursive": False}

    def serve(positions: bool, numbers: Any) -> Stream:
        one = DatatroveFolderDataset(place, return_positions=positions, **options)
        for part in batches_of(numbers, max(1, BATCH_TOKENS // length)):
            yield torch.utils.data.default_collate([one[number] for number in part])["input_ids"]

    return {
        "positions": lambda: serve(True, range(rows)),
        "rows": lambda: serve(False, range(rows)),
        "rows at random": lambda: serve(False, random_rows(rows)),
    }


def mds(folder: Path, length: int, rows: int) -> Passes:
    """MosaicML streaming, local: items stacked as int64."""
    import torch
    from streaming import StreamingDataset
    from streaming.base.util import clean_stale_shared_memory

    clean_stale_shared_memory()
    size = max(1, BATCH_TOKENS // length)
    one = StreamingDataset(local=str(folder / "mds" / "stage0"), shuffle=False, batch_size=size)

    def stack(items: list[Any]) -> Any:
        return torch.from_numpy(np.stack([item["tokens"] for item in items]).astype(np.int64))

    def serve(numbers: Any) -> Stream:
        return (stack([one[number] for number in part]) for part in batches_of(numbers, size))

    return {"rows": lambda: serve(range(rows)), "rows at random": lambda: serve(random_rows(rows))}


def litdata(folder: Path, length: int, rows: int) -> Passes:
    """litdata's TokensLoader: items by number, or its iterator, stacked as int64."""
    import torch
    from litdata import StreamingDataset, TokensLoader

    size = max(1, BATCH_TOKENS // length)
    place = str(folder / "litdata" / "stage0")
    one = StreamingDataset(place, item_loader=TokensLoader(block_size=length), shuffle=False)

    def serve(numbers: Any) -> Stream:
        return (torch.stack([one[number] for number in part]).long() for part in batches_of(numbers, size))

    def iterate() -> Stream:
        stream = iter(StreamingDataset(place, item_loader=TokensLoader(block_size=length), shuffle=False))
        for _ in range(rows // size):
            yield torch.stack([next(stream) for _ in range(size)]).long()

    return {
        "rows": lambda: serve(range(rows)),
        "rows at random": lambda: serve(random_rows(rows)),
        "rows, iterator": iterate,
    }


READERS: dict[str, tuple[Callable[[Path, int, int], Passes], str]] = {
    "ours": (ours, "numpy"),
    "megatron": (megatron, "megatron-core"),
    "olmo": (olmo, "ai2-olmo-core"),
    "datatrove": (datatrove, "datatrove"),
    "mds": (mds, "mosaicml-streaming"),
    "litdata": (litdata, "litdata"),
}


def batches_of(numbers: Any, size: int) -> Iterator[list[int]]:
    """Batches, the last one smaller if need be."""
    for at in range(0, len(numbers), size):
        yield [int(number) for number in numbers[at : at + size]]


def random_rows(rows: int) -> Any:
    """The same order for all readers."""
    return np.random.default_rng(0).permutation(rows)


def digests(stream: Stream, length: int) -> dict[str, int]:
    """Of all rows: Σ over rows of a weighted sum of ids (mod 2⁶⁴), rows; Σ and number of ids that are no padding."""
    weights = np.random.default_rng(1).integers(1, 2**63, length, dtype=np.uint64)
    rows, total, count, ids = 0, 0, 0, 0
    for batch in stream:
        tokens = np.asarray(batch).reshape(-1, length)
        rows += len(tokens)
        total = (total + int((tokens.astype(np.uint64) @ weights).sum(dtype=np.uint64))) % 2**64
        count += int((tokens != PAD).sum())
        ids += int(tokens.sum())
    return {"rows": rows, "digest": total, "tokens": count, "ids": ids}


def main() -> None:
    name, folder, length, rows = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print goes to standard error
    import torch

    torch.set_num_threads(1)
    make, package = READERS[name]
    passes = make(folder, length, rows)
    versions = {package: version(package), "torch": torch.__version__, "numpy": np.__version__}
    print(json.dumps({"versions": versions, "passes": list(passes)}), file=answers, flush=True)
    for line in sys.stdin:
        command, _, rest = line.strip().partition("\t")
        if command == "check":
            answer: dict[str, Any] = digests(passes[rest](), length)
        else:
            limit, served, start = int(rest), 0, time.process_time()
            for batch in passes[command]():
                served += batch.size if isinstance(batch, np.ndarray) else batch.numel()
                if served >= limit:
                    break
            answer = {"cpu": time.process_time() - start, "tokens": served}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
