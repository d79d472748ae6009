"""The command line of the curation part: signatures and help only, the work is imported when run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()

Config = Annotated[Path, typer.Argument(help="the YAML file")]
Run = Annotated[str, typer.Argument(help="a run's folder, its name under runs/, or its YAML file")]
Json = Annotated[bool, typer.Option("--json", help="print JSON on stdout")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="override a key of the config")]
Yes = Annotated[bool, typer.Option("--yes", help="go on where dedup removes more than its limits say")]
Until = Annotated[str | None, typer.Option(help="stop after this section")]


@app.command(epilog="Example: curate run examples/web.yaml --set executor.workers=4")
def run(
    config: Config,
    until: Until = None,
    set_: Set = None,
    strict: Annotated[bool, typer.Option(help="stop at the first damaged record")] = False,
    yes: Yes = False,
    report: Annotated[bool, typer.Option(help="write report.html at the end")] = True,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="no progress display")] = False,
    json: Json = False,
) -> None:
    """Execute a config: what is not finished, check, report."""
    from curation.commands.running import run_config

    run_config(
        config, until=until, overrides=set_ or [], strict=strict, yes=yes, report=report, quiet=quiet, as_json=json
    )


@app.command(epilog="Example: curate plan examples/web.yaml --tasks")
def plan(
    config: Config,
    until: Until = None,
    set_: Set = None,
    tasks: Annotated[bool, typer.Option(help="list every task")] = False,
    write: Annotated[bool, typer.Option(help="write plan.json for `curate worker`")] = False,
    json: Json = False,
) -> None:
    """Show what a run would do, and what is finished."""
    from curation.commands.running import show_plan

    show_plan(config, until=until, overrides=set_ or [], list_tasks=tasks, write=write, as_json=json)


@app.command(epilog="Example: curate worker runs/web-demo/plan.json 0-15,20")
def worker(
    plan: Annotated[Path, typer.Argument(help="a plan.json made by `curate plan --write`")],
    tasks: Annotated[
        str, typer.Argument(help="task numbers (0-15,20), one task's name, or `ready`: whatever can run now")
    ],
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Execute some tasks of a plan, as another machine would."""
    from curation.commands.running import work

    work(plan, tasks, yes=yes, as_json=json)


@app.command(epilog="Example: curate status web-demo")
def status(run: Run, json: Json = False) -> None:
    """Show how far a run is."""
    from curation.commands.running import show_status

    show_status(run, as_json=json)


@app.command(epilog="Example: curate inspect web-demo --rule gopher-quality.min_words -n 5")
def inspect(
    run: Run,
    rule: Annotated[str | None, typer.Option(help="only documents that this rule removed")] = None,
    kept: Annotated[bool, typer.Option("--kept", help="kept documents instead of removed ones")] = False,
    quarantine: Annotated[bool, typer.Option("--quarantine", help="damaged records")] = False,
    n: Annotated[int, typer.Option("-n", min=1, max=1000, help="how many")] = 10,
    seed: Annotated[int, typer.Option(help="another sample")] = 0,
    chars: Annotated[int, typer.Option(min=20, max=3_600, help="characters of text to show")] = 400,
    json: Json = False,
) -> None:
    """Show sampled documents that a rule removed, and why."""
    from curation.commands.looking import inspect_run

    inspect_run(run, rule=rule, kept=kept, quarantine=quarantine, n=n, seed=seed, chars=chars, as_json=json)


@app.command(epilog="Example: curate whatif web-demo gopher-quality.min_words=30 language.min_score=0.5")
def whatif(
    run: Run,
    changes: Annotated[list[str], typer.Argument(metavar="THRESHOLD=VALUE…", help="thresholds to try")],
    set_: Set = None,
    n: Annotated[int, typer.Option("-n", min=0, max=1000, help="examples of documents whose fate changes")] = 5,
    json: Json = False,
) -> None:
    """Decide again with other thresholds, without a run."""
    from curation.commands.whatif import what_if

    what_if(run, changes, overrides=set_ or [], n=n, as_json=json)


@app.command(epilog="Example: curate dedup-index web-demo indices/web-demo")
def dedup_index(
    run: Run, path: Annotated[Path, typer.Argument(help="folder to write; must not exist")], json: Json = False
) -> None:
    """Write the near-duplicate index of a finished run, for `dedup.minhash.against` in a later one."""
    from curation.commands.indexing import write_index

    write_index(run, path, as_json=json)


@app.command(epilog="Example: curate trace web-demo 'pages/docs.warc.gz#17'")
def trace(run: Run, id: Annotated[str, typer.Argument(help="a document's id")], json: Json = False) -> None:
    """Tell one document's whole fate."""
    from curation.commands.trace import trace_document

    trace_document(run, id, as_json=json)


@app.command(epilog='Example: curate sql web-demo "select language, count(*) from documents group by 1"')
def sql(
    run: Run,
    query: Annotated[str, typer.Argument(help="a DuckDB query; `show tables` lists the views")],
    json: Json = False,
) -> None:
    """Query a run with SQL."""
    from curation.commands.looking import query_run

    query_run(run, query, as_json=json)


@app.command(epilog="Example: curate report web-demo --no-samples")
def report(
    run: Run,
    samples: Annotated[bool, typer.Option(help="include sampled texts (masked and clipped)")] = True,
    json: Json = False,
) -> None:
    """Write the run's report.html again."""
    from curation.commands.looking import write_report

    write_report(run, samples=samples, as_json=json)


@app.command(epilog="Example: curate doctor")
def doctor(json: Json = False) -> None:
    """Say what is installed, missing, or looks wrong."""
    from curation.commands.doctor import examine

    examine(as_json=json)


@app.command(epilog="Example: curate schema > curate.schema.json")
def schema() -> None:
    """Print the JSON Schema of the config, for editors."""
    import orjson

    from curation.pipeline.config import model

    typer.echo(orjson.dumps(model().model_json_schema(), option=orjson.OPT_INDENT_2).decode())
