"""`sample`: some sequences as text, fragment by fragment, the same ones for the same seed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation.pipeline.errors import UsageError
from curation.pipeline.hashing import Purpose, derive_seed
from packing.loader.dataset import PackedDataset
from packing.verify.documents import DOCS
from packing.verify.faults import open_manifest


def sample(
    directory: Path, tokenizer: Path, *, stage: int = 0, count: int = 3, seed: int = 0
) -> Iterator[dict[str, Any]]:
    """A dictionary for each fragment of `count` sequences of a stage: place, document, its text as it was packed.

    Texts are what the tokenizer decodes; a piece that begins inside a character shows U+FFFD.  Raises UsageError.
    """
    from tokenizers import Tokenizer

    from tokenizer.encoding.source import open_tokenizer

    manifest = open_manifest(directory)
    opened = open_tokenizer(tokenizer)
    if opened.hash != manifest.tokenizer:
        raise UsageError(
            f"{tokenizer} is tokenizer {opened.hash[:12]}, the rows were made with {manifest.tokenizer[:12]}",
            "give the run's own: runs/NAME/tokenizer",
        )
    if not 0 <= stage < len(manifest.stages):
        raise UsageError(f"{directory} has the stages 0 to {len(manifest.stages) - 1}, not {stage}")
    decoder = Tokenizer.from_str(opened.source.json.decode())
    dataset = PackedDataset(directory, stage)
    draw = np.random.default_rng(derive_seed(seed, Purpose.SUBSET, "show"))
    for number in sorted(draw.choice(len(dataset), min(count, len(dataset)), replace=False).tolist()):
        sequence = dataset[number]
        names = _names(directory, sequence.segments["doc_key"].tolist())
        end = 0
        for fragment, (length, owner) in enumerate(zip(sequence.lengths.tolist(), sequence.segments, strict=True)):
            ids = sequence.tokens[end : end + length].tolist()
            yield {
                "sequence": number,
                "fragment": fragment,
                "begin": end,
                "tokens": length,
                "id": names.get(int(owner["doc_key"])),
                "copy": int(owner["copy"]),
                "source": manifest.sources[int(owner["source"])],
                "text": decoder.decode([one for one in ids if one not in (manifest.eos_id, manifest.bos_id)]),
            }
            end += length


def _names(directory: Path, keys: list[int]) -> dict[int, str]:
    wanted = pc.field("doc_key").isin(pa.array(keys, pa.uint64()))
    table = pq.read_table(directory / DOCS, columns=["doc_key", "id"], filters=wanted)
    return dict(zip(table["doc_key"].to_pylist(), table["id"].to_pylist(), strict=True))
