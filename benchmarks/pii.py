"""PII masking: recall and precision per kind on labelled sentences, what it masks in clean text, and its speed.

    python benchmarks/pii.py --data DIR [--megabytes 12]

DIR holds pii/synthetic_pii_spans.jsonl.zst (records with `text` and `spans` of start, end, type in characters)
and text/*.jsonl.zst (records with a `text`; taken as clean, so every masked span is listed by count).
A label is found when one masked span of its kind covers it; a masked span is right when it touches a label
of its kind.  Recall is also taken on items that Faker (pip install faker) makes up in 14 locales.
Misses and wrong spans are printed in full.  Writes benchmarks/results/pii.json.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import zstandard

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.results import write_result
from curation.rules.pii import mask_personal_data
from curation.text.personal_data import KINDS, find

COUNTERPARTS = {
    "EMAIL_ADDRESS": "email",
    "IP_ADDRESS": "ip",
    "PHONE_NUMBER": "phone",
    "IBAN_CODE": "iban",
    "CREDIT_CARD": "card",
}

LOCALES = [
    "en_US", "en_GB", "de_DE", "fr_FR", "it_IT", "es_ES", "nl_NL", "pl_PL", "pt_BR", "sv_SE", "ja_JP", "ru_RU", "en_IN",
    "en_AU",
]  # fmt: skip
SENTENCES = {
    "phone": [("announced", "Please call {} after five."),
              ("announced", "Phone: {}"), ("announced", "You can reach us at {}."),
              ("bare", "He wrote {} on the board.")],
    "email": [("bare", "Write to {} today."), ("bare", "<{}>"), ("bare", "{}")],
    "ip": [("bare", "Request from {} failed."), ("bare", "host={};")],
    "card": [("announced", "The card number is {}, she said."), ("bare", "Paid with {} yesterday.")],
    "iban": [("bare", "Transfer to {}."), ("bare", "{}")],
}  # fmt: skip


def records(path: Path) -> Iterator[dict[str, Any]]:
    with open(path, "rb") as file:
        text = zstandard.ZstdDecompressor().stream_reader(file).read()
    yield from map(orjson.loads, text.splitlines())


def accuracy(path: Path) -> dict[str, Any]:
    labels, found, right, covered = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    others: Counter[str] = Counter()
    for row in records(path):
        text = row["text"]
        encoded = text.encode()
        spans = [
            (len(text[: s["start"]].encode()), len(text[: s["end"]].encode()), COUNTERPARTS.get(s["type"], s["type"]))
            for s in row["spans"]
        ]
        masked = find(encoded)
        for start, end, kind in spans:
            if kind not in KINDS:
                others[kind] += 1
                continue
            labels[kind] += 1
            if any(m.kind == kind and m.start <= start and end <= m.end for m in masked):
                covered[kind] += 1
            else:
                print(f"missed {kind}: {encoded[max(0, start - 40) : end + 10].decode(errors='replace')!r}")
        for m in masked:
            found[m.kind] += 1
            if any(kind == m.kind and start < m.end and m.start < end for start, end, kind in spans):
                right[m.kind] += 1
            else:
                print(f"wrong {m.kind}: {encoded[max(0, m.start - 40) : m.end + 10].decode(errors='replace')!r}")
    kinds = {
        kind: {
            "labels": labels[kind],
            "recall": round(covered[kind] / labels[kind], 4),
            "masked": found[kind],
            "precision": round(right[kind] / found[kind], 4),
        }
        for kind in KINDS
    }
    return {"kinds": kinds, "labels_without_counterpart": dict(others.most_common())}


def made_up(seed: int = 5, each: int = 60) -> dict[str, Any]:
    """Recall on Faker's items in sentences of our own, with and without an announcing word."""
    from faker import Faker

    Faker.seed(seed)
    choose = random.Random(seed)
    items, covered = Counter[str](), Counter[str]()
    for locale in LOCALES:
        fake = Faker(locale)
        for _ in range(each):
            makers = {
                "phone": fake.phone_number,
                "email": fake.ascii_email,
                "ip": choose.choice([fake.ipv4_public, fake.ipv4_public, fake.ipv6]),
                "card": fake.credit_card_number,
                "iban": fake.iban,
            }
            for kind, make in makers.items():
                case, sentence = choose.choice(SENTENCES[kind])
                item = make()
                encoded = sentence.format(item).encode()
                start = encoded.find(item.encode())
                whole = any(
                    # an opening parenthesis or `+` that stays tells nothing
                    m.kind == kind and m.start <= start + (item[0] in "(+") and start + len(item.encode()) <= m.end
                    for m in find(encoded)
                )
                items[f"{kind}, {case}"] += 1
                covered[f"{kind}, {case}"] += whole
                if not whole:
                    print(f"missed {kind}, {case}, {locale}: {encoded.decode()!r}")
    return {k: {"items": items[k], "recall": round(covered[k] / items[k], 4)} for k in sorted(items)}


def clean_text(path: Path, megabytes: float) -> dict[str, Any]:
    """What is masked in whole documents, about `megabytes` of them, and how fast."""
    texts, left = [], megabytes * 1e6
    for record in records(path):
        if left <= 0:
            break
        texts.append(record["text"])
        left -= len(record["text"].encode())
    array = pa.array(texts, pa.large_string())
    started = time.process_time()
    result = mask_personal_data(array, {kind: f"<{kind}>" for kind in KINDS})
    seconds = time.process_time() - started
    size = sum(len(text.encode()) for text in texts) / 1e6
    rules = [edit["rule"].removeprefix("pii.") for row in result.edits.to_pylist() for edit in row or []]
    return {
        "documents": len(texts),
        "megabytes": round(size, 2),
        "mb_per_s": round(size / seconds, 1),
        "masked": dict(Counter(rules)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--megabytes", type=float, default=12, help="of each file of clean text")
    options = parser.parse_args()
    results: dict[str, Any] = {
        "labelled": accuracy(options.data / "pii/synthetic_pii_spans.jsonl.zst"),
        "made_up": made_up(),
        "clean": {},
    }
    print(results["labelled"], results["made_up"], sep="\n")
    for path in sorted((options.data / "text").glob("*.jsonl.zst")):
        name = path.name.removesuffix(".jsonl.zst")
        results["clean"][name] = clean_text(path, options.megabytes)
        print(f"{name}: {results['clean'][name]}", flush=True)
    write_result("pii", results, {"Faker": version("faker")})


if __name__ == "__main__":
    main()
