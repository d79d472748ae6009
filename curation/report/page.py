"""Puts the chapters together and writes `report.html`: one file, no script, no network.

Flow: catalog → chapters (`counts`, `evidence`, `provenance`, other parts' by entry point) → page.
"""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

import curation.report.counts as counts
import curation.report.duplicates as duplicates
import curation.report.edits as edits
import curation.report.evidence as evidence
import curation.report.provenance as provenance
from curation.catalog import Catalog, open_run
from curation.pipeline.errors import UsageError
from curation.pipeline.registry import door
from curation.pipeline.shards import write_atomic
from curation.report.render import environment, render
from curation.report.section import Section

REPORT_FILE = "report.html"

BUILT_IN = (
    counts.funnel,
    counts.thresholds,
    counts.rules,
    counts.languages,
    counts.sources,
    counts.extractors,
    evidence.removed,
    edits.edits,
    edits.samples,
    duplicates.sizes,
    duplicates.pairs,
    evidence.quarantine,
    provenance.steps,
    provenance.configuration,
)


def write(run_dir: Path | str, samples: bool = True) -> Path:
    """Write `<run_dir>/report.html` atomically and return its path.

    samples: False leaves out every text of a document.
    Raises UsageError for a run that is missing or not finished.
    """
    path = Path(run_dir) / REPORT_FILE
    with open_run(run_dir) as catalog:
        html = page(catalog, samples=samples)
    write_atomic(path, html.encode("utf-8"))
    return path


def page(catalog: Catalog, *, samples: bool = True) -> str:
    """The whole report as HTML."""
    chapters = sections(catalog, samples=samples)
    style = Markup(environment().loader.get_source(environment(), "style.css")[0])  # type: ignore[union-attr]
    return render("report.html", style=style, summary=counts.summary(catalog), sections=chapters, samples=samples)


def sections(catalog: Catalog, *, samples: bool = True) -> list[Section]:
    """The chapters that have something to say, in order; no two share an anchor."""
    makers = [*BUILT_IN, *(point.load() for _, point in sorted(door("curate.report_sections").items()))]
    found = [section for make in makers if (section := make(catalog)) is not None]
    found = [section for section in found if samples or not section.has_text]
    anchors = [section.anchor for section in found]
    if repeated := {anchor for anchor in anchors if anchors.count(anchor) > 1}:
        raise UsageError(f"two report sections are called {sorted(repeated)[0]!r}", "rename one of them")
    return sorted(found, key=lambda section: (section.order, section.title))
