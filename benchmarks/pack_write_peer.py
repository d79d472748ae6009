"""datatrove's side of pack_write.py, in its own environment: ParquetReader → DocumentTokenizer.

Prints {"versions": …}, then for each line (an output folder) on standard input {"cpu_s": …, "wall_s": …}.
"""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version

from datatrove.pipeline.readers import ParquetReader
from datatrove.pipeline.tokens import DocumentTokenizer


def tokenize(data: str, tokenizer: str, out: str) -> None:
    step = DocumentTokenizer(
        output_folder=out, tokenizer_name_or_path=tokenizer, eos_token="<|endoftext|>", shuffle_documents=True, seed=1
    )
    reader = ParquetReader(data, text_key="text", id_key="id", glob_pattern="*.parquet")
    for _ in step.run(reader.run(None, 0, 1), 0, 1) or ():
        pass


def main() -> None:
    data, tokenizer, warm = sys.argv[1:4]
    tokenize(warm, tokenizer, f"{warm}/.out")  # imports, caches
    print(json.dumps({"datatrove": version("datatrove"), "tokenizers": version("tokenizers")}), flush=True)
    for line in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        tokenize(data, tokenizer, line.strip())
        seconds = {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}
        print(json.dumps(seconds), flush=True)


if __name__ == "__main__":
    main()
