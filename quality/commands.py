"""`curate quality …`: signatures and help only, the work is imported when run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()
group = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
app.add_typer(group, name="quality", help="Judge documents, train a tagger on the labels, check both, tag documents.")

Documents = Annotated[list[Path], typer.Argument(help="documents: .jsonl, .jsonl.zst, .jsonl.gz or .parquet")]
Labels = Annotated[list[Path], typer.Argument(help="label tables: .parquet, .jsonl or .jsonl.zst")]
Json = Annotated[bool, typer.Option("--json", help="print JSON on stdout")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="no progress display")]
Rubric = Annotated[str, typer.Option(help="v1, or a YAML file of your own")]
Seed = Annotated[int, typer.Option(min=0, help="decides every random choice")]
Family = Annotated[
    list[str] | None, typer.Option(help="PATTERN=NAME: judges whose names match are one model, asked several times")
]
Calibrate = Annotated[
    str, typer.Option(help="documents: for texts like the labelled ones; sources: wider, for texts from anywhere")
]
Replicates = Annotated[int, typer.Option(min=1, help="bootstrap resamples behind each interval")]


@group.command(epilog="Example: curate quality rubric; curate quality rubric my_rubric.yaml --json")
def rubric(
    name: Annotated[str, typer.Argument(help="v1, or a YAML file of your own")] = "v1",
    secondary: Annotated[bool, typer.Option(help="with the secondary dimensions")] = True,
    json: Json = False,
) -> None:
    """Show the rubric as a judge gets it: the prompt, and the JSON schema of a reply."""
    from quality.actions import show_rubric

    show_rubric(name, secondary=secondary, as_json=json)


@group.command(
    epilog="Example: curate quality label docs.jsonl.zst --out labels.parquet --endpoint http://localhost:8000/v1 "
    "--model Qwen/Qwen2.5-32B-Instruct --sample 5000 --dry-run"
)
def label(
    documents: Documents,
    out: Annotated[Path, typer.Option(help="label table to write (.parquet); paid replies are kept beside it")],
    endpoint: Annotated[str, typer.Option(help="OpenAI-compatible address, up to and without /chat/completions")],
    model: Annotated[str, typer.Option(help="name under which the endpoint serves the judge")],
    judge: Annotated[str | None, typer.Option(help="name in the labels (default: the model)")] = None,
    api_key_env: Annotated[str | None, typer.Option(help="environment variable that holds the key")] = None,
    rubric: Rubric = "v1",
    sample: Annotated[int | None, typer.Option(min=1, help="judge so many documents, over sources and lengths")] = None,
    second: Annotated[
        Path | None, typer.Option(help="labels of a first --sample: judge --sample more, rare levels more often")
    ] = None,
    tags: Annotated[
        Path | None, typer.Option(help="for --second: the documents as `curate quality tag` wrote them")
    ] = None,
    again: Annotated[Path | None, typer.Option(help="judge the documents of this label table a second time")] = None,
    repeat: Annotated[int, typer.Option(min=1, help="which judgement of the same documents this is")] = 1,
    max_requests: Annotated[int | None, typer.Option(min=0, help="end before more requests than this")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=0, help="end before more tokens than this")] = None,
    max_money: Annotated[str | None, typer.Option(help="end before more money than this; needs both prices")] = None,
    price_in: Annotated[str | None, typer.Option(help="price of a million tokens sent")] = None,
    price_out: Annotated[str | None, typer.Option(help="price of a million tokens received")] = None,
    parallel: Annotated[int, typer.Option(min=1, help="requests at a time")] = 8,
    temperature: Annotated[str, typer.Option(help="sampling temperature, or none: not sent")] = "0",
    reply_tokens: Annotated[int, typer.Option(min=1, help="longest reply; more for a model that thinks first")] = 400,
    tokens_field: Annotated[
        str, typer.Option(help="max_tokens or max_completion_tokens: its name there")
    ] = "max_tokens",
    timeout: Annotated[float, typer.Option(min=1, help="seconds until a request counts as lost")] = 120.0,
    extra: Annotated[str, typer.Option(help="JSON object: more fields of every request")] = "{}",
    structured: Annotated[str, typer.Option(help="json_schema, json_object or none: what the server offers")] = (
        "json_schema"
    ),
    logprobs: Annotated[bool, typer.Option("--logprobs", help="also store expected levels over the digits")] = False,
    secondary: Annotated[bool, typer.Option(help="ask for the secondary dimensions too")] = True,
    mask: Annotated[bool, typer.Option(help="replace personal data before it is sent")] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only tell what it would take")] = False,
    seed: Seed = 0,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Ask a judge model for labels by the rubric, within fixed limits; a killed command loses no paid reply."""
    from quality.actions import label_documents

    label_documents(
        documents, out,
        endpoint={
            "base_url": endpoint, "model": model, "judge": judge or "", "api_key_env": api_key_env, "repeat": repeat,
            "temperature": temperature, "structured": structured, "logprobs": logprobs, "secondary": secondary,
            "reply_tokens": reply_tokens, "tokens_field": tokens_field, "timeout_s": timeout, "extra": extra,
        },
        caps={
            "requests": max_requests, "tokens": max_tokens, "money": max_money, "price_in": price_in,
            "price_out": price_out,
        },
        sample=sample, second=second, tags=tags, again=again, seed=seed, rubric=rubric, parallel=parallel, mask=mask,
        dry_run=dry_run, quiet=quiet, as_json=json,
    )  # fmt: skip


@group.command(
    "import", epilog="Example: curate quality import weborganizer_topic annotations.jsonl.zst --out topics.parquet"
)
def import_(
    mapping: Annotated[str, typer.Argument(help="a bundled mapping, or a YAML file of your own")],
    labels: Annotated[Path, typer.Argument(help="the other set: .jsonl[.zst], .parquet, or a fastText file")],
    out: Annotated[Path, typer.Option(help="label table to write (.parquet)")],
    rubric: Rubric = "v1",
    json: Json = False,
) -> None:
    """Other people's labels as a label table: for `agreement`, beside a judge's labels of the same documents."""
    from quality.actions import import_table

    import_table(mapping, labels, out, rubric=rubric, as_json=json)


@group.command(epilog="Example: curate quality train labels.parquet --documents docs.jsonl.zst --out tagger")
def train(
    labels: Labels,
    documents: Annotated[list[Path], typer.Option(help="file(s) with the labelled texts and their ids")],
    out: Annotated[Path, typer.Option(help="folder for model.safetensors and card.json")],
    rubric: Rubric = "v1",
    calibrate: Calibrate = "documents",
    word_bits: Annotated[int, typer.Option(help="2^bits buckets of words and pairs of words")] = 20,
    char_bits: Annotated[int, typer.Option(help="2^bits buckets of four characters")] = 18,
    model: Annotated[
        str | None, typer.Option(help="another trainer: proxy:CHECKPOINT_OR_PRESET puts heads on a proxy model")
    ] = None,
    overrides: Annotated[list[str] | None, typer.Option("--set", help="key=value of that trainer, repeatable")] = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Train a tagger on labels; the same inputs give the same bytes."""
    from quality.actions import train_other, train_tagger

    if model is not None or overrides:
        train_other(
            model, labels, documents, out, overrides=overrides or [], buckets=(word_bits, char_bits), rubric=rubric,
            calibrate=calibrate, quiet=quiet, as_json=json,
        )  # fmt: skip
        return
    train_tagger(
        labels, documents, out, rubric=rubric, calibrate=calibrate, word_bits=word_bits, char_bits=char_bits,
        quiet=quiet, as_json=json,
    )  # fmt: skip


@group.command(epilog="Example: curate quality evaluate labels.parquet --documents docs.jsonl.zst --split source")
def evaluate(
    labels: Labels,
    documents: Annotated[list[Path], typer.Option(help="file(s) with the labelled texts and their ids")],
    model: Annotated[
        str | None, typer.Option(help="measure this model as it is, on labels it never saw: default, or its folder")
    ] = None,
    split: Annotated[
        list[str] | None, typer.Option(help="without --model: train with folds held out, random or by source (both)")
    ] = None,
    rubric: Rubric = "v1",
    calibrate: Calibrate = "documents",
    folds: Annotated[int, typer.Option(min=2, max=20, help="parts that are held out in turn")] = 5,
    curve: Annotated[bool, typer.Option("--curve", help="also with fewer labels: the learning curve")] = False,
    out: Annotated[Path | None, typer.Option(help="JSON file to write")] = None,
    pages: Annotated[Path | None, typer.Option(help="folder for evaluation.html, in a folder of each split")] = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Measure a tagger on held-out labels, beside baselines and the judge's own repeatability."""
    from quality.actions import evaluate_tagger

    evaluate_tagger(
        labels, documents, model=model, splits=split, rubric=rubric, calibrate=calibrate, folds=folds, curve=curve,
        out=out, pages=pages, quiet=quiet, as_json=json,
    )  # fmt: skip


@group.command(epilog="Example: curate quality agreement labels.parquet --out agreement")
def agreement(
    labels: Labels,
    out: Annotated[Path, typer.Option(help="folder for agreement.html and agreement.json")],
    rubric: Rubric = "v1",
    anchors: Annotated[Path | None, typer.Option(help="label table with the fixed levels of anchor texts")] = None,
    family: Family = None,
    replicates: Replicates = 1000,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """How far judges agree with themselves and with each other, and whether one drifted."""
    from quality.actions import show_agreement

    show_agreement(
        labels, out, rubric=rubric, anchors=anchors, family=family or [], replicates=replicates, seed=seed, as_json=json
    )


@group.command(epilog="Example: curate quality validate labels.parquet --sources docs.jsonl.zst --out validation")
def validate(
    labels: Labels,
    out: Annotated[Path, typer.Option(help="folder for validation.html and validation.json")],
    rubric: Rubric = "v1",
    sources: Annotated[
        list[Path] | None, typer.Option(help="documents with id and source: control for the source too")
    ] = None,
    source_field: Annotated[str, typer.Option(help="field that names the source")] = "source",
    family: Family = None,
    replicates: Replicates = 1000,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Which dimensions say something of their own, and which may be dropped."""
    from quality.actions import show_validation

    show_validation(
        labels, out, rubric=rubric, sources=sources or [], source_field=source_field, family=family or [],
        replicates=replicates, seed=seed, as_json=json,
    )  # fmt: skip


@group.command(epilog="Example: curate quality tag docs/*.jsonl.zst --out tagged")
def tag(
    documents: Documents,
    out: Annotated[Path, typer.Option(help="folder: each file with its tags, under its own name")],
    model: Annotated[str, typer.Option(help="default, the folder of a model, or <labeler>:<argument>")] = "default",
    text_field: Annotated[str, typer.Option(help="field with the text")] = "text",
    id_field: Annotated[str, typer.Option(help="field with the id; without one records are counted")] = "id",
    r: Annotated[float, typer.Option(min=0, max=1, help="how far mix_score compares within the category")] = 0.5,
    holdout: Annotated[float, typer.Option(min=0, max=1, help="share of documents whose split is holdout")] = 0.02,
    seed: Seed = 17,
    workers: Annotated[int, typer.Option(min=1, help="processes; the result does not depend on it")] = 1,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Add knowledge depth, practicality, category, percentiles, mix_score and bucket to files of documents."""
    from quality.actions import tag_documents

    tag_documents(
        documents, out, model=model, text_field=text_field, id_field=id_field, r=r, holdout=holdout, seed=seed,
        workers=workers, quiet=quiet, as_json=json,
    )  # fmt: skip
