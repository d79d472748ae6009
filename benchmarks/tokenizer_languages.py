"""Automatic language weights against temperature 1.0, 0.5 and 0.3, per language, on pages seen by neither.

    python benchmarks/tokenizer_languages.py --data DIR [--seed N …]

DIR holds text/*.jsonl.zst.  Within each language of each file, pages in hash order fill a test side, then a
development side, with 8 % of its bytes each, and the rest is trained on; the search never sees the test side, of
which every figure is.  regret = test tokens / test tokens with a 40,000 vocabulary trained on the language alone.
Split 5 was looked at while the search was made; others (--seed 21 --seed 22) stand beside it in brief.
The row "shown the test side" is a bound: the same search when its development side is the test side itself.
Languages with less than 20 KB of test text are trained on but not reported.  The vocabulary (200,000) is large for
this little text, so the figures compare the rows; they are not those of a web-sized corpus.
Writes benchmarks/results/tokenizer_languages.json.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import zstandard
from results import write_result

from curation.pipeline.hashing import Purpose, derive_seed, hash64
from tokenizer.counting.count import count_words
from tokenizer.splitting.patterns import pattern_of
from tokenizer.training.language_search import Round, SearchOptions, search_weights
from tokenizer.training.languages import LanguageTable, language_table, shares_of, temperature, weights_for
from tokenizer.training.train import train

LEAST_BYTES = 20_000  # of test text, for a figure of its own
SEED, DEV_SHARE, TEST_SHARE = 5, 0.08, 0.08
TRAIN, DEV, TEST = "train", "dev", "test"


def documents(folder: Path) -> Iterator[tuple[str, str, str, str]]:
    """(text, language, page, file): code counts as one language per programming language."""
    for path in sorted((folder / "text").glob("*.jsonl.zst")):
        with open(path, "rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as stream:
            for line in stream.read().splitlines():
                record = orjson.loads(line)
                language = f"code-{record['code_lang']}" if record.get("code_lang") else record["lang"]
                # a record that is a part of a book or an article goes where its other parts go
                page = record.get("title") or record.get("article") or record.get("path") or record["id"]
                yield record["text"], language, f"{record['source']}:{page}", path.name


def split_tables(folder: Path, seed: int) -> dict[str, LanguageTable]:
    pages: dict[tuple[str, str], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for text, language, page, file in documents(folder):
        pages[language, file][page].append(text)
    rows: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for (language, _), of_language in pages.items():
        sizes = {page: sum(len(text.encode()) for text in texts) for page, texts in of_language.items()}
        want = {TEST: TEST_SHARE * sum(sizes.values()), DEV: DEV_SHARE * sum(sizes.values())}
        salt = derive_seed(seed, Purpose.SPLIT)
        for page in sorted(sizes, key=lambda page: hash64(page, salt)):
            side = next((side for side, size in want.items() if size > 0), TRAIN)
            rows[side] += [(text, language) for text in of_language[page]]
            if side in want:
                want[side] -= sizes[page]
    tables = {}
    for side, found in rows.items():
        batch = pa.record_batch(
            [
                pa.array([text for text, _ in found], pa.large_string()),
                pa.array([language for _, language in found]),
                pa.array([""] * len(found)),
            ],
            ["text", "language", "domain"],
        )
        # development and test text is measured as it is, so nothing is clipped there
        clip = 10 if side == TRAIN else None
        tables[side] = language_table(count_words([batch], pattern_of("o200k"), clip=clip))
    return tables


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--vocab-size", type=int, default=200_000)
    parser.add_argument("--seed", type=int, action="append", default=[], help="of a further split")
    arguments = parser.parse_args()
    options = SearchOptions(vocab_size=arguments.vocab_size)
    result = measured(split_tables(arguments.data, SEED), options)
    result["fresh_splits"] = {}
    for seed in arguments.seed:
        fresh = measured(split_tables(arguments.data, seed), options)
        result["fresh_splits"][str(seed)] = {"stopped": fresh["search"]["stopped"], **brief(fresh["rows"])}
    print(json.dumps({"rows": brief(result["rows"]), "fresh_splits": result["fresh_splits"]}, indent=1))
    write_result("tokenizer_languages", result)


def brief(rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {name: {key: one for key, one in row.items() if not isinstance(one, dict)} for name, row in rows.items()}


def measured(tables: dict[str, LanguageTable], options: SearchOptions) -> dict[str, Any]:
    """Every row of figures on one split."""
    text, dev, test = tables[TRAIN], tables[DEV], tables[TEST]
    amounts, test_bytes = text.bytes, test.bytes
    natural = shares_of(amounts)
    reported = sorted(name for name, size in test_bytes.items() if size >= LEAST_BYTES and amounts.get(name))

    began = time.process_time()
    search = search_weights(text, dev, options, on_round=show)
    seconds = time.process_time() - began

    alone = {
        name: test.tokens_of(name, train(text.counts_of(name), options.reference_size).merges) for name in reported
    }
    rows: dict[str, Any] = {}
    candidates = {f"alpha {alpha}": temperature(natural, alpha) for alpha in (1.0, 0.5, 0.3)}
    candidates |= {"automatic": search.shares, "shown the test side": search_weights(text, test, options).shares}
    for name, shares in candidates.items():
        tokens = test.tokens(train(text.weighted(weights_for(shares, amounts)), options.vocab_size).merges)
        regret = {one: tokens[one] / alone[one] for one in reported}
        worst = max(regret, key=lambda one: regret[one])
        rows[name] = {
            "worst_regret": round(regret[worst], 4),
            "worst_language": worst,
            "mean_regret": round(sum(regret.values()) / len(regret), 4),
            "mean_bytes_per_token": round(sum(test_bytes[one] / tokens[one] for one in reported) / len(reported), 4),
            "mix_tokens_per_byte": sum(natural[one] * tokens[one] / test_bytes[one] for one in reported),
            "english_tokens": tokens["en"],
            "regret": {one: round(value, 4) for one, value in regret.items()},
            "bytes_per_token": {one: round(test_bytes[one] / tokens[one], 3) for one in reported},
            "share": {one: round(shares[one], 5) for one in reported},
        }
    start = rows["alpha 0.5"]
    for row in rows.values():
        row["english_loss_against_0.5"] = round(row["english_tokens"] / start["english_tokens"] - 1, 5)
        row["mix_loss_against_0.5"] = round(row["mix_tokens_per_byte"] / start["mix_tokens_per_byte"] - 1, 5)
    return {
        "vocab_size": options.vocab_size,
        "test_bytes": {name: test_bytes[name] for name in reported},
        "rows": rows,
        "search": {
            "cpu_s": round(seconds, 1),
            "stopped": search.stopped,
            "best_round": search.best,
            "not_driven": search.not_driven,
            "rounds": [summary(one) for one in search.rounds],
        },
    }


def summary(one: Round) -> dict[str, Any]:
    return {
        "worst_regret": round(one.worst, 4),
        "mix_loss": round(one.mix_loss, 5),
        "largest_loss": round(one.largest_loss, 5),
        "accepted": one.accepted,
        "raised": one.raised,
        "frozen": one.frozen,
        "regret": {name: round(value, 4) for name, value in sorted(one.regret.items())},
    }


def show(number: int, one: Round) -> None:
    worst = max(one.regret, key=lambda name: one.regret[name])
    losses = f"mix {one.mix_loss:+.3%}, largest {one.largest_loss:+.3%}"
    print(
        f"round {number}: worst {one.worst:.4f} ({worst}), {losses}, raised {one.raised}, frozen {one.frozen}",
        flush=True,
    )


if __name__ == "__main__":
    main()
