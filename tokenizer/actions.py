"""What the commands of `curate tokenizer` do; `train_action` trains."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from curation.commands.output import print_json, print_line, print_table
from curation.pipeline.errors import UsageError
from curation.pipeline.progress import open_progress
from tokenizer.counting.splits import DEV, TRAIN
from tokenizer.notes import explained, note_to, silent

SHOWN = 8


def count_documents(
    paths: Sequence[Path], out: Path, *, workers: int | None, page: Sequence[str] | None, quiet: bool, as_json: bool,
    **options: Any,
) -> None:  # fmt: skip
    """Count into the folder `out` and say how much."""
    from tokenizer.counting.files import CountOptions, count_files

    chosen = CountOptions(**options, page=tuple(page or ("page",)))
    if chosen.holdout + chosen.dev >= 1:
        raise UsageError("holdout and dev leave nothing to train on", "give shares that add up to less than 1")
    done = 0
    with open_progress(len(paths), sum(path.stat().st_size for path in paths if path.is_file()), quiet=quiet) as bar:

        def on_done(path: Path, size: int) -> None:
            nonlocal done
            done += size
            bar.task_done(path.name)
            bar.bytes_done(done)

        with explained(silent if quiet else bar.note):
            account = count_files(paths, out, chosen, workers=workers, on_done=on_done)
    if as_json:
        print_json(account)
        return
    print_table(
        ["side", "documents", "MB"], [[s, account[s]["documents"], account[s]["bytes"] / 1e6] for s in (TRAIN, DEV)]
    )
    print_line(f"\ntrain with:  curate tokenizer train {out} --out TOKENIZER --vocab-size 200000")


def evaluate_tokenizer(
    tokenizer: Path, documents: Sequence[Path], *, out: Path | None, others: Sequence[Path],
    yardsticks: Sequence[str] | None, counts: Path | None, parallel: Sequence[Path],
    parallel_languages: Sequence[str], page: Sequence[str] | None, holdout: float | None, seed: int, quiet: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Evaluate, write the page, print the table of languages."""
    from tokenizer.evaluation.files import evaluate_directory

    if out is None and not tokenizer.is_dir():
        if not tokenizer.exists():
            raise UsageError(f"{tokenizer}: there is no such tokenizer", "give a tokenizer directory or tokenizer.json")
        raise UsageError(f"{tokenizer} is no tokenizer directory", "say where the page goes with --out")
    note, fields = note_to(quiet), tuple(page or ("page",))
    if holdout is not None:
        _check_split(tokenizer, {"holdout": holdout, "seed": seed, "page": list(fields)})
    with explained(note):
        made = evaluate_directory(
            tokenizer, documents, out, compare_with=others, yardsticks=yardsticks, counts=_word_counts(counts),
            parallel=parallel, parallel_languages=parallel_languages, page_fields=fields, holdout=holdout,
            seed=seed, note=note,
        )  # fmt: skip
    if holdout is None:
        note("every document was measured: if it was trained on some of them, give --holdout as for `count`")
    if as_json:
        print_json(orjson.loads(made.json()))
        return
    rows = []
    for group in made.groups:
        if group.domain is None:
            row: list[Any] = [group.language or "all", group.documents, group.bytes / 1e6]
            for name in made.subjects:
                value = group.scores[name].bytes_per_token
                row.append(value.value if value else None)
            rows.append(row)
    print_table(["language", "documents", "MB", *(f"bytes/token {name}" for name in made.subjects)], rows)
    print_line(f"\n{(out or tokenizer) / 'evaluation.html'}")


def _check_split(tokenizer: Path, asked: dict[str, Any]) -> None:
    """UsageError where a tokenizer's training held out other documents than are asked for."""
    from tokenizer.formats.manifest import is_tokenizer_directory, read_manifest

    if not is_tokenizer_directory(tokenizer):
        return
    made = read_manifest(tokenizer).get("provenance", {}).get("counts", {}).get("options", {})
    wrong = [name for name, value in asked.items() if name in made and made[name] != value]
    if wrong:
        told = ", ".join(f"{name} {made[name]!r}, not {asked[name]!r}" for name in wrong)
        options = " ".join(
            [f"--holdout {made['holdout']} --seed {made['seed']}", *(f"--page {one}" for one in made["page"])]
        )
        raise UsageError(
            f"the training of {tokenizer} held out other documents ({told}): some of these were trained on",
            f"evaluate with {options}; or leave --holdout out for documents it never saw",
        )


def export_tokenizer(
    tokenizer: Path, out: Path, *, vocab_size: int | None, model_max_length: int | None, as_json: bool
) -> None:
    """Write a vocabulary anew, cut to a smaller size if asked."""
    from tokenizer.formats.export import NO_LIMIT, export, load_vocabulary

    vocabulary = load_vocabulary(tokenizer)
    if vocab_size is not None:
        vocabulary = vocabulary.truncated(vocab_size)
    export(vocabulary, out, model_max_length=model_max_length or NO_LIMIT)
    summary = {
        "tokenizer": str(out), "hash": vocabulary.hash, "vocab_size": vocabulary.vocab_size, "rows": vocabulary.rows
    }  # fmt: skip
    if as_json:
        print_json(summary)
    else:
        print_line(f"{vocabulary.vocab_size:,} tokens, {vocabulary.rows:,} rows in {out}")


def encode_shards(
    tokenizer: Path, shards: Sequence[Path], out: Path, *, engine: str, allow_special: Sequence[str], quiet: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Encode files of documents, each to a folder of ids under `out`."""
    from tokenizer.documents import check_files, plain_name
    from tokenizer.encoding.corpus import encode_shard
    from tokenizer.encoding.encode import open_encoder

    check_files(shards)
    names = [plain_name(path) for path in shards]
    if len(set(names)) < len(names):
        raise UsageError("two files have the same name", "encode them into different folders")
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} exists and is no folder", "choose another --out")
    encoder = open_encoder(tokenizer, engine, parallel=True, note=note_to(quiet))
    allowed = "all" if list(allow_special) == ["all"] else list(allow_special)
    started, done, totals = time.perf_counter(), 0, dict.fromkeys(("documents", "bytes", "tokens", "special_text"), 0)
    with open_progress(len(shards), sum(path.stat().st_size for path in shards), quiet=quiet) as bar:
        for name, path in zip(names, shards, strict=True):
            counts = encode_shard(path, out / name, encoder, allow_special=allowed).counts
            totals = {name: totals[name] + counts[name] for name in totals}
            done += path.stat().st_size
            bar.task_done(path.name)
            bar.bytes_done(done)
    summary = {
        **totals,
        "engine": encoder.engine,
        "tokenizer": encoder.hash,
        "wall_s": round(time.perf_counter() - started, 2),
    }
    if as_json:
        print_json(
            {**summary, "engines": [{"engine": v.engine, "taken": v.accepted, "why": v.reason} for v in encoder.report]}
        )
        return
    print_line(
        f"{totals['tokens']:,} tokens of {totals['documents']:,} documents by {encoder.engine}, "
        f"{totals['bytes'] / max(totals['tokens'], 1):.3f} bytes a token, in {out}"
    )
    if totals["special_text"]:
        print_line(f"{totals['special_text']:,} strings of special tokens stayed text (--allow-special)")


def audit_tokenizer(tokenizer: Path, *, counts: Path | None, quiet: bool, as_json: bool) -> None:
    """Print what can be said of a vocabulary without documents."""
    from dataclasses import asdict

    from tokenizer.evaluation.audit import audit_subject
    from tokenizer.evaluation.files import open_subject

    note = note_to(quiet)
    with explained(note):
        found = audit_subject(open_subject(tokenizer, note), _word_counts(counts))
    if as_json:
        print_json(asdict(found))
        return
    rows: list[list[Any]] = [
        ["tokens", found.vocab_size], ["rows", found.rows], ["mean token, bytes", found.mean_token_bytes],
        ["longest token, bytes", found.longest_token_bytes], ["parts of characters", found.partial_characters],
        ["unreachable", found.unreachable.count], ["digits", found.digit_policy],
    ]  # fmt: skip
    if found.under_trained:
        rows.append([f"seen less than {found.under_trained.threshold} times in training", found.under_trained.count])
    print_table(["", "value"], rows)
    print_line("\nlongest tokens")
    for script in found.scripts:
        print_line(f"  {script.script}: " + " · ".join(repr(token.text) for token in script.longest[:SHOWN]))


def _word_counts(counts: Path | None) -> Any:
    if counts is None:
        return None
    from tokenizer.counting.count import word_counts

    table = counts / f"{TRAIN}.parquet" if counts.is_dir() else counts
    if not table.is_file():
        raise UsageError(f"{counts} holds no counts", "give the folder that `curate tokenizer count` wrote")
    return word_counts(table)
