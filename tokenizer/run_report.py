"""The chapter on the tokenizer in a run's report: what it is, what it costs each source and language in tokens."""

from __future__ import annotations

from functools import cache
from typing import Any

import orjson
from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from curation.catalog import Catalog
from curation.report.render import environment
from curation.report.section import Section
from tokenizer.formats.manifest import MANIFEST
from tokenizer.step import EVALUATION, TOKEN_COUNT, TOKENIZER

MOST_GROUPS = 40


def tokens(catalog: Catalog) -> Section | None:
    """None where the run has no tokenizer."""
    folder = catalog.directory / TOKENIZER
    if not folder.is_dir():
        return None
    manifest = folder / MANIFEST
    described = orjson.loads(manifest.read_bytes()) if manifest.is_file() else None  # somebody's tokenizer.json
    by_group = catalog.rows(
        f"""select source, language, count(*) as documents, sum(byte_count)::bigint as bytes,
                   sum({TOKEN_COUNT})::bigint as tokens
            from documents group by all order by tokens desc nulls last, source, language limit {MOST_GROUPS}"""
    )
    total = catalog.rows(
        f"""select count(*) as documents, sum(byte_count)::bigint as bytes, sum({TOKEN_COUNT})::bigint as tokens
            from documents"""
    )[0]
    template = _environment().get_template("run_section.html.j2")
    body = template.render(
        tokenizer=described, languages=_languages(described), groups=by_group, total=total,
        evaluation=_evaluation(catalog), page=f"{EVALUATION}/evaluation.html",
    )  # fmt: skip
    return Section("Tokens", Markup(body), 88)


def _languages(described: dict[str, Any] | None) -> dict[str, Any] | None:
    return None if described is None else described.get("provenance", {}).get("languages")


def _evaluation(catalog: Catalog) -> dict[str, Any] | None:
    """Held-out bytes per token, where the run held documents out."""
    path = catalog.directory / EVALUATION / "evaluation.json"
    if not path.is_file():
        return None
    made = orjson.loads(path.read_bytes())
    name = made["subjects"][0]
    whole = next(group for group in made["groups"] if group["language"] is None and group["domain"] is None)
    audit = made["audits"][name]
    return {
        "documents": whole["documents"], "bytes": whole["bytes"], "score": whole["scores"][name]["bytes_per_token"],
        "unreachable": audit["unreachable"]["count"], "lossy": whole["scores"][name]["lossy_documents"],
    }  # fmt: skip


@cache
def _environment() -> Environment:
    return environment().overlay(loader=PackageLoader("tokenizer"))
