"""What the commands of `curate tokenizer` do."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import yaml
from pydantic import ValidationError

from curation.commands.output import print_json, print_line, print_table
from curation.pipeline.errors import UsageError
from curation.pipeline.progress import open_progress
from tokenizer.config import TrainConfig
from tokenizer.counting.splits import DEV, TRAIN
from tokenizer.vocabulary import DEFAULT_SPECIALS

SHOWN = 8


def count_documents(
    paths: Sequence[Path], out: Path, *, workers: int | None, page: Sequence[str] | None, quiet: bool, as_json: bool,
    **options: Any,
) -> None:  # fmt: skip
    """Count into the folder `out` and say how much."""
    from tokenizer.counting.files import CountOptions, count_files

    chosen = CountOptions(**options, page=tuple(page or ("page",)))
    if not 0 <= chosen.holdout + chosen.dev < 1:
        raise UsageError("holdout and dev leave nothing to train on", "give shares that add up to less than 1")
    done = 0
    with open_progress(len(paths), sum(path.stat().st_size for path in paths if path.is_file()), quiet=quiet) as bar:

        def on_done(path: Path, size: int) -> None:
            nonlocal done
            done += size
            bar.task_done(path.name)
            bar.bytes_done(done)

        account = count_files(paths, out, chosen, workers=workers, on_done=on_done)
    if as_json:
        print_json(account)
        return
    print_table(
        ["side", "documents", "MB"], [[s, account[s]["documents"], account[s]["bytes"] / 1e6] for s in (TRAIN, DEV)]
    )
    print_line(f"\ntrain with:  curate tokenizer train {out} --out TOKENIZER --vocab-size 200000")


def train_from_counts(
    counts: Path, out: Path, *, vocab_size: int, languages: str, most_loss: float, special: Sequence[str] | None,
    min_frequency: int, max_token_length: int | None, extend: Path | None, check: bool, quiet: bool, as_json: bool,
) -> None:  # fmt: skip
    """Train, export to `out`, and say what came out."""
    from tokenizer.formats.export import export, load_vocabulary
    from tokenizer.training.build import build
    from tokenizer.training.merge_bar import MergeBar

    values = {
        "vocab_size": vocab_size, "languages": yaml.safe_load(languages), "most_loss": most_loss,
        "special_tokens": list(special or DEFAULT_SPECIALS), "min_frequency": min_frequency,
        "max_token_length": max_token_length,
    }  # fmt: skip
    try:
        config = TrainConfig.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        option = "--" + str(first["loc"][0]).replace("_", "-")
        raise UsageError(f"{option}: {first['msg']}", "see curate tokenizer train --help") from None
    train_table, dev_table = counts / f"{TRAIN}.parquet", counts / f"{DEV}.parquet"
    if not train_table.is_file():
        raise UsageError(f"{counts} holds no counts", "make them with `curate tokenizer count FILES --out COUNTS`")
    start = load_vocabulary(extend) if extend else None
    checkpoint = out.with_name(out.name + ".checkpoint")
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    with MergeBar(quiet=quiet) as bar:

        def on_round(number: int, one: Any) -> None:
            bar.note(f"language weights, round {number}: worst regret {one.worst:.3f}, mix {one.mix_loss:+.2%} tokens")

        provenance = (
            {"counts": orjson.loads((counts / "counts.json").read_bytes())}
            if (counts / "counts.json").is_file()
            else {}
        )
        built = build(
            train_table, dev_table if dev_table.is_file() else None, config, provenance=provenance, start=start,
            checkpoint=checkpoint, on_progress=bar.update, on_round=on_round,
        )  # fmt: skip
    export(built.vocabulary, out)
    checkpoint.unlink(missing_ok=True)
    summary: dict[str, Any] = {
        "tokenizer": str(out), "hash": built.vocabulary.hash, "vocab_size": built.vocabulary.vocab_size,
        "rows": built.vocabulary.rows, "warning": built.training.warning, "languages": built.weighing.account,
    }  # fmt: skip
    if check:
        summary["hugging_face_merges_equal"] = _same_as_hugging_face(train_table, built, config)
    if as_json:
        print_json(summary)
        return
    print_line(f"{summary['vocab_size']:,} tokens and {summary['rows'] - summary['vocab_size']} special rows in {out}")
    print_line(f"languages: {built.weighing.account['mode']}" + _why(built.weighing.account))
    if check:
        print_line(f"merges equal to Hugging Face's: {summary['hugging_face_merges_equal']}")
    if built.training.warning:
        print_line(f"warning: {built.training.warning}")


def _why(account: dict[str, Any]) -> str:
    return f" (auto was asked for: {account['why']})" if "why" in account else ""


def _same_as_hugging_face(table: Path, built: Any, config: TrainConfig) -> bool:
    from tokenizer.counting.count import word_counts
    from tokenizer.training.hf_train import hf_train

    words = word_counts(table, built.weighing.weights)
    theirs = hf_train(
        words, built.vocabulary.vocab_size, min_frequency=config.min_frequency, max_token_length=config.max_token_length
    )
    return np.array_equal(theirs, built.vocabulary.merges)


def evaluate_tokenizer(
    tokenizer: Path, documents: Sequence[Path], *, out: Path | None, others: Sequence[Path],
    yardsticks: Sequence[str] | None, counts: Path | None, parallel: Sequence[Path],
    parallel_languages: Sequence[str], page: Sequence[str] | None, holdout: float | None, seed: int, as_json: bool,
) -> None:  # fmt: skip
    """Evaluate, write the page, print the table of languages."""
    from tokenizer.evaluation.files import evaluate_directory

    if out is None and not tokenizer.is_dir():
        raise UsageError("a tokenizer.json of others has no folder of ours", "say where the page goes with --out")
    made = evaluate_directory(
        tokenizer, documents, out, compare_with=others, yardsticks=yardsticks, counts=_word_counts(counts),
        parallel=parallel, parallel_languages=parallel_languages, page_fields=page or ("page",), holdout=holdout,
        seed=seed,
    )  # fmt: skip
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
    """Encode Parquet files, each to a folder of ids under `out`."""
    from tokenizer.encoding.corpus import encode_shard
    from tokenizer.encoding.encode import open_encoder

    missing = [path for path in shards if not path.is_file()]
    if missing or not shards:
        raise UsageError(
            f"{missing[0]}: there is no such file" if missing else "no shards to encode", "give Parquet files"
        )
    names = [path.stem for path in shards]
    if len(set(names)) < len(names):
        raise UsageError("two shards have the same file name", "encode them into different folders")
    encoder = open_encoder(tokenizer, engine, parallel=True)
    allowed = "all" if list(allow_special) == ["all"] else list(allow_special)
    started, done, totals = time.perf_counter(), 0, dict.fromkeys(("documents", "bytes", "tokens", "special_text"), 0)
    with open_progress(len(shards), sum(path.stat().st_size for path in shards), quiet=quiet) as bar:
        for path in shards:
            counts = encode_shard(path, out / path.stem, encoder, allow_special=allowed).counts
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


def audit_tokenizer(tokenizer: Path, *, counts: Path | None, as_json: bool) -> None:
    """Print what can be said of a vocabulary without documents."""
    from dataclasses import asdict

    from tokenizer.evaluation.audit import audit_subject
    from tokenizer.evaluation.files import open_subject

    found = audit_subject(open_subject(tokenizer), _word_counts(counts))
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
