"""`curate pack` and `curate shards …`: signatures and help only, the work is imported when run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()
shards = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
app.add_typer(shards, name="shards", help="Look into, check, export and compare packed shards.")

Directory = Annotated[Path, typer.Argument(help="a shard directory, for example runs/NAME/shards")]
Json = Annotated[bool, typer.Option("--json", help="print JSON on stdout")]
Stage = Annotated[int, typer.Option(min=0, help="stage of the schedule")]
Tokenizer = Annotated[Path, typer.Option(help="the tokenizer that the rows were made with")]


@app.command(
    epilog="Example: curate pack runs/web-demo/documents --plan --sequence-length 8192; then without --plan, with "
    "--tokenizer runs/web-demo/tokenizer --out shards"
)
def pack(
    inputs: Annotated[
        list[Path],
        typer.Argument(help="documents: Parquet files or folders (id, text or tokens); or a run's YAML file"),
    ],
    plan: Annotated[bool, typer.Option("--plan", help="only say what it would give, from token_count")] = False,
    tokenizer: Annotated[Path | None, typer.Option(help="tokenizer directory or tokenizer.json")] = None,
    out: Annotated[Path | None, typer.Option(help="shard directory to write; a killed writer goes on")] = None,
    sequence_length: Annotated[int | None, typer.Option(help="tokens of a row (2048)")] = None,
    method: Annotated[str | None, typer.Option(help="windowed (keeps the order), bfd, concat, crop or buckets")] = None,
    long: Annotated[str | None, typer.Option(help="longer documents: split, split_balanced, truncate, drop")] = None,
    min_fragment: Annotated[int | None, typer.Option(help="shortest piece that a cut leaves (32)")] = None,
    bos: Annotated[str | None, typer.Option(help="begin-of-document id: none, doc or fragment")] = None,
    queues: Annotated[str | None, typer.Option(help="what is packed together: source, or pool")] = None,
    mix: Annotated[str | None, typer.Option(help="folder of a mix table")] = None,
    tokens: Annotated[str | None, typer.Option(help="tokens to train on, e.g. 20M")] = None,
    seed: Annotated[int | None, typer.Option(help="decides the order of documents (0)")] = None,
    workers: Annotated[int, typer.Option(min=1, help="processes; the result does not depend on it")] = 1,
    json: Json = False,
) -> None:
    """Pack documents into rows of one length, or plan it; `curate run` does the same with its `pack:` section."""
    from packing.pack_actions import pack_command

    given = {
        "sequence_length": sequence_length, "method": method, "long": long, "min_fragment": min_fragment, "bos": bos,
        "queues": queues, "mix": mix, "tokens": tokens,
    }  # fmt: skip
    settings = {key: value for key, value in given.items() if value is not None}
    pack_command(
        inputs, plan=plan, tokenizer=tokenizer, out=out, settings=settings, seed=seed, workers=workers, as_json=json
    )


@shards.command(epilog="Example: curate shards info runs/web-demo/shards")
def info(directory: Directory, json: Json = False) -> None:
    """What a directory holds: rows, padding, fragments, queues, stages, identity."""
    from packing.actions import show_info

    show_info(directory, as_json=json)


@shards.command(epilog="Example: curate shards verify runs/web-demo/shards")
def verify(
    directory: Directory,
    sample: Annotated[int, typer.Option(min=0, help="documents that are encoded again and compared")] = 0,
    tokenizer: Annotated[Path | None, typer.Option(help="for --sample")] = None,
    documents: Annotated[
        list[Path] | None, typer.Option(help="for --sample: Parquet files or folders of documents with id and text")
    ] = None,
    readers: Annotated[
        str, typer.Option(help="formats to export and read with their own libraries: megatron,olmo,…")
    ] = "",
    json: Json = False,
) -> None:
    """Check every file and everything that is written in it; exit code 1 where something is wrong."""
    from packing.actions import check

    check(directory, sample, tokenizer, documents or [], readers, as_json=json)


@shards.command(epilog="Example: curate shards export runs/web-demo/shards --to megatron --out megatron --link")
def export(
    directory: Directory,
    to: Annotated[str, typer.Option(help="megatron, datatrove, olmo, mds, litdata, arrow or parquet")],
    out: Annotated[Path, typer.Option(help="new folder to write")],
    link: Annotated[bool, typer.Option("--link", help="hard links to the rows instead of copies")] = False,
    dtype: Annotated[str, typer.Option(help="uint32, or uint16 for vocabularies of at most 65,536 rows")] = "uint32",
    json: Json = False,
) -> None:
    """Write the rows in the format of another trainer, with a README.md that says how to point it there."""
    from packing.actions import export_to

    export_to(directory, to, out, link=link, dtype=dtype, as_json=json)


@shards.command(
    epilog="Example: curate shards who runs/web-demo/shards --step 12 --row 3 --global-batch 64 --token 417"
)
def who(
    directory: Directory,
    token: Annotated[int, typer.Option(help="token of the sequence, from 0")],
    stage: Stage = 0,
    sequence: Annotated[int | None, typer.Option(help="number of the sequence in its stage")] = None,
    step: Annotated[int | None, typer.Option(help="training step, with --row and --global-batch")] = None,
    row: Annotated[int | None, typer.Option(help="row of the step's global batch")] = None,
    global_batch: Annotated[int | None, typer.Option(help="sequences a step")] = None,
    json: Json = False,
) -> None:
    """The document, copy and offset that a token of training comes from."""
    from packing.actions import show_origin

    show_origin(directory, token, stage, sequence, step, row, global_batch, as_json=json)


@shards.command(epilog="Example: curate shards diff runs/a/shards runs/b/shards")
def diff(first: Directory, second: Annotated[Path, typer.Argument(help="another one")], json: Json = False) -> None:
    """What differs between two directories, in words; exit code 1 where something does."""
    from packing.actions import compare

    compare(first, second, as_json=json)


@shards.command(epilog="Example: curate shards sample runs/web-demo/shards --tokenizer runs/web-demo/tokenizer")
def sample(
    directory: Directory,
    tokenizer: Tokenizer,
    stage: Stage = 0,
    count: Annotated[int, typer.Option("-n", "--count", min=1, help="sequences")] = 3,
    seed: Annotated[int, typer.Option(help="another seed shows others")] = 0,
    chars: Annotated[int, typer.Option(min=1, help="characters of each fragment")] = 600,
    json: Json = False,
) -> None:
    """Some sequences as text, fragment by fragment; personal data is masked."""
    from packing.actions import show_sample

    show_sample(directory, tokenizer, stage, count, seed, chars, as_json=json)
