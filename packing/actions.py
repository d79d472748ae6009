"""What `curate shards …` does: call, print, exit code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import typer

from curation.commands.output import print_json, print_line, print_table
from curation.text.display import block, name

FAULT_CHARACTERS = 1_000


def show_info(directory: Path, *, as_json: bool) -> None:
    """A short table for each of queues and stages."""
    from packing.verify import info

    known = info(directory)
    if as_json:
        print_json(known)
        return
    print_line(
        f"{known['rows']:,} rows of {known['sequence_length']:,} tokens in {known['shards']} shards, "
        f"{known['bytes'] / 1e6:,.1f} MB; padding {known['padding']:.4%}, {known['fragments_per_row']:.2f} "
        "fragments a row"
    )
    print_line(f"root {known['root']}")
    policy = ", ".join(f"{key} {value}" for key, value in known["policy"].items())
    print_line(f"tokenizer {known['tokenizer']}; {policy}\n")
    queues = [[one["name"], one["rows"], one["tokens"], f"{one['padding']:.4%}"] for one in known["queues"]]
    print_table(["queue", "rows", "tokens", "padding"], queues)
    print_line()
    rows = [
        [stage["name"], stage["sequences"], ", ".join(f"{share:.4f}" for share in stage["shares"])]
        for stage in known["stages"]
    ]
    print_table(["stage", "sequences", "shares of queues"], rows)


def check(
    directory: Path, sample: int, tokenizer: Path | None, documents: Sequence[Path], readers: str, *, as_json: bool
) -> None:
    """Prints every fault; exit code 1 where there is one."""
    from packing.verify import verify

    files = [file for one in documents for file in (sorted(one.rglob("*.parquet")) if one.is_dir() else [one])]
    named = [one.strip() for one in readers.split(",") if one.strip()]
    report = verify(directory, tokenizer=tokenizer, documents=files, sample=sample, readers=named)
    if as_json:
        print_json({**asdict(report), "ok": report.ok})
    else:
        for fault in report.faults:
            print_line(name(str(fault), FAULT_CHARACTERS))
        for note in report.notes:
            print_line(f"note: {name(note, FAULT_CHARACTERS)}")
        words = ", ".join(f"{count:,} {what}" for what, count in report.checked.items())
        print_line(f"{len(report.faults) or 'no'} fault(s) in {words or 'the manifest'}")
    if not report.ok:
        raise typer.Exit(1)


def export_to(directory: Path, to: str, out: Path, *, link: bool, dtype: str, as_json: bool) -> None:
    """Prints how to point the reader at what was written."""
    from packing.export import export

    done = export(directory, to, out, link=link, dtype=dtype)
    if as_json:
        print_json(asdict(done))
        return
    print_line(f"{done.rows:,} rows, {done.bytes / 1e6:,.1f} MB in {done.path}; {done.path / 'README.md'} says:\n")
    for line in done.usage:
        print_line("- " + line.replace("OUT", str(done.path)))


def show_origin(
    directory: Path, token: int, stage: int, sequence: int | None, step: int | None, row: int | None,
    global_batch: int | None, *, as_json: bool,
) -> None:  # fmt: skip
    """One field a line."""
    from packing.verify import who

    found = who(directory, token, stage=stage, sequence=sequence, step=step, row=row, global_batch=global_batch)
    if as_json:
        print_json(found)
        return
    for key, value in found.items():
        print_line(f"{key}: {name(str(value))}")


def compare(first: Path, second: Path, *, as_json: bool) -> None:
    """One sentence a line; exit code 1 where the directories differ."""
    from packing.verify import diff

    lines = diff(first, second)
    if as_json:
        print_json({"same": not lines, "differences": lines})
    else:
        for line in lines or ["the same rows in the same order"]:
            print_line(line)
    if lines:
        raise typer.Exit(1)


def show_sample(
    directory: Path, tokenizer: Path, stage: int, count: int, seed: int, characters: int, *, as_json: bool
) -> None:
    """A heading and the masked, clipped text of each fragment."""
    from packing.verify import sample

    shown = sample(directory, tokenizer, stage=stage, count=count, seed=seed)
    safe = [{**one, "id": name(one["id"] or "?"), "text": block(one["text"], characters)} for one in shown]
    if as_json:
        print_json(safe)
        return
    for one in safe:
        place = f"sequence {one['sequence']}, tokens {one['begin']}-{one['begin'] + one['tokens'] - 1}"
        print_line(f"{place}: {one['id']}, copy {one['copy']} ({name(one['source'])})")
        print_line("  | " + one["text"].replace("\n", "\n  | "))
        print_line()
    print_line(f"{len(safe)} fragments shown; others: --seed {seed + 1}")
