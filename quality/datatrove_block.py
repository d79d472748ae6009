"""Tags as a block of a datatrove pipeline.

    LocalPipelineExecutor([JsonlReader("in/"), QualityTagger("default"), JsonlWriter("out/")]).run()

Scores with interval, category, byte_count and the labeler's hash become metadata.  Percentiles, mix_score and bucket
need all documents: `curate quality tag` or `curate run` give them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from datatrove.data import Document, DocumentsPipeline
from datatrove.pipeline.base import PipelineStep

from curation.datatrove.documents import columns_of
from curation.pipeline.schema import TEXT
from quality.tagging.labeler import Labeler, open_labeler
from quality.tagging.tag import Chunking, tag

BATCH = 1000  # documents
BATCH_CHARACTERS = 8 << 20


class QualityTagger(PipelineStep):  # type: ignore[misc]  # datatrove ships no types
    """Puts the columns of `quality.tagging.tag.TAG_SCHEMA` into each document's metadata.

    model: as `quality: {model: …}`; raises UsageError for one that cannot be opened, before the pipeline starts.
    """

    type = "🏷 TAGGER"
    name = "curate: quality"

    def __init__(self, model: str = "default", chunking: Chunking = Chunking(), batch_size: int = BATCH) -> None:  # noqa: B008
        super().__init__()
        self.model, self.chunking, self.batch_size = model, chunking, batch_size
        self._labeler: Labeler | None = open_labeler(model)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_labeler": None}  # workers open it themselves: a name travels, no weights

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """The documents in their order, tagged."""
        batch: list[Document] = []
        size = 0
        for document in data or ():
            batch.append(document)
            size += len(document.text)
            if len(batch) >= self.batch_size or size >= BATCH_CHARACTERS:
                yield from self._tagged(batch)
                batch, size = [], 0
        yield from self._tagged(batch)

    def _tagged(self, batch: list[Document]) -> Iterator[Document]:
        if not batch:
            return
        self._labeler = self._labeler or open_labeler(self.model)
        with self.track_time("batch"):
            texts = columns_of(batch)[TEXT]
            rows = tag(self._labeler, texts, self.chunking).to_pylist()
        for document, row in zip(batch, rows, strict=True):
            document.metadata |= row
            self.update_doc_stats(document)
            self.stat_update("tagged", "low_confidence" if row["low_confidence"] else "confident")
            yield document
