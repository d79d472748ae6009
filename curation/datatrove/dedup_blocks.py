"""Exact and verified near-duplicate removal as three stages of datatrove pipelines.

    DedupSignatures(folder)   after a reader, any number of tasks
    DedupClusters(folder)     one task
    DedupFilter(folder)       after a reader, any number of tasks, the same or another

The stages plan and execute the very tasks of a `dedup:` section (`dedup_folder`), so they remove what
`curate run` removes.  Documents are known by their `id`, never by rank and position: the filter stage may
read other files, in another order, with another number of tasks; an id that it has no verdict on is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from datatrove.data import Document, DocumentsPipeline
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.filters.base_filter import BaseFilter
from datatrove.pipeline.writers.disk_base import DiskWriter
from datatrove.utils.typeshelper import StatHints

from curation.datatrove.clean_blocks import BATCH
from curation.datatrove.dedup_folder import VERDICTS, DedupFolder
from curation.datatrove.verdicts import Verdicts
from curation.pipeline.errors import UsageError
from curation.pipeline.hashing import hash64

DEFAULT: Mapping[str, Any] = {"exact": {}, "minhash": {}}


class DedupSignatures(PipelineStep):  # type: ignore[misc]  # datatrove ships no types
    """First stage: hashes and signatures of every document.

    folder: a local or shared folder, empty at first.  dedup: as the `dedup:` section of the YAML.
    """

    type = "DEDUP"
    name = "curate: signatures"

    def __init__(self, folder: str, dedup: Mapping[str, Any] = DEFAULT) -> None:
        super().__init__()
        self.folder = DedupFolder(str(folder), dict(dedup))

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> None:
        """Reads all documents of this rank; gives none on."""
        if data is None:
            raise UsageError("DedupSignatures stands after a reader")
        with self.track_time():
            self.stat_update(StatHints.total, value=self.folder.add_rank(data, rank, world_size))


class DedupClusters(PipelineStep):  # type: ignore[misc]
    """Second stage, one task: finds, verifies and resolves duplicates; writes the ledger to `<folder>/clusters/`.

    confirmed: go on although a source loses more than `max_source_loss` or a cluster is above `max_cluster`.
    """

    type = "DEDUP"
    name = "curate: clusters"

    def __init__(self, folder: str, dedup: Mapping[str, Any] = DEFAULT, confirmed: bool = False) -> None:
        super().__init__()
        self.folder = DedupFolder(str(folder), dict(dedup))
        self.confirmed = confirmed

    def run(self, data: DocumentsPipeline = None, rank: int = 0, world_size: int = 1) -> None:
        """Raises UsageError for an incomplete first stage, NeedsConfirmation without `confirmed`."""
        if data is not None or world_size != 1:
            raise UsageError("DedupClusters is a pipeline of its own with tasks=1")
        with self.track_time():
            for name, value in self.folder.decide(confirmed=self.confirmed).items():
                self.stat_update(name, value=value)


class DedupFilter(BaseFilter):  # type: ignore[misc]
    """Third stage: drops what the second decided (`dedup.exact`, `dedup.minhash`).

    A document that stays gets `metadata["duplicate_count"]`: how many it stands for, itself included.
    """

    name = "curate: dedup"

    def __init__(self, folder: str, exclusion_writer: DiskWriter | None = None, batch_size: int = BATCH) -> None:
        super().__init__(exclusion_writer, batch_size)
        self.folder = str(folder)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_verdicts"}

    @cached_property
    def _verdicts(self) -> Verdicts:
        return Verdicts.open(Path(self.folder) / VERDICTS)

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        """One document; a pipeline calls `filter_batch`."""
        return self.filter_batch([doc])[0]

    def filter_batch(self, batch: list[Document]) -> list[bool | tuple[bool, str]]:
        """Raises UsageError for a document that the first stage has not seen."""
        keys = np.array([hash64(one.id) for one in batch], np.uint64)
        rows, known = self._verdicts.rows_of(keys)
        if not known.all():
            unknown = batch[int(np.flatnonzero(~known)[0])].id
            raise UsageError(
                f"document {unknown!r} was not among those of DedupSignatures", "both stages must give the same ids"
            )
        results: list[bool | tuple[bool, str]] = []
        for one, row in zip(batch, rows.tolist(), strict=True):
            rule = self._verdicts.rule(row)
            if rule is None:
                one.metadata["duplicate_count"] = int(self._verdicts.counts[row])
            results.append(True if rule is None else (False, rule))
        return results
