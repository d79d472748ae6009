"""`curate tokenizer evaluate` and `compare`: tokenizer directories and files of documents in, JSON and a page out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from curation.pipeline.shards import write_atomic
from tokenizer.counting.splits import HOLDOUT, only
from tokenizer.documents import check_files, read_documents
from tokenizer.encoding.encode import open_encoder
from tokenizer.encoding.source import tokenizer_file
from tokenizer.evaluation.evaluate import evaluate
from tokenizer.evaluation.model import Evaluation, headline
from tokenizer.evaluation.parity import common_pages
from tokenizer.evaluation.report import page
from tokenizer.evaluation.subjects import Subject, subject_of_tokenizers, subject_of_vocabulary
from tokenizer.evaluation.yardsticks import installed
from tokenizer.formats.export import load_vocabulary
from tokenizer.formats.manifest import add_metrics, is_tokenizer_directory
from tokenizer.formats.tokenizer_json import TOKENIZER_JSON, read_tokenizer_json
from tokenizer.notes import Note, noted, silent
from tokenizer.words import WordCounts

EVALUATION_JSON, EVALUATION_HTML = "evaluation.json", "evaluation.html"


def open_subject(path: Path, note: Note = silent) -> Subject:
    """A tokenizer directory of ours (checked against its manifest, fastest exact engine), or any tokenizer.json.

    Its name is that of the directory, or of a file called otherwise.  Raises UsageError for what is neither.
    """
    file = tokenizer_file(path)
    name = file.resolve().parent.name if file.name == TOKENIZER_JSON else file.stem
    raw = read_tokenizer_json(file)
    if is_tokenizer_directory(file.parent):
        return subject_of_vocabulary(name, load_vocabulary(file.parent), open_encoder(file.parent, note=note))
    from tokenizers import Tokenizer

    return subject_of_tokenizers(name, Tokenizer.from_buffer(orjson.dumps(raw)))


def evaluate_directory(
    directory: Path | str,
    paths: Sequence[Path | str],
    out: Path | str | None = None,
    *,
    compare_with: Sequence[Path | str] = (),
    yardsticks: Sequence[str] | None = None,
    counts: WordCounts | None = None,
    parallel: Sequence[Path | str] = (),
    parallel_languages: Sequence[str] = (),
    page_fields: Sequence[str] = ("page",),
    holdout: float | None = None,
    seed: int = 0,
    note: Note = silent,
    **options: Any,
) -> Evaluation:
    """Evaluate a tokenizer directory on files of documents; writes evaluation.json and evaluation.html to `out`.

    out: the tokenizer's directory by default, whose manifest then gets the headline figures.
    compare_with: other tokenizer directories or tokenizer.json files; yardsticks: names, all installed by default.
    holdout: evaluate only the documents that `splits.split_of` holds out with this share and seed.
    parallel: files of translations with a page each: adds parity.  The languages must have the same pages, or
    parallel_languages names some, and the pages that all of them have are taken.
    page_fields: the fields that together name a page.  note: told what is being done.
    """
    check_files([Path(one) for one in paths])
    if yardsticks != []:
        note("loading public vocabularies")
    public = installed(yardsticks)
    subjects = [open_subject(Path(one), note) for one in (directory, *compare_with)]

    def documents() -> Iterator[pa.RecordBatch]:
        batches = read_documents(paths, page_fields)
        return noted(batches if holdout is None else only(batches, HOLDOUT, seed, holdout=holdout), note)

    pages: Iterable[pa.RecordBatch] | None = read_documents(parallel, page_fields) if parallel else None
    if pages is not None and parallel_languages:
        pages = common_pages(pages, parallel_languages)
    note(f"measuring with {', '.join(one.name for one in (*subjects, *public))}")
    made = evaluate(
        subjects[0], documents(), yardsticks=[*subjects[1:], *public], counts=counts, seed=seed,
        parallel=pages, **options,
    )  # fmt: skip
    target = Path(directory if out is None else out)
    write(made, target)
    if is_tokenizer_directory(target):
        add_metrics(target, headline(made))
    return made


def write(made: Evaluation, target: Path) -> None:
    """evaluation.json and evaluation.html in a directory, each whole or not at all."""
    target.mkdir(parents=True, exist_ok=True)
    write_atomic(target / EVALUATION_JSON, made.json())
    write_atomic(target / EVALUATION_HTML, page(made).encode())
