"""The `clean:` list as blocks of a datatrove pipeline: the same items, batched, with the same results.

    LocalPipelineExecutor([JsonlReader("in/"), RuleFilter(["gopher-quality"]), JsonlWriter("out/")]).run()

A removed document carries the rule as datatrove's reason and the value against its threshold in
`metadata["removed_detail"]`; language and its score become metadata as with datatrove's own filter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
from datatrove.data import Document
from datatrove.pipeline.filters.base_filter import BaseFilter
from datatrove.pipeline.writers.disk_base import DiskWriter
from pydantic import TypeAdapter, ValidationError

from curation.datatrove.documents import columns_of
from curation.pipeline.context import merge
from curation.pipeline.errors import UsageError
from curation.pipeline.hashing import hash64
from curation.pipeline.schema import REMOVED_BY, REMOVED_DETAIL, TEXT
from curation.rules.clean import config_type
from curation.rules.item import Columns, item
from curation.rules.passes import Part, expanded, passes

BATCH = 1000  # documents: kernels are fast per byte, not per call
TOLD = ("language", "language_score")  # columns that become metadata


class CleanFilter(BaseFilter):  # type: ignore[misc]  # datatrove ships no types
    """Any entries of the `clean:` list, in their order.

    entries: as in the YAML, e.g. `[{"language": {"keep": ["en"]}}, {"rules": {"presets": ["c4"]}}]`; paths are
    relative to the current directory.  Raises UsageError for entries that `curate run` would refuse, and for
    `sources:`, since a pipeline of datatrove has none.
    """

    name = "curate: clean"

    def __init__(
        self, entries: Sequence[Mapping[str, Any]], exclusion_writer: DiskWriter | None = None, batch_size: int = BATCH
    ) -> None:
        super().__init__(exclusion_writer, batch_size)
        self.entries = orjson.dumps(list(entries))  # plain data: that is what travels to workers
        self.base = str(Path.cwd())
        self._check()

    def _check(self) -> None:
        for part in (part for some in self._passes for part in some):
            if part.config.sources:
                raise UsageError(f"{part.key}: `sources` has no meaning in a datatrove pipeline")

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_passes"}

    @cached_property
    def _passes(self) -> list[list[Part]]:
        try:
            checked = TypeAdapter(config_type()).validate_json(self.entries)
        except ValidationError as error:
            raise UsageError(f"{type(self).__name__}: {error}") from None
        parts = [
            Part(key, item(key).located(getattr(entry, key), Path(self.base)))
            for entry in checked
            for key in entry.model_fields_set
        ]
        return passes(expanded(parts))

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        """One document; a pipeline calls `filter_batch`."""
        return self.filter_batch([doc])[0]

    def filter_batch(self, batch: list[Document]) -> list[bool | tuple[bool, str]]:
        """True, or False and the rule, for each document; texts are edited in place."""
        columns = columns_of(batch)
        columns["doc_key"] = pa.array([hash64(one.id) for one in batch], pa.uint64())
        verdict: Columns = {name: pa.nulls(len(batch), pa.string()) for name in (REMOVED_BY, REMOVED_DETAIL)}
        for some in self._passes:
            _run_pass(some, columns, verdict)
        told = {name: columns[name].to_pylist() for name in TOLD if name in columns}
        texts, details = columns[TEXT].to_pylist(), verdict[REMOVED_DETAIL].to_pylist()
        results: list[bool | tuple[bool, str]] = []
        for i, rule in enumerate(verdict[REMOVED_BY].to_pylist()):
            batch[i].text = texts[i]
            batch[i].metadata.update({name: values[i] for name, values in told.items()})
            if rule is not None:
                batch[i].metadata[REMOVED_DETAIL] = details[i]
            results.append(True if rule is None else (False, rule))
        return results


def _run_pass(parts: Sequence[Part], columns: Columns, verdict: Columns) -> None:
    """Edit, measure, decide, as `curation.rules.clean` plans it; a removed document keeps the text it had."""
    for part in parts:
        if part.edited is not None and part.item.edit is not None:
            outcome = part.item.edit(columns[TEXT], columns, part.edited)
            removed = pc.is_valid(verdict[REMOVED_BY])
            columns |= {TEXT: pc.if_else(removed, columns[TEXT], outcome.text), **outcome.columns}
    for part in parts:
        if part.item.measure is not None:
            for one in part.item.measured(part.config):
                columns |= part.item.measure(columns[TEXT], one)
    for part in parts:
        if part.item.decide is not None:
            rule, detail = part.item.decide(columns, part.item.decided(part.config))
            merge(verdict, {REMOVED_BY: rule, REMOVED_DETAIL: detail})


class RuleFilter(CleanFilter):
    """Threshold presets, e.g. `RuleFilter(["gopher-quality"], {"gopher-quality.min_words": 30})`."""

    name = "curate: rules"

    def __init__(
        self,
        presets: Sequence[str],
        override: Mapping[str, float] | None = None,
        exclusion_writer: DiskWriter | None = None,
        batch_size: int = BATCH,
    ) -> None:
        rules = {"presets": list(presets), "override": dict(override or {})}
        super().__init__([{"rules": rules}], exclusion_writer, batch_size)


class LanguageIdFilter(CleanFilter):
    """Language identification by our kernel of fastText models; sets `language` and `language_score`.

    model: path of a `.bin` or `.ftz` model; default lid.176, bundled, offline.
    """

    name = "curate: language"

    def __init__(
        self,
        keep: Sequence[str] | None = None,
        min_score: float = 0.65,
        model: str | None = None,
        exclusion_writer: DiskWriter | None = None,
        batch_size: int = BATCH,
    ) -> None:
        language = {"keep": None if keep is None else list(keep), "min_score": min_score, "model": model}
        super().__init__([{"language": language}], exclusion_writer, batch_size)


class UrlFilter(CleanFilter):
    """Block lists and word scores on `metadata["url"]`; arguments as the `url` item of the `clean:` list."""

    name = "curate: url"

    def __init__(
        self, exclusion_writer: DiskWriter | None = None, batch_size: int = BATCH, **url: str | int | list[str]
    ) -> None:
        super().__init__([{"url": url}], exclusion_writer, batch_size)


class PiiMasker(CleanFilter):
    """Personal data replaced by `<email>`, `<ip>` …; removes nothing.  mask: kinds, default all."""

    name = "curate: pii"

    def __init__(
        self,
        mask: Sequence[str] | None = None,
        replacements: Mapping[str, str] | None = None,
        batch_size: int = BATCH,
    ) -> None:
        given = {"replacements": dict(replacements or {}), **({} if mask is None else {"mask": list(mask)})}
        super().__init__([{"pii": given}], None, batch_size)
