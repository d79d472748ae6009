"""The template environment of the report: autoescaping, and the filters that all untrusted values pass.

Templates print strings through `line`, `name`, `settings` or `prefix` (`curation.text.display`) and
numbers through `n`, `pct`, `size`, `seconds`; undefined names are errors.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from curation.text import display


def number(value: float | None) -> str:
    """`1,234,567`; at most four digits of a fraction."""
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"


def percent(part: float, whole: float) -> str:
    """`3.2 %`, `<0.1 %`, or a dash where there is no whole."""
    if not whole:
        return "–"
    share = 100 * part / whole
    return "<0.1 %" if 0 < share < 0.05 else f"{share:.1f} %" if share < 99.95 or part == whole else ">99.9 %"


def size(count: float | None) -> str:
    """Bytes in decimal units: `1.25 GB`."""
    if count is None:
        return "–"
    value, units = float(count), ["bytes", "kB", "MB", "GB", "TB", "PB"]
    while value >= 1000 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return (
        f"{value:.0f} bytes"
        if units[0] == "bytes"
        else f"{value:.3g} {units[0]}"
        if value < 999.5
        else f"{value:.0f} {units[0]}"
    )


def seconds(value: float | None) -> str:
    """`0.84 s`, `3 min 20 s`, `2 h 5 min`."""
    if value is None:
        return "–"
    if value < 60:
        return f"{value:.3g} s"
    whole = round(value)
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"


@cache
def environment() -> Environment:
    """Made once: templates of `curation/report/templates`."""
    made = Environment(
        loader=PackageLoader("curation.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    made.filters |= {
        "n": number, "size": size, "seconds": seconds,
        "line": display.line, "name": display.name, "settings": display.settings, "prefix": display.prefix,
    }  # fmt: skip
    made.globals["pct"] = percent
    return made


def render(template: str, **values: Any) -> Markup:
    """A template filled in; its result is safe HTML."""
    return Markup(environment().get_template(template).render(**values))
