"""What `curate proxy evaluate` does: read, check, score, print.

evaluate_command(Request(model=Path("runs/pico"), items=[Path("items.jsonl.zst")], tokenizer=Path("tokenizer")))
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import typer

from curation.commands.output import print_json, print_line, print_table
from curation.pipeline.errors import UsageError, explain_os_error
from curation.pipeline.registry import suggest
from curation.text.display import name
from proxy_model.evaluate.items import Item, ItemError, subset, with_clusters, with_examples
from proxy_model.evaluate.metrics import METRICS, Estimate, estimates, item_scores
from proxy_model.evaluate.reading import ItemFile, read_items
from proxy_model.evaluate.split import MODES, TOO_LONG, Mode, TooLong

DEFAULT_METRICS = ("acc", "acc_bytes", "norm_prob_byte", "bpb")
REFUSED_SHOWN = 5
NOT_TRAINING = (
    "± is one standard error over items (clusters of items kept together); it says nothing of training noise: "
    "another seed moves these numbers too, and only several runs show by how much."
)


@dataclass(frozen=True)
class Request:
    """The command's options; see `curate proxy evaluate --help`."""

    model: Path
    items: list[Path] = field(default_factory=list)
    tokenizer: Path | None = None
    hf: bool = False
    mode: str = "lcp"
    metrics: tuple[str, ...] = DEFAULT_METRICS
    limit: int | None = None
    seed: int = 0
    out: Path | None = None
    shots: int = 0
    pool: Path | None = None
    letters: bool = False
    max_length: int | None = None
    too_long: str = "error"
    bos: int | None = None
    clusters: dict[str, str] = field(default_factory=dict)
    haystack: Path | None = None
    lengths: tuple[int, ...] = ()
    device: str | None = None
    dtype: str | None = None
    budget: int | None = None
    strict: bool = False


def evaluate_command(request: Request, *, as_json: bool = False) -> None:
    """Prints a table of benchmarks; with `out`, writes the ScoreTable.  Exit code 1 with `strict` and refused lines."""
    from proxy_model.evaluate.models import open_model
    from proxy_model.evaluate.progress import Progress
    from proxy_model.evaluate.run import evaluate, remove_parts
    from proxy_model.evaluate.table import header_of, write_table

    _check(request)
    files, items = _items(request)
    opened = open_model(
        request.model, request.tokenizer, hf=request.hf, device=request.device, dtype=request.dtype,
        budget=request.budget, max_length=request.max_length,
    )  # fmt: skip
    refused = [one for file in files for one in file.refused]
    header = {
        "files": [
            {"name": f.name, "digest": f.digest, "items": len(f.items), "refused": len(f.refused)} for f in files
        ],
        "subset": {"limit": request.limit, "seed": request.seed} if request.limit else None,
        "examples": {"shots": request.shots, "seed": request.seed} if request.shots else None,
    }
    parts = request.out.with_name(f".{request.out.name}.parts") if request.out else None
    progress = Progress(quiet=as_json)
    try:
        table = evaluate(
            opened.scorer, opened.tokenizer, items, cast(Mode, request.mode), max_length=request.max_length,
            too_long=cast(TooLong, request.too_long), bos=request.bos, parts=parts, progress=progress, header=header,
        )  # fmt: skip
    finally:
        progress.close()
    if request.out and parts:
        write_table(table, request.out)
        remove_parts(parts)
    found = estimates(item_scores(table), request.metrics)
    if as_json:
        print_json(
            {
                "estimates": [asdict(one) for one in found],
                "header": header_of(table),
                "refused": [str(one) for one in refused],
                "note": NOT_TRAINING,
            }
        )
    else:
        _print(found, header_of(table), files, request)
    if request.strict and refused:
        raise typer.Exit(1)


def clusters_from(texts: Sequence[str]) -> dict[str, str]:
    """`["mmlu=group"]` → `{"mmlu": "group"}`; raises UsageError."""
    pairs = [text.partition("=") for text in texts]
    for benchmark, equals, field_name in pairs:
        if not (benchmark and equals and field_name):
            raise UsageError("clusters are written BENCHMARK=group", "for example --cluster mmlu=group")
    return {benchmark: field_name for benchmark, _, field_name in pairs}


def _check(request: Request) -> None:
    for metric in request.metrics:
        if metric not in METRICS:
            raise UsageError(f"no metric is called {metric!r}", suggest(metric, list(METRICS)))
    named: list[tuple[str, list[str], str]] = [
        (request.mode, [*MODES], "mode"),
        (request.too_long, [*TOO_LONG], "policy"),
    ]
    for value, known, what in named:
        if value not in known:
            raise UsageError(f"no {what} is called {value!r}", suggest(value, known))
    if not request.items and request.haystack is None:
        raise UsageError("nothing to evaluate", "name item files, or --haystack for retrieval tasks")
    if request.limit is not None and request.limit < 1:
        raise UsageError("--limit must be 1 or more")
    if request.shots and request.pool is None:
        raise UsageError("examples need a pool of solved items", "name it with --pool")
    if request.out is not None and request.out.is_dir():
        raise UsageError(f"--out {request.out} is a folder", "name a Parquet file")
    if request.out is not None and not request.out.absolute().parent.is_dir():
        raise UsageError(f"there is no folder {request.out.absolute().parent} for {request.out.name}")


def _items(request: Request) -> tuple[list[ItemFile], list[Item]]:
    files = read_items(request.items, letters=request.letters)
    items = [item for file in files for item in file.items]
    try:
        items = with_clusters(items, request.clusters)
        if request.shots and request.pool is not None:
            pool = [item for file in read_items([request.pool], letters=True) for item in file.items]
            items = with_examples(items, pool, request.shots, request.seed)
    except ItemError as error:
        raise UsageError(str(error)) from error
    if request.haystack is not None:
        from proxy_model.evaluate.retrieval import Grid, retrieval_items

        grid = Grid(lengths=request.lengths) if request.lengths else Grid()
        items += retrieval_items(_texts(request.haystack), grid, request.seed)
    return files, items if request.limit is None else subset(items, request.limit, request.seed)


def _texts(path: Path) -> Iterator[str]:
    """`text` fields of JSON lines (plain, gzip, zstd), or a plain text file."""
    from proxy_model.evaluate.reading import records_of

    if ".jsonl" in path.name:
        for record in records_of(path):
            text = record.get("text")
            if isinstance(text, str):
                yield text
        return
    opener: Any = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8", errors="replace") as file:
            text = file.read()
    except (OSError, EOFError) as error:
        said = explain_os_error(error) if isinstance(error, OSError) else str(error)
        raise UsageError(f"--haystack {path}: {said}", "name a text file, or JSON lines with `text`") from None
    yield text


def _print(found: list[Estimate], header: dict[str, Any], files: list[ItemFile], request: Request) -> None:
    rows = []
    for benchmark in dict.fromkeys(one.benchmark for one in found):
        own = {one.metric: one for one in found if one.benchmark == benchmark}
        items = max(one.items for one in own.values())
        rows.append([benchmark, items, *(_cell(own.get(metric)) for metric in request.metrics)])
    print_table(["benchmark", "items", *request.metrics], rows)
    print_line("value ± standard error (chance). " + NOT_TRAINING)
    counts = header["counts"]
    joint = {b: c for b, c in counts.items() if c["joint_not_separate"] or c["split_moved"]}
    for benchmark, count in joint.items():
        print_line(
            f"{name(benchmark)}: of {count['options']:,} options, {count['joint_not_separate']:,} get other ids when "
            f"encoded separately, {count['split_moved']:,} are split before the context's end"
        )
    if not joint:
        print_line("tokenisation: joint, separate and lm_eval splits agree on every option")
    dropped = {b: len(c["dropped"]) for b, c in counts.items() if c["dropped"]}
    for benchmark, number in dropped.items():
        print_line(f"{name(benchmark)}: {number:,} items dropped for their length; drop them for every model compared")
    for file in files:
        if file.unconditional:
            print_line(f"{name(file.name)}: {file.unconditional:,} requests without their question left out")
        if file.refused:
            print_line(f"{name(file.name)}: {len(file.refused):,} lines refused, the first:")
            for one in file.refused[:REFUSED_SHOWN]:
                print_line("  " + name(str(one), 300))
    if request.out:
        print_line(f"scores of every option: {request.out}")


def _cell(one: Estimate | None) -> str:
    if one is None:
        return "–"
    error = "" if one.standard_error != one.standard_error else f" ± {one.standard_error:.4f}"
    return f"{one.value:.4f}{error}" + ("" if one.chance != one.chance else f" ({one.chance:.4f})")
