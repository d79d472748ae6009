"""`curate mix …`: signatures and help only, the work is imported when run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()
group = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
app.add_typer(group, name="mix", help="Plan a mix of documents, sample it, look at it, learn from finished mixes.")

Documents = Annotated[
    list[Path], typer.Argument(help="a config, a run's folder, or Parquet files or folders of documents with tokens")
]
Json = Annotated[bool, typer.Option("--json", help="print JSON on stdout")]
Budget = Annotated[str | None, typer.Option(help="tokens of the mix, e.g. 20M")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="KEY=VALUE of the `mix:` section, e.g. --set kl=0.5 --set caps.high=6")
]


@group.command(epilog="Example: curate mix plan runs/web-demo --budget 20M --set preset=unimax")
def plan(
    documents: Documents,
    budget: Budget = None,
    settings: Settings = None,
    cells: Annotated[int, typer.Option(min=0, help="cells shown, the largest first")] = 30,
    json: Json = False,
) -> None:
    """Show what a budget would take of each cell: epochs, caps, tilt, floors, and what is missing."""
    from mixing.actions import show_plan

    show_plan(documents, budget, settings or [], cells, as_json=json)


@group.command(epilog="Example: curate mix sample runs/web-demo --budget 20M --ablation 1M --out mixes/tilted")
def sample(
    documents: Documents,
    out: Annotated[Path, typer.Option(help="new folder for the mix table and plan.json")],
    budget: Budget = None,
    settings: Settings = None,
    ablation: Annotated[str | None, typer.Option(help="also a set of so many tokens that repeats as the mix")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="default: the run's, or 17")] = None,
    json: Json = False,
) -> None:
    """Write a mix table for a budget; `pack: {mix: FOLDER}` packs it."""
    from mixing.actions import write_sample

    write_sample(documents, out, budget, settings or [], ablation, seed, as_json=json)


@group.command(epilog="Example: curate mix show runs/web-demo; curate mix show mixes/a --against mixes/b")
def show(
    mix: Annotated[Path, typer.Argument(help="a run, its config, or the folder of a mix")],
    document: Annotated[str | None, typer.Argument(help="id of a document of a run: why it stands as often")] = None,
    against: Annotated[Path | None, typer.Option(help="another mix: what both share")] = None,
    cells: Annotated[int, typer.Option(min=0, help="cells shown, the largest first")] = 30,
    json: Json = False,
) -> None:
    """Show a finished mix by cell and by repeats, one document of it, or what it shares with another."""
    from mixing.actions import show_mix

    show_mix(mix, document, against, cells, as_json=json)


@group.command(epilog="Example: curate mix regress runs.csv --within runs/web-demo --budget 20M --out next.json")
def regress(
    runs: Annotated[list[Path], typer.Argument(help="tables of finished runs (.csv, .parquet): shares and losses")],
    within: Annotated[
        Path | None, typer.Option(help="a config or run whose documents, caps and floors a proposed mix must respect")
    ] = None,
    budget: Budget = None,
    settings: Settings = None,
    weight: Annotated[str, typer.Option(help="prefix of the columns with a source's share")] = "weight.",
    loss: Annotated[str, typer.Option(help="prefix of the columns with a task's loss")] = "loss.",
    suffix: Annotated[str, typer.Option(help="ending of a source's column that is no part of its name")] = "",
    on: Annotated[str | None, typer.Option(help="column that joins the tables")] = None,
    task: Annotated[list[str] | None, typer.Option(help="NAME=WEIGHT in the target; default: all tasks alike")] = None,
    name: Annotated[
        list[str] | None, typer.Option(help="NAME=SOURCE: a source of the runs is called SOURCE in the documents")
    ] = None,
    level: Annotated[float, typer.Option(min=0.5, max=0.999, help="of the intervals")] = 0.9,
    following: Annotated[int, typer.Option("--next", min=0, help="mixes proposed for the next runs")] = 8,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    out: Annotated[Path | None, typer.Option(help="JSON file to write")] = None,
    json: Json = False,
) -> None:
    """Fit losses on the mixes of finished runs; propose the best mix and the next runs."""
    from mixing.actions import show_regression

    show_regression(
        runs, within, budget, settings or [], task or [], name or [], out, as_json=json, weight=weight, loss=loss,
        suffix=suffix, on=on, level=level, following=following, seed=seed,
    )  # fmt: skip
