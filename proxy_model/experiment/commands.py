"""`curate ab …`: signatures and help only, the work is imported when run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()
group = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
app.add_typer(group, name="ab", help="Compare data mixes: plan, lock, train, test, report.")
registry = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
group.add_typer(registry, name="registry", help="The spread between runs that earlier experiments measured.")

Config = Annotated[Path, typer.Argument(help="an experiment, for example examples/ab.yaml")]
Overrides = Annotated[list[str] | None, typer.Option("--set", help="dotted.key=value of the config, repeatable")]
Json = Annotated[bool, typer.Option("--json", help="print JSON on stdout")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="no progress display")]
Yes = Annotated[bool, typer.Option("--yes", help="go on where `curate run` asks for a confirmation")]
Processes = Annotated[int, typer.Option("--processes", "-p", min=1, help="runs at a time on this machine")]
Sigma = Annotated[
    float | None,
    typer.Option(help="spread (sd) of scores between runs of one arm, in metric units; default: as measured"),
]


@group.command(epilog="Example: curate ab plan examples/ab.yaml --sigma 0.004 --effect 0.01")
def plan(
    config: Config,
    overrides: Overrides = None,
    sigma: Sigma = None,
    effect: Annotated[float | None, typer.Option(help="to find, in metric units; default: hypothesis.mde")] = None,
    budget: Annotated[float | None, typer.Option(help="training runs that can be paid in all")] = None,
    max_runs: Annotated[int, typer.Option(min=2, max=64, help="per arm")] = 32,
    json: Json = False,
) -> None:
    """Say what the configured runs can detect, and how many runs an effect needs."""
    from proxy_model.experiment.noise_actions import plan_command

    plan_command(config, overrides or [], sigma=sigma, budget=budget, effect=effect, max_runs=max_runs, as_json=json)


@group.command(epilog="Example: curate ab lock examples/ab.yaml")
def lock(
    config: Config,
    overrides: Overrides = None,
    amend: Annotated[
        bool, typer.Option("--amend", help="change a lock that has runs; the verdict will say so")
    ] = False,
    yes: Yes = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Build the arms and fix everything that decides the verdict, before the first run."""
    from proxy_model.experiment.actions import lock_command

    lock_command(config, overrides or [], amend=amend, yes=yes, quiet=quiet, as_json=json)


@group.command(
    epilog="Example: curate ab run examples/ab.yaml -p 2; on a cluster: curate ab run ab.yaml --only tilted:3"
)
def run(
    config: Config,
    overrides: Overrides = None,
    only: Annotated[
        str | None, typer.Option(help="ARM:NUMBER: that run alone, in this process (one GPU, one job)")
    ] = None,
    processes: Processes = 1,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Train and score every run that is missing, take the planned looks, write verdict and report.  Resumes."""
    from proxy_model.experiment.actions import run_command

    run_command(config, overrides or [], only=only, processes=processes, quiet=quiet, as_json=json)


@group.command(epilog="Example: curate ab status examples/ab.yaml")
def status(config: Config, overrides: Overrides = None, json: Json = False) -> None:
    """Show progress and health, and no result."""
    from proxy_model.experiment.actions import status_command

    status_command(config, overrides or [], as_json=json)


@group.command(epilog="Example: curate ab report examples/ab.yaml")
def report(config: Config, overrides: Overrides = None, json: Json = False) -> None:
    """Take a planned look: verdict.json and report.html.  Any other look is refused (exit code 1) and written down."""
    from proxy_model.experiment.actions import report_command

    report_command(config, overrides or [], as_json=json)


@group.command(epilog="Example: curate ab aa examples/ab.yaml --runs 8 -p 2")
def aa(
    config: Config,
    overrides: Overrides = None,
    arm: Annotated[str | None, typer.Option(help="default: the baseline")] = None,
    runs: Annotated[int, typer.Option(min=4, help="of that arm; seeds are none of the experiment's")] = 8,
    processes: Processes = 1,
    store: Annotated[bool, typer.Option(help="put σ_seed into the registry")] = True,
    yes: Yes = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Measure the spread between runs of one arm: a pilot for `plan`, and a check that equal arms look equal."""
    from proxy_model.experiment.noise_actions import aa_command

    aa_command(
        config, overrides or [], arm=arm, runs=runs, processes=processes, store=store, yes=yes, quiet=quiet,
        as_json=json,
    )  # fmt: skip


@group.command(epilog="Example: curate ab screen screen.yaml --obvious shuffled --runs 4")
def screen(
    config: Config,
    overrides: Overrides = None,
    obvious: Annotated[
        str | None, typer.Option(help="arm that must differ from the baseline; default: the last")
    ] = None,
    runs: Annotated[int, typer.Option(min=2, help="of each of the two arms, none of the experiment's")] = 4,
    metric: Annotated[
        str | None, typer.Option(help="of the table; default: the one that tells the arms apart best")
    ] = None,
    processes: Processes = 1,
    yes: Yes = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Say which benchmarks and metrics tell two obviously different arms apart at this scale, and which are noise."""
    from proxy_model.experiment.noise_actions import screen_command

    screen_command(
        config, overrides or [], obvious=obvious, runs=runs, metric=metric, processes=processes, yes=yes, quiet=quiet,
        as_json=json,
    )  # fmt: skip


@group.command(epilog="Example: curate ab simulate examples/ab.yaml --sigma 0.004 --effect 0.01")
def simulate(
    config: Config,
    overrides: Overrides = None,
    sigma: Sigma = None,
    effect: Annotated[float | None, typer.Option(help="true effect for the power; default: hypothesis.mde")] = None,
    replicates: Annotated[int, typer.Option(min=100, help="made experiments")] = 4000,
    json: Json = False,
) -> None:
    """Simulate the configured test: false positives, power, coverage, and what ignoring runs would do."""
    from proxy_model.experiment.noise_actions import simulate_command

    simulate_command(config, overrides or [], sigma=sigma, effect=effect, replicates=replicates, as_json=json)


@registry.command("show", epilog="Example: curate ab registry show runs/ab/registry.jsonl")
def registry_show(
    path: Annotated[Path, typer.Argument(help="registry.jsonl")] = Path("runs/ab/registry.jsonl"), json: Json = False
) -> None:
    """σ_seed by model, tokens, suite and metric."""
    from proxy_model.experiment.noise_actions import registry_show as show

    show(path, as_json=json)


@registry.command("add", epilog="Example: curate ab registry add runs/ab/mixes")
def registry_add(
    folder: Annotated[Path, typer.Argument(help="folder of a finished experiment")],
    path: Annotated[Path | None, typer.Option("--registry", help="default: the one beside the experiment")] = None,
    json: Json = False,
) -> None:
    """Add the arms of a finished experiment that kept to its lock."""
    from proxy_model.experiment.noise_actions import registry_add as add

    add(folder, path, as_json=json)
