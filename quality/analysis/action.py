"""What `curate quality agreement` and `curate quality validate` do: label files in, a page and JSON out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from curation.pipeline.errors import UsageError
from quality.analysis.agreement import Agreement, agree
from quality.analysis.drift import drift, fixed_levels
from quality.analysis.findings import Validation
from quality.analysis.judgements import Judgements, judgements
from quality.analysis.pages import AGREEMENT, VALIDATION, agreement_page, validation_page, write
from quality.analysis.validation import validate as validated
from quality.labels.files import read_rows
from quality.labels.table import read_labels
from quality.rubric.rubric import Rubric, load_rubric

ID_FIELDS = ("doc_id", "id")


def agreement(
    labels: Sequence[Path | str], out: Path | str, *, rubric: str | Path = "v1", anchors: Path | str | None = None,
    families: Mapping[str, str] | None = None, seed: int = 0, replicates: int = 1000,
) -> Agreement:  # fmt: skip
    """Agreement of the judges in label files; writes agreement.json and agreement.html to `out`.

    anchors: a label file with the fixed levels of texts that a batch judged again.  families: regular
    expression → family, for judges that are one model under names without `#`.  Imported labels, which lack scores or
    the category, are compared in what they have.  UsageError names the bad file.
    """
    _check_replicates(replicates)
    chosen = load_rubric(rubric)
    found = _labels(labels, chosen, families, partial=True)
    fixed = None if anchors is None else fixed_levels(_labels([anchors], chosen, None))
    drifted = drift(found, fixed) if fixed is not None else []
    if fixed is not None and not drifted:
        raise UsageError(f"{anchors}: none of these anchors was judged", "judge the anchors in every batch")
    made = agree(found, drift=drifted, seed=seed, replicates=replicates)
    write(Path(out), AGREEMENT, made, agreement_page(made))
    return made


def validate(
    labels: Sequence[Path | str], out: Path | str, *, rubric: str | Path = "v1", sources: Sequence[Path | str] = (),
    source_field: str = "source", families: Mapping[str, str] | None = None, seed: int = 0, replicates: int = 1000,
) -> Validation:  # fmt: skip
    """Which dimensions are needed, by label files; writes validation.json and validation.html to `out`.

    sources: files whose records have an id (`doc_id` or `id`) and the source of the document in `source_field`.
    """
    _check_replicates(replicates)
    chosen = load_rubric(rubric)
    found = _labels(labels, chosen, families)
    made = validated(found, _sources(sources, source_field) if sources else None, seed=seed, replicates=replicates)
    write(Path(out), VALIDATION, made, validation_page(made))
    return made


def _check_replicates(replicates: int) -> None:
    if replicates < 1:
        raise UsageError(f"{replicates} resamples give no interval", "take 1000")


def _labels(
    paths: Sequence[Path | str], rubric: Rubric, families: Mapping[str, str] | None, *, partial: bool = False
) -> Judgements:
    if not paths:
        raise UsageError("no label file was given", "give one or more")
    return judgements([read_labels(path, rubric, partial=partial) for path in paths], families)


def _sources(paths: Sequence[Path | str], field: str) -> dict[str, str]:
    """id → source; UsageError where a record lacks one of them or a document has two sources."""
    found: dict[str, str] = {}
    for path in paths:
        for number, row in read_rows(Path(path), [*ID_FIELDS, field]):
            name = next((row[one] for one in ID_FIELDS if isinstance(row.get(one), str)), None)
            source = row.get(field)
            if name is None or not isinstance(source, str):
                fields = f"fields: {', '.join(map(str, row))[:300]}"
                raise UsageError(f"{path}:{number}: no id or no `{field}` that is a string", fields)
            if found.setdefault(name, source) != source:
                raise UsageError(
                    f"{path}:{number}: document {name!r} has a second source {source!r}, not {found[name]!r}",
                    "name one source a document",
                )
    return found
