"""Chapters on how the run was made: steps with time, memory and digest; config and versions."""

from __future__ import annotations

import yaml

from curation.catalog import Catalog
from curation.report.render import render
from curation.report.section import Section

CONFIG_CHARACTERS = 20_000


def steps(catalog: Catalog) -> Section:
    """What ran, how long, with how much memory."""
    return Section("Steps", render("steps.html", steps=catalog.info["steps"], info=catalog.info), 100)


def configuration(catalog: Catalog) -> Section:
    """The resolved config and the software that made the output."""
    text = yaml.safe_dump(catalog.info["config"], sort_keys=False, allow_unicode=True, width=100)
    return Section(
        "Configuration", render("configuration.html", text=text, limit=CONFIG_CHARACTERS, info=catalog.info), 110
    )
