"""Could real documents feed the long-context stages of MiniMax-01's Table 6?  Epochs by length class.

    python benchmarks/mix_stages.py FOLDER [--tokenizer tokenizer.json] [--qa qa_dialogue] [--cap 4]

FOLDER holds JSONL files (.jsonl.zst) with `text`; a file is a source.  A document's length is its UTF-8 bytes / 4
(at least 1), or its tokens where a tokenizer is given; one more for its end either way.
"""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import zstandard
from results import write_result

from curation.pipeline.errors import UsageError
from mixing.schedule.demand import Law, law_of_lengths
from mixing.schedule.feasible import Feasibility, feasibility
from mixing.schedule.table6 import ROWS, long_context

BYTES_A_TOKEN = 4
PAPER = sum(row[3] for row in ROWS)  # tokens of the three stages


def main() -> None:
    """Reads all lengths, computes, writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tokenizer", type=Path)
    parser.add_argument("--qa", default="qa_dialogue", help="source of the tail")
    parser.add_argument("--cap", type=float, default=4.0)
    options = parser.parse_args()
    files = sorted(options.folder.glob("*.jsonl.zst"))
    encode = _encoder(options.tokenizer)
    lengths = {file.name.removesuffix(".jsonl.zst"): np.array(list(_lengths(file, encode)), np.int64) for file in files}
    law = law_of_lengths(tuple(lengths), list(lengths.values()))
    total = float(law.tokens.sum())
    results: dict[str, Any] = {
        "length": "tokens + 1" if options.tokenizer else f"UTF-8 bytes / {BYTES_A_TOKEN} + 1",
        "documents": {name: _law_of(one) for name, one in lengths.items()},
        "tokens": {kind: float(law.tokens[:, k].sum()) for k, kind in enumerate(("short", "medium", "long"))},
        "cap": options.cap,
    }
    for what, scale in (("paper", 1.0), ("as many tokens as there are", total / PAPER)):
        for tail in (None, options.qa):
            results[f"{what}, {'QA tail' if tail else 'no tail'}"] = _stages(law, scale, tail, options.cap)
    write_result("mix_stages", results)


def _encoder(path: Path | None) -> Any:
    if path is None:
        return None
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(path))


def _lengths(file: Path, encode: Any) -> Iterator[int]:
    with open(file, "rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as stream:
        for line in io.TextIOWrapper(stream, encoding="utf-8"):
            text = json.loads(line)["text"]
            if encode is None:
                yield max(len(text.encode()) // BYTES_A_TOKEN, 1) + 1
            else:
                yield len(encode.encode(text, add_special_tokens=False).ids) + 1


def _law_of(lengths: np.ndarray[Any, np.dtype[np.int64]]) -> dict[str, Any]:
    return {
        "documents": len(lengths), "tokens": int(lengths.sum()), "median": int(np.median(lengths)),
        "longest": int(lengths.max()), "of 32K and more": int((lengths >= 32 * 1024).sum()),
        "above 128K": int((lengths > 128 * 1024).sum()),
    }  # fmt: skip


def _stages(law: Law, scale: float, qa: str | None, cap: float) -> dict[str, Any]:
    stages = long_context(scale, qa=qa, follows=False)
    try:
        found = feasibility(stages, law, cap)
    except UsageError as error:
        return {"refused": str(error)}
    print(f"\nscale {scale:.6g}, tail {qa}")
    for line in found.statement():
        print(line)
    return {"scale": scale, "tail": qa, **_told(found)}


def _told(found: Feasibility) -> dict[str, Any]:
    return {
        "stages": {name: [need.to_json() for need in needs] for name, needs in found.stages.items()},
        "classes": [need.to_json() for need in found.classes],
        "worst": max(found.cells, key=lambda need: need.epochs).to_json(),
        "fitting_scale": found.scale,
        "statement": found.statement(),
    }


if __name__ == "__main__":
    main()
