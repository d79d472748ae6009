"""`curate doctor`: what is installed, what is missing and what that means."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Any

from curation.commands.output import print_json, print_line, print_table
from curation.pipeline.local_pool import auto_workers
from curation.pipeline.summary import software_versions

EXTRAS = {  # extra: its packages, and what they enable
    "encode": (("awkward", "fastokens", "gigatoken", "tiktoken"), "faster tokenizer engines; each is checked first"),
    "ftfy": (("ftfy",), "clean: unicode: {fix: true}, mojibake undone"),
    "hf": (("transformers",), "exported tokenizers checked in transformers"),
    "judge": (("httpx", "tenacity"), "curate quality label: labels by a judge model"),
    "proxy": (("torch", "triton"), "curate proxy: models trained on packed shards; packing.loader: batches"),
    "ray": (("ray",), "executor: {kind: ray}, tasks on a Ray cluster"),
    "regress": (("scikit-learn",), "curate mix regress: losses fitted on mixes"),
    "trafilatura": (("trafilatura", "lxml_html_clean"), "extract: trafilatura, and the union of both extractors"),
    "yardsticks": (("rs-bpe", "mistral-common"), "public vocabularies beside yours in a tokenizer's evaluation"),
}


def examine(*, as_json: bool) -> None:
    """Versions, extras, machine, and warnings such as shadowed package names."""
    extras: list[dict[str, Any]] = []
    for extra, (packages, enables) in EXTRAS.items():
        found = {name: _version(name) for name in packages}
        install = "" if all(found.values()) else f"pip install 'curate-lm[{extra}]'"
        extras.append({"extra": extra, "installed": found, "enables": enables, "install": install})
    free = shutil.disk_usage(Path.cwd()).free
    answer: dict[str, Any] = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "workers": auto_workers(),
        "cores": os.cpu_count(),
        "disk_free_gb": round(free / 1e9, 1),
        "versions": software_versions(),
        "extras": extras,
        "warnings": [*_shadowed(), *([f"only {free / 1e9:.1f} GB free here"] if free < 1e9 else [])],
    }
    if as_json:
        print_json(answer)
        return
    print_table(["software", "version"], [["python", answer["python"]], *answer["versions"].items()])
    print_line()
    print_table(
        ["extra", "installed", "enables", "install"],
        [[one["extra"], _told(one["installed"]), one["enables"], one["install"]] for one in extras],
    )
    print_line()
    print_line(
        f"{answer['cores']} cores, {answer['workers']} workers by default, {answer['disk_free_gb']} GB free here"
    )
    for warning in answer["warnings"]:
        print_line(f"warning: {warning}")
    if not answer["warnings"]:
        print_line("nothing looks wrong")


def _told(found: dict[str, str | None]) -> str:
    if len(found) == 1:
        return next(iter(found.values())) or "no"
    return ", ".join(f"{name} {version or 'no'}" for name, version in found.items())


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _shadowed() -> list[str]:
    """Our top-level packages have plain names; a folder of that name in the way is worth a warning."""
    try:
        top_level = (distribution("curate-lm").read_text("top_level.txt") or "").split()
    except PackageNotFoundError:
        return ["curate-lm is not installed, only importable from here: entry points are not found"]
    home = Path(importlib.util.find_spec("curation").origin or "").parent.parent  # type: ignore[union-attr]
    warnings = []
    for name in top_level:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None or Path(spec.origin).parent.parent != home:
            warnings.append(f"the import name {name!r} is taken by {getattr(spec, 'origin', None)}")
    return warnings
