"""`curate …`: gathers the commands of all installed packages and prints errors for people.

Command modules are light: they import what a command needs only when it runs, so
`curate --help` answers at once.
"""

from __future__ import annotations

import os
import signal
import sys
from importlib import metadata
from importlib.metadata import entry_points
from typing import Annotated

import typer

EXIT_INTERRUPTED = 130


def build() -> typer.Typer:
    """The whole command line, from the entry points of group `curate.commands`."""
    app = typer.Typer(
        name="curate",
        no_args_is_help=True,
        add_completion=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback(
        invoke_without_command=True,
        epilog="Start with: curate run CONFIG; then inspect, trace, whatif and sql look at the run.",
    )(_options)
    for point in sorted(entry_points(group="curate.commands"), key=lambda p: p.name):
        app.add_typer(point.load())
    return app


def _options(
    version: Annotated[bool, typer.Option("--version", is_eager=True, help="print the version and end")] = False,
) -> None:
    """From raw crawls to curated, traceable training data."""
    if version:
        typer.echo(f"curate {metadata.version('curate-lm')}")
        raise typer.Exit


def main() -> None:
    """Entry point; exit codes: 0 done, 1 the run failed, 2 the request is wrong."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy's BLAS is never used: its threads only cost start time
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # Slurm, systemd and docker send it: end like Ctrl-C
    try:
        build()()
    except SystemExit as done:
        if done.code == EXIT_INTERRUPTED:
            print("interrupted: the same command goes on from here", file=sys.stderr)
        raise
    except BrokenPipeError:  # `curate sql … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        from curation.pipeline.errors import CurateError, explain_os_error
        from curation.pipeline.progress import printable

        if isinstance(error, CurateError):
            print(f"curate: {printable(str(error))}", file=sys.stderr)
            sys.exit(error.exit_code)
        if isinstance(error, OSError):
            print(f"curate: {printable(explain_os_error(error))}", file=sys.stderr)
            sys.exit(1)
        raise


if __name__ == "__main__":
    main()
