"""`curate tokenizer …`: signatures and help only, the work is imported when run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()
group = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
app.add_typer(group, name="tokenizer", help="Count, train, evaluate, export and use a byte-level BPE tokenizer.")

Tokenizer = Annotated[Path, typer.Argument(help="a tokenizer directory, or a tokenizer.json")]
Documents = Annotated[
    list[Path], typer.Argument(help="documents: .jsonl, .jsonl.zst, .jsonl.gz or .parquet with `text` (and `language`)")
]
Json = Annotated[bool, typer.Option("--json", help="print JSON on stdout")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="no progress display")]
Seed = Annotated[int, typer.Option(help="decides which documents are held out")]
Page = Annotated[
    list[str] | None,
    typer.Option(help="field(s) that name a page (default: page): its translations and versions stay on one side"),
]
Counts = Annotated[Path | None, typer.Option(help="counts of the training text: tells which tokens are under-trained")]


@group.command(epilog="Example: curate tokenizer count data/*.jsonl.zst --out counts")
def count(
    documents: Documents,
    out: Annotated[Path, typer.Option(help="folder for the tables; finished files in it are not counted again")],
    pattern: Annotated[
        str,
        typer.Option(
            help="how text is cut into words: o200k, o200k-1digit, llama3, qwen2.5, qwen3.5, deepseek-v3, gpt2, "
            "or a regular expression"
        ),
    ] = "o200k",
    clip: Annotated[int, typer.Option(min=0, help="occurrences of a word that one document adds at most; 0: all")] = 10,
    holdout: Annotated[float, typer.Option(min=0, max=1, help="share of documents held out for `evaluate`")] = 0.02,
    dev: Annotated[
        float, typer.Option(min=0, max=1, help="share of documents that language weights are chosen on")
    ] = 0.02,
    seed: Seed = 0,
    page: Page = None,
    workers: Annotated[int | None, typer.Option(min=1, help="processes; all cores by default")] = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Count words per language and domain: all that training needs, read once."""
    from tokenizer.actions import count_documents

    count_documents(
        documents, out, pattern=pattern, clip=clip or None, holdout=holdout, dev=dev, seed=seed,
        page=page, workers=workers, quiet=quiet, as_json=json,
    )  # fmt: skip


@group.command(epilog="Example: curate tokenizer train counts --out tok200k --vocab-size 200000 --languages auto")
def train(
    counts: Annotated[Path, typer.Argument(help="the folder that `count` wrote")],
    out: Annotated[Path, typer.Option(help="tokenizer directory to write")],
    vocab_size: Annotated[int, typer.Option(help="bytes and merges; special tokens follow")] = 200_000,
    languages: Annotated[
        str, typer.Option(help="auto, text (as they occur), a temperature from 0 to 1, or shares as {en: 0.6, de: 0.4}")
    ] = "auto",
    most_loss: Annotated[float, typer.Option(help="auto: what the mix may pay, in tokens")] = 0.005,
    quotas: Annotated[str | None, typer.Option(help="least shares of languages, as {ka: 0.01}")] = None,
    thin: Annotated[
        str | None, typer.Option(help="keep one in n rare words, counted n times: {below: 3, keep_one_in: 4}")
    ] = None,
    longest_word: Annotated[int | None, typer.Option(help="bytes; longer words are cut for training only")] = None,
    special: Annotated[list[str] | None, typer.Option(help="special token(s) instead of the usual ones")] = None,
    min_frequency: Annotated[int, typer.Option(help="smallest count of a pair that is merged")] = 0,
    max_token_length: Annotated[int | None, typer.Option(help="longest token in bytes, inclusive")] = None,
    extend: Annotated[Path | None, typer.Option(help="a tokenizer whose merges come first")] = None,
    check: Annotated[bool, typer.Option("--check", help="train with Hugging Face too and compare: slow")] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Train a vocabulary from counts; a killed training goes on where it was."""
    from tokenizer.train_action import train_from_counts

    train_from_counts(
        counts, out, vocab_size=vocab_size, languages=languages, most_loss=most_loss, quotas=quotas, thin=thin,
        longest_word=longest_word, special=special, min_frequency=min_frequency, max_token_length=max_token_length,
        extend=extend, check=check, quiet=quiet, as_json=json,
    )  # fmt: skip


@group.command(epilog="Example: curate tokenizer evaluate tok200k data/*.jsonl.zst --holdout 0.02")
def evaluate(
    tokenizer: Tokenizer,
    documents: Documents,
    out: Annotated[
        Path | None, typer.Option(help="folder for evaluation.html and .json (default: the tokenizer's)")
    ] = None,
    with_: Annotated[list[Path] | None, typer.Option("--with", help="further tokenizer(s) to stand beside it")] = None,
    yardstick: Annotated[list[str] | None, typer.Option(help="o200k, cl100k, tekken (default: all installed)")] = None,
    counts: Counts = None,
    parallel: Annotated[
        list[Path] | None, typer.Option(help="documents that are translations, with a page each")
    ] = None,
    parallel_language: Annotated[
        list[str] | None, typer.Option(help="take the pages that these languages share")
    ] = None,
    page: Page = None,
    holdout: Annotated[
        float | None, typer.Option(min=0, max=1, help="evaluate only what `count` held out with this share")
    ] = None,
    seed: Seed = 0,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Measure a tokenizer on documents, per language and domain, beside public vocabularies."""
    from tokenizer.actions import evaluate_tokenizer

    evaluate_tokenizer(
        tokenizer, documents, out=out, others=with_ or [], yardsticks=yardstick, counts=counts,
        parallel=parallel or [], parallel_languages=parallel_language or [], page=page, holdout=holdout, seed=seed,
        quiet=quiet, as_json=json,
    )  # fmt: skip


@group.command(epilog="Example: curate tokenizer compare tok32k tok64k --documents held_out.jsonl.zst --out comparison")
def compare(
    tokenizers: Annotated[list[Path], typer.Argument(help="tokenizer directories or tokenizer.json files")],
    documents: Annotated[list[Path], typer.Option(help="documents to compare on")],
    out: Annotated[Path, typer.Option(help="folder for evaluation.html and .json")],
    page: Page = None,
    holdout: Annotated[
        float | None, typer.Option(min=0, max=1, help="only what `count` held out with this share")
    ] = None,
    seed: Seed = 0,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Several tokenizers side by side on the same documents; the first is the one looked at."""
    from tokenizer.actions import evaluate_tokenizer

    first, *others = tokenizers
    evaluate_tokenizer(
        first, documents, out=out, others=others, yardsticks=[], counts=None, parallel=[], parallel_languages=[],
        page=page, holdout=holdout, seed=seed, quiet=quiet, as_json=json,
    )  # fmt: skip


@group.command(epilog="Example: curate tokenizer export tok200k --out tok32k --vocab-size 32000")
def export(
    tokenizer: Tokenizer,
    out: Annotated[Path, typer.Option(help="tokenizer directory to write")],
    vocab_size: Annotated[
        int | None, typer.Option(help="cut to the vocabulary that training to this size gives")
    ] = None,
    model_max_length: Annotated[int | None, typer.Option(min=1, help="tokens, for tokenizer_config.json")] = None,
    json: Json = False,
) -> None:
    """Write a tokenizer anew: another size, another model length, or somebody's tokenizer.json in our layout."""
    from tokenizer.actions import export_tokenizer

    export_tokenizer(tokenizer, out, vocab_size=vocab_size, model_max_length=model_max_length, as_json=json)


@group.command(epilog="Example: curate tokenizer encode tok200k runs/web-demo/documents/*.parquet --out ids")
def encode(
    tokenizer: Tokenizer,
    documents: Documents,
    out: Annotated[Path, typer.Option(help="folder: one shard of ids for each file; finished ones are kept")],
    engine: Annotated[str, typer.Option(help="auto takes the fastest that is exact")] = "auto",
    allow_special: Annotated[list[str] | None, typer.Option(help="special token(s) that text may name; `all`")] = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Texts to ids, by the fastest engine whose ids are Hugging Face's."""
    from tokenizer.actions import encode_shards

    encode_shards(
        tokenizer, documents, out, engine=engine, allow_special=allow_special or [], quiet=quiet, as_json=json
    )


@group.command(epilog="Example: curate tokenizer audit tok200k --counts counts")
def audit(tokenizer: Tokenizer, counts: Counts = None, quiet: Quiet = False, json: Json = False) -> None:
    """Look at a vocabulary by itself: dead rows, under-trained tokens, digits, longest tokens per script."""
    from tokenizer.actions import audit_tokenizer

    audit_tokenizer(tokenizer, counts=counts, quiet=quiet, as_json=json)
