"""What the commands of `curate quality` do: call the part that works, print what it found."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import typer

from curation.commands.output import print_json, print_line, print_table
from curation.pipeline.errors import UsageError
from curation.pipeline.progress import open_progress
from curation.text.display import name as safe

if TYPE_CHECKING:
    from quality.student.action import Trained


def show_rubric(name: str, *, secondary: bool, as_json: bool) -> None:
    """The prompt, then the schema."""
    from quality.rubric.action import rubric

    made = rubric(name, secondary=secondary)
    if as_json:
        print_json(asdict(made))
        return
    print_line(f"rubric {made.version} ({made.hash}), prompt version {made.prompt_version}\n")
    print_line(made.system)
    print_line(f"\n--- the message with the document\n{made.example}\n\n--- JSON schema of the reply")
    print_line(orjson.dumps(made.schema, option=orjson.OPT_INDENT_2).decode())


def label_documents(
    documents: Sequence[Path], out: Path, *, endpoint: Mapping[str, Any], caps: Mapping[str, Any], sample: int | None,
    second: Path | None, tags: Path | None, again: Path | None, seed: int, rubric: str, quiet: bool, as_json: bool,
    **options: Any,
) -> None:  # fmt: skip
    """The estimate before any request; exit code 1 where a cap or the judge left documents without a label."""
    from quality.judge.action import label, money
    from quality.judge.budget import Caps
    from quality.judge.endpoint import Endpoint

    endpoint = {**endpoint, "temperature": _temperature(endpoint["temperature"]), "extra": _extra(endpoint["extra"])}
    priced = {key: money(caps[key]) for key in ("money", "price_in", "price_out")}
    selection = _selection(sample, second, tags, again, seed, rubric)
    with open_progress(0, 0, quiet=True) as notes:
        made = label(
            documents, out, Endpoint(**endpoint), caps=Caps(**{**caps, **priced}), selection=selection, rubric=rubric,
            quiet=quiet, note=notes.note, **options,
        )  # fmt: skip
    if as_json:
        print_json(asdict(made))
    elif not options["dry_run"]:
        print_line(f"{made.labels:,} labels in {safe(made.out)}; {made.requests:,} requests, {made.tokens:,} tokens")
        if made.failed:
            told = ", ".join(f"{safe(reason)} {count:,}" for reason, count in made.failed.items())
            print_line(f"without a label: {told} (see {safe(str(made.failures))})")
        if made.cap:
            print_line(f"ended by the cap of {made.cap}: {made.not_reached:,} documents were not reached")
    if made.failed or made.cap:
        raise typer.Exit(1)


def _temperature(given: str) -> float | None:
    try:
        value = None if given == "none" else float(given)
    except ValueError:
        value = -1.0
    if value is not None and not 0.0 <= value <= 2.0:
        raise UsageError(f"--temperature {given!r:.40}", "give a number from 0 to 2, or none")
    return value


def _extra(given: str) -> dict[str, Any]:
    try:
        value = orjson.loads(given)
    except orjson.JSONDecodeError as error:
        raise UsageError(f"--extra is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise UsageError("--extra is no JSON object", """give one such as '{"top_p": 0.9}'""")
    return value


def import_table(mapping: str, labels: Path, out: Path, *, rubric: str, as_json: bool) -> None:
    """Rows by what they say."""
    from quality.labels.importing import import_labels, load_mapping
    from quality.labels.table import write_labels
    from quality.rubric.rubric import DIMENSIONS, SECONDARY, load_rubric

    if not out.parent.is_dir():
        raise UsageError(f"{out.parent}: there is no such folder")
    table = import_labels(labels, load_mapping(mapping), load_rubric(rubric))
    write_labels(table, out)
    given = {name: len(table) - table[name].null_count for name in (*DIMENSIONS, *SECONDARY, "category")}
    told = {name: count for name, count in given.items() if count}
    if as_json:
        print_json({"out": str(out), "labels": len(table), "with": told})
        return
    print_line(f"{len(table):,} labels in {safe(str(out))}: {', '.join(f'{name} {n:,}' for name, n in told.items())}")


def _selection(
    sample: int | None, second: Path | None, tags: Path | None, again: Path | None, seed: int, rubric: str
) -> Any:
    from quality.judge.documents import Again, Everything, First, Second
    from quality.labels.table import read_labels
    from quality.rubric.rubric import load_rubric

    if again is not None:
        if sample is not None or second is not None:
            raise UsageError("--again judges the documents of its table", "leave --sample and --second out")
        return Again(read_labels(again, load_rubric(rubric)))
    if second is None:
        if tags is not None:
            raise UsageError("--tags goes with --second")
        return Everything() if sample is None else First(sample, seed)
    if tags is None or sample is None:
        raise UsageError("--second needs --tags and --sample", "tag the documents with `curate quality tag` first")
    return Second(sample, read_labels(second, load_rubric(rubric)), tags, seed)


def train_tagger(
    labels: Sequence[Path], documents: Sequence[Path], out: Path, *, quiet: bool, as_json: bool, **options: Any
) -> None:
    """Train, write the folder, print its figures on held-out folds."""
    from quality.student.action import train

    with open_progress(0, 0, quiet=True) as notes:
        made = train(labels, documents, out, note=(lambda text: None) if quiet else notes.note, **options)
    _print_trained(made, str(out), as_json=as_json)


def train_other(
    model: str | None, labels: Sequence[Path], documents: Sequence[Path], out: Path, *, overrides: Sequence[str],
    buckets: tuple[int, int], quiet: bool, as_json: bool, **options: Any,
) -> None:  # fmt: skip
    """The same by a trainer of the door `curate.trainers`."""
    from quality.features.space import FeatureSpace
    from quality.trainers import open_trainer, settings_of

    if model is None:
        raise UsageError("--set belongs to --model", "write for example --model proxy:runs/proxy-demo --set epochs=3")
    space = FeatureSpace()
    if buckets != (space.word_bits, space.char_bits):
        raise UsageError("--word-bits and --char-bits are of tier 0", "leave them out beside --model")
    door, trainer, argument = open_trainer(model)
    with open_progress(0, 0, quiet=True) as notes:
        note = (lambda text: None) if quiet else notes.note
        made = trainer(argument, labels, documents, out, settings=settings_of(overrides), note=note, **options)
    _print_trained(made, f"{door}:{out}", as_json=as_json)


def _print_trained(made: Trained, spec: str, *, as_json: bool) -> None:
    """`spec`: what names the tagger to `curate quality tag`."""
    if as_json:
        print_json(orjson.loads(made.json()))
        return
    print_line(f"{made.documents:,} labelled documents, model {made.hash} in {safe(made.folder)}\n")
    shown = ("qwk", "spearman", "within_category_spearman", "within_one")
    scores = {name: row for name, row in made.card["metrics"].items() if isinstance(row, dict) and "qwk" in row}
    print_table(["held out", *shown], [[name, *(row.get(one) for one in shown)] for name, row in scores.items()])
    metrics = made.card["metrics"]
    told = f"category right {metrics['category']['accuracy']:.3f}, " if metrics["category"] else ""
    print_line(f"\n{told}low confidence {metrics['low_confidence']:.3f} of the held-out documents")
    print_line(f"\ntag with:  curate quality tag DOCUMENTS --out OUT --model {spec}")


def evaluate_tagger(
    labels: Sequence[Path], documents: Sequence[Path], *, model: str | None, splits: Sequence[str] | None, quiet: bool,
    as_json: bool, **options: Any,
) -> None:  # fmt: skip
    """A row a split, method and score."""
    from quality.student.action import evaluate

    if model is not None and splits:
        raise UsageError("--model is measured as it is", "leave --split out, or --model to train with folds held out")
    chosen = ("model",) if model is not None else tuple(splits or ("random", "source"))
    with open_progress(0, 0, quiet=True) as notes:
        note = (lambda text: None) if quiet else notes.note
        made = evaluate(model, labels, documents, splits=chosen, note=note, **options)
    if as_json:
        print_json(orjson.loads(made.json()))
        return
    rows = []
    for split, figures in made.splits.items():
        for method, found in {"tagger": figures.tagger, **figures.baselines}.items():
            for score, one in found.scores.items():
                values = (one.qwk[0], one.spearman[0], one.within_category_spearman[0], one.within_one, one.coverage)
                rows.append([split, found.n, method, score, *values])
    print_line(f"{made.documents:,} labelled documents")
    print_table(
        ["split", "held out", "method", "score", "QWK", "Spearman", "within category", "within 1", "covered"], rows
    )
    for split, figures in made.splits.items():
        tagger = figures.tagger
        right = f"category right {tagger.category.accuracy:.3f}, " if tagger.category else ""
        print_line(f"{split}: {right}low confidence {tagger.low_confidence:.3f}")
    if made.ceiling is not None:
        told = ", ".join(f"{name} QWK {value:.3f}" for name, value in made.ceiling.qwk.items())
        print_line(f"\nthe judge with itself, {made.ceiling.documents:,} documents: {told}")


def families(given: Sequence[str]) -> dict[str, str] | None:
    """PATTERN=NAME as the analysis takes it; None where nothing is given."""
    found = {}
    for one in given:
        pattern, sign, name = one.rpartition("=")
        if not sign or not pattern or not name:
            raise UsageError(f"--family {one!r} is not PATTERN=NAME", "write for example --family 'gpt-.*=gpt'")
        try:
            re.compile(pattern)
        except re.error as error:
            raise UsageError(f"--family {one!r}: {error}") from None
        found[pattern] = name
    return found or None


def show_agreement(labels: Sequence[Path], out: Path, *, family: Sequence[str], as_json: bool, **options: Any) -> None:
    """The gates; the page holds the rest."""
    from quality.analysis.action import agreement
    from quality.analysis.pages import agreement_verdict

    made = agreement(labels, out, families=families(family), **options)
    if as_json:
        print_json(orjson.loads(made.json()))
        return
    print_line(f"{made.judgements:,} judgements of {made.documents:,} documents by {len(made.judges)} judge(s)\n")
    if made.kinds:
        gates = [asdict(one) for one in made.gates]
        print_table(list(gates[0]), [[_plain(value) for value in one.values()] for one in gates])
    print_line(f"\n{agreement_verdict(made)}\n{out / 'agreement.html'}")


def show_validation(labels: Sequence[Path], out: Path, *, family: Sequence[str], as_json: bool, **options: Any) -> None:
    """The verdict; the page holds the rest."""
    from quality.analysis.action import validate

    made = validate(labels, out, families=families(family), **options)
    if as_json:
        print_json(orjson.loads(made.json()))
        return
    for line in made.verdict:
        print_line(line)
    print_line(f"\n{out / 'validation.html'}")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return ", ".join(
            f"{key} {part:.3f}" if isinstance(part, float) else f"{key} {part}" for key, part in value.items()
        )
    return value


def tag_documents(
    documents: Sequence[Path], out: Path, *, model: str, text_field: str, id_field: str, workers: int, quiet: bool,
    as_json: bool, **options: Any,
) -> None:  # fmt: skip
    """Tag, rank, write; then the table of sources and what to look at."""
    from quality.rubric.rubric import DIMENSIONS
    from quality.tagging.action import TagOptions, tag_files
    from quality.tagging.files import Fields

    chosen = TagOptions(model=model, fields=Fields(text_field, id_field), **options)
    done = 0
    with open_progress(
        len(documents), sum(one.stat().st_size for one in documents if one.is_file()), quiet=quiet
    ) as bar:

        def on_done(path: Path) -> None:
            nonlocal done
            done += path.stat().st_size
            bar.task_done(path.name)
            bar.bytes_done(done)

        made = tag_files(documents, out, chosen, workers=workers, on_done=on_done)
    if as_json:
        print_json(asdict(made))
        return
    rows = [
        [
            row["source"],
            row["documents"],
            *(value for name in DIMENSIONS for value in (row[name]["mean"], row[name]["sd"])),
        ]
        for row in made.summary["sources"]
    ]
    print_table(["source", "documents", *(part for name in DIMENSIONS for part in (name, "sd"))], rows)
    for line in made.summary["warnings"]:
        print_line(f"warning: {safe(line)}")
    print_line(
        f"\n{made.documents:,} documents, {made.bytes / 1e6:,.1f} MB in {safe(made.out)} "
        f"({made.tagged} files tagged, {made.reused} were already)"
    )
