"""Extraction quality per page type, and its cost, on pages with known main text.

    python benchmarks/extraction.py --data DIR

DIR holds `web/pages-*.warc.gz` and `web/extraction_ground_truth.jsonl.zst`.  Quality is the mean over
pages of word precision, recall and F1 (multisets of `\\w+`, lower case); for snippets, the share of
wanted ones found and of unwanted ones absent.  Cost is CPU time of the extractor alone, on decoded pages.
Writes benchmarks/results/extraction.json.
"""

from __future__ import annotations

import argparse
import re
import resource
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import fmean
from typing import Any

import orjson
import trafilatura
import zstandard
from fastwarc.warc import ArchiveIterator, WarcRecordType
from results import write_result

from curation.sources import resiliparse_extractor
from curation.sources.charset import decode
from curation.sources.html_limits import HtmlLimits, refuse
from curation.sources.html_shape import measure
from curation.sources.pages import Refusal
from curation.sources.trafilatura_guard import TrafilaturaGuard
from curation.sources.union import complement, longer

Texts = dict[str, str]
WORD = re.compile(r"\w+")


def jsonl(path: Path) -> list[dict[str, Any]]:
    """The rows of a compressed JSON lines file."""
    with path.open("rb") as stored:
        data = zstandard.ZstdDecompressor().stream_reader(stored).read()
    return [orjson.loads(line) for line in data.splitlines()]


def decoded_pages(folder: Path) -> Texts:
    """Page id → decoded HTML, of all pages."""
    pages: Texts = {}
    for path in sorted(folder.glob("pages-*.warc.gz")):
        with path.open("rb") as stored:
            for record in ArchiveIterator(stored, record_types=WarcRecordType.response):
                html, _ = decode(record.reader.read(), record.http_charset)
                pages[record.headers["X-Page-Id"]] = html
    return pages


def word_scores(text: str, truth: str) -> tuple[float, float, float]:
    """(precision, recall, F1) of the words of a text."""
    found, wanted = Counter(WORD.findall(text.lower())), Counter(WORD.findall(truth.lower()))
    common = (found & wanted).total()
    precision, recall = common / max(1, found.total()), common / max(1, wanted.total())
    return precision, recall, 2 * precision * recall / (precision + recall) if common else 0.0


def snippet_scores(texts: Texts, truth: Iterable[dict[str, Any]]) -> dict[str, float]:
    """Share of the wanted snippets that are found, and of the unwanted ones that are not."""
    found: dict[str, list[bool]] = {"must_contain": [], "must_not_contain": []}
    for row in truth:
        text = " ".join(texts[row["id"]].split()).lower()
        for kind, results in found.items():
            for snippet in row[kind] or []:
                present = " ".join(snippet.split()).lower() in text
                results.append(present == (kind == "must_contain"))
    return {kind: round(fmean(results), 3) for kind, results in found.items()}


def quality(texts: Texts, truth: list[dict[str, Any]]) -> dict[str, Any]:
    """Scores by page type, over all pages, and on snippets."""
    scores = defaultdict(list)
    for row in truth:
        if row["kind"] == "full":
            result = word_scores(texts[row["id"]], row["text"])
            scores[row["page_type"] or "article (other sources)"].append(result)
            scores["all"].append(result)
    table = {}
    for kind, rows in sorted(scores.items()):
        precision, recall, f1 = (round(fmean(column), 3) for column in zip(*rows, strict=True))
        table[kind] = {"pages": len(rows), "P": precision, "R": recall, "F1": f1}
    return {"words": table, "snippets": snippet_scores(texts, (row for row in truth if row["kind"] == "snippets"))}


def timed(extract: Callable[[str], str], pages: Texts) -> tuple[Texts, float]:
    """Every page's text, and the CPU seconds spent here and in ended child processes."""
    begin = cpu_seconds()
    texts = {name: extract(html) for name, html in pages.items()}
    return texts, cpu_seconds() - begin


def cpu_seconds() -> float:
    """CPU seconds of this process and of its children that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def text_of(result: str | Refusal) -> str:
    """The text; a page that is refused has none."""
    return "" if isinstance(result, Refusal) else result


def datatrove_setting(html: str) -> str:
    """trafilatura as datatrove's extractor calls it: precision first, no comments, deduplicated."""
    return trafilatura.extract(html, favor_precision=True, include_comments=False, deduplicate=True) or ""


def guarded(pages: Texts) -> tuple[Texts, float]:
    """trafilatura behind its guard; the child's time counts once it has ended."""
    begin = cpu_seconds()
    with TrafilaturaGuard(focus="balanced", timeout_seconds=60, memory_bytes=2**31) as guard:
        texts = {name: text_of(guard.extract(html)) for name, html in pages.items()}
    return texts, cpu_seconds() - begin


def merged(policy: Callable[[str, str], tuple[str, str]], first: Texts, second: Texts) -> Texts:
    """A union policy applied to two extractors' texts."""
    return {name: policy(first[name], second[name])[0] for name in first}


def limits_of(pages: Texts) -> dict[str, Any]:
    """What the limits refuse, the largest real page, and the speed of measuring."""
    begin = time.process_time()
    refused = [name for name, html in pages.items() if refuse(html, HtmlLimits())]
    seconds = time.process_time() - begin
    shapes = [measure(html, nodes=10**9, depth=5_000, work=10**12) for html in pages.values()]
    return {
        "pages": len(pages),
        "refused": len(refused),
        "largest": {name: max(getattr(shape, name) for shape in shapes) for name in ("nodes", "depth", "work")},
        "MB_per_s": round(megabytes(pages) / seconds, 1),
    }


def megabytes(pages: Texts) -> float:
    """UTF-8 megabytes of HTML."""
    return sum(len(html.encode()) for html in pages.values()) / 1e6


def main() -> None:
    """Measure every extractor and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    options = parser.parse_args()
    everything = decoded_pages(options.data / "web")
    truth = jsonl(options.data / "web" / "extraction_ground_truth.jsonl.zst")
    pages = {row["id"]: everything[row["id"]] for row in truth}
    resiliparse, resiliparse_seconds = timed(lambda html: text_of(resiliparse_extractor.extract(html)), pages)
    trafilatura_texts, trafilatura_seconds = guarded(pages)
    peer, peer_seconds = timed(datatrove_setting, pages)
    again, again_seconds = timed(lambda html: text_of(resiliparse_extractor.extract(html)), pages)
    assert again == resiliparse, "resiliparse gave another text for the same page"
    size = megabytes(pages)
    runs = {
        "resiliparse": (resiliparse, (resiliparse_seconds + again_seconds) / 2),
        "trafilatura": (trafilatura_texts, trafilatura_seconds),
        "union: complement": (merged(complement, resiliparse, trafilatura_texts), None),
        "union: longer": (merged(longer, resiliparse, trafilatura_texts), None),
        "trafilatura as datatrove sets it": (peer, peer_seconds),
    }
    results: dict[str, Any] = {"html_MB": round(size, 1), "limits": limits_of(everything)}
    for name, (texts, seconds) in runs.items():
        results[name] = quality(texts, truth)
        if seconds is not None:  # a union costs the sum of its extractors
            results[name] |= {"cpu_ms_per_MB": round(1000 * seconds / size, 1), "MB_per_s": round(size / seconds, 2)}
    write_result("extraction", results)
    print_table(results, list(runs))


def print_table(results: dict[str, Any], runs: list[str]) -> None:
    """Markdown tables for docs/extraction.md."""
    types = results[runs[0]]["words"]
    heads = [f"{kind} ({row['pages']})" for kind, row in types.items()]
    print("| F1 | " + " | ".join([*heads, "P", "R", "found", "absent", "CPU ms/MB"]) + " |")
    for run in runs:
        words, snippets = results[run]["words"], results[run]["snippets"]
        figures = [*(words[kind]["F1"] for kind in types), words["all"]["P"], words["all"]["R"], *snippets.values()]
        cost = str(results[run].get("cpu_ms_per_MB", "sum"))
        print(f"| {run} | " + " | ".join([*(f"{figure:.3f}" for figure in figures), cost]) + " |")


if __name__ == "__main__":
    main()
