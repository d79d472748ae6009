"""The 200K vocabulary of the data pack beside public ones, on documents held out by page: bytes a token.

    python benchmarks/tokenizer_vocabularies.py --data DIR --out FOLDER     (extra `yardsticks`)

Counts 88 % of the documents in DIR/text, weighs languages on 6 %, evaluates on 6 %; `FOLDER/tokenizer` has the page.
`seen` is trained on every document, those held out included: what no way to weigh or to sample could pass.
The data pack has some 60 million tokens: a vocabulary of 200,000 is over-fitted to it.
"""

from __future__ import annotations

import argparse
import math
from importlib.metadata import version
from pathlib import Path
from typing import Any

from results import write_result

from tokenizer.config import TrainConfig
from tokenizer.counting.files import CountOptions, count_files
from tokenizer.evaluation.files import evaluate_directory
from tokenizer.formats.export import export
from tokenizer.training.build import build

SHARE = 0.06
FEWEST = 10  # documents of a language that is counted in the mean


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with text/")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    files = sorted((arguments.data / "text").glob("*.jsonl.zst"))
    counts = arguments.out / "counts"
    count_files(files, counts, CountOptions(holdout=SHARE, dev=SHARE))
    everything = arguments.out / "everything"
    count_files(files, everything, CountOptions(holdout=0, dev=0))
    made: dict[str, Any] = {}
    for name, languages, source in (
        ("tokenizer", "auto", counts),
        ("as_they_occur", "text", counts),
        ("seen", "text", everything),
    ):
        config = TrainConfig(vocab_size=200_000, languages=languages)  # type: ignore[arg-type]
        built = build(source / "train.parquet", counts / "dev.parquet", config, provenance={})
        export(built.vocabulary, arguments.out / name)
        made[name] = {"vocab_size": built.vocabulary.vocab_size, "hash": built.vocabulary.hash}
    evaluation = evaluate_directory(
        arguments.out / "tokenizer",
        files,
        compare_with=[arguments.out / name for name in ("as_they_occur", "seen")],
        holdout=SHARE,
    )
    whole = evaluation.group()
    languages = [g for g in evaluation.groups if g.domain is None and g.language and g.units >= FEWEST]
    others = [name for name in evaluation.subjects if name != "tokenizer"]
    result = {
        "vocabularies": made,
        "held_out": {"documents": whole.documents, "bytes": whole.bytes, "languages_in_mean": len(languages)},
        "bytes_per_token": {name: _value(whole.scores[name].bytes_per_token) for name in evaluation.subjects},
        "english": {name: _value(evaluation.group("en").scores[name].bytes_per_token) for name in evaluation.subjects},
        "times": {
            other: {
                "overall": round(1 / _value(whole.scores["tokenizer"].normalized_length[other]), 4),
                "mean_over_languages": round(
                    math.exp(
                        -math.fsum(math.log(_value(g.scores["tokenizer"].normalized_length[other])) for g in languages)
                        / len(languages)
                    ),
                    4,
                ),
            }
            for other in others
        },
        "seen_against_o200k": round(
            _value(whole.scores["seen"].bytes_per_token) / _value(whole.scores["o200k"].bytes_per_token), 4
        ),
        "against_o200k_by_file": {
            str(g.domain): round(1 / _value(g.scores["tokenizer"].normalized_length["o200k"]), 3)
            for g in evaluation.groups
            if g.language is None and g.domain is not None
        },
        "by_language": {
            str(g.language): {name: _value(g.scores[name].bytes_per_token) for name in evaluation.subjects}
            for g in languages
        },
    }
    print(result["bytes_per_token"], result["times"])
    write_result("tokenizer_vocabularies", result, {name: version(name) for name in ("rs-bpe", "mistral-common")})


def _value(estimate: Any) -> float:
    return round(float(estimate.value), 4)


if __name__ == "__main__":
    main()
