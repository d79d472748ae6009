"""Printing: tables for people, JSON for scripts.  Nothing printed is read as markup or control codes."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from curation.pipeline.errors import UsageError
from curation.pipeline.registry import suggest
from curation.text.display import line, name

# C1 controls and bidi controls, which JSON leaves as they are: a terminal may act on them
_ACTIVE = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def print_json(value: Any) -> None:
    """One JSON document on stdout; bytes as hex, everything else as JSON has it."""
    data = orjson.dumps(value, default=_plain, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS)
    sys.stdout.write(_ACTIVE.sub(lambda match: f"\\u{ord(match[0]):04x}", data.decode()) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    return str(value)


def print_line(text: str = "") -> None:
    """One line of plain text."""
    Console(highlight=False, soft_wrap=True).print(Text(text))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, texts: Sequence[str] = ()) -> None:
    """Numbers right-aligned with separators; every string safe for a terminal, columns in `texts` masked too.

    A table that is too wide for the terminal is printed as one field a line, so that nothing is cut.
    """
    cells = [[_cell(value, name in texts) for name, value in zip(columns, row, strict=True)] for row in rows]
    console = Console(highlight=False, soft_wrap=True)
    widths = [max([len(name), *(len(row[i]) for row in cells)]) for i, name in enumerate(columns)]
    if sys.stdout.isatty() and sum(widths) + 3 * len(widths) > console.width:
        for row in cells:
            for name, cell in zip(columns, row, strict=True):
                console.print(Text(f"{name}: {cell}"))
            console.print()
        return
    table = Table(header_style="bold", show_edge=False)
    for i, name in enumerate(columns):
        numeric = any(isinstance(row[i], int | float) for row in rows)
        table.add_column(Text(name), justify="right" if numeric else "left", overflow="fold")
    for row in cells:
        table.add_row(*map(Text, row))
    Console(highlight=False, width=sum(widths) + 3 * len(widths) + 2).print(table)


def _cell(value: Any, masked: bool) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.4g}"
    if isinstance(value, bytes):
        return value.hex()
    return line(str(value)) if masked else name(str(value))


def find_run(text: str) -> Path:
    """A run's folder from its path, its name under runs/, or its YAML file; raises UsageError."""
    path = Path(text)
    if path.suffix in (".yaml", ".yml") and path.is_file():
        from curation.pipeline.config import load

        core = load(path).core
        path = Path(core.workdir) / core.run
    for folder in (path, Path("runs") / text):
        if (folder / "plan.json").is_file():
            return folder
    known = sorted(p.parent.name for p in Path("runs").glob("*/plan.json"))
    raise UsageError(f"no run at {path}", suggest(text, known) if known else "start one with `curate run CONFIG`")
