"""The datatrove side of `end_to_end.py`; runs in datatrove's own environment.

python end_to_end_peer.py OUTPUT_FOLDER LID_MODEL WARC...
"""

import json
import os
import sys
import time
from functools import partial
from importlib.metadata import version

from datatrove.pipeline.extractors import Trafilatura
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
    LanguageFilter,
    URLFilter,
)
from datatrove.pipeline.readers import WarcReader
from datatrove.pipeline.writers import JsonlWriter
from datatrove.utils.lid import LID
from fasttext.FastText import _FastText
from loguru import logger


class LocalModel(LID):
    """datatrove downloads its model at run time; this is the same model from a file."""

    def __init__(self, path):
        self.model = _FastText(path)

    def predict(self, doc):
        labels, scores = self.model.predict(doc.text.replace("\n", " "), k=1)
        pairs = {label.removeprefix("__label__"): float(score) for label, score in zip(labels, scores, strict=True)}
        return max(pairs.items(), key=lambda pair: pair[1]), pairs


def main(output, model, *archives):
    logger.remove()
    started = time.process_time()
    language = LanguageFilter(languages=None, language_threshold=0.0)
    language.model = LocalModel(model)
    urls = URLFilter()
    c4 = partial(C4QualityFilter, filter_no_terminal_punct=False)
    counts = {"read": 0, "extracted": 0, "kept": 0}

    def counted(stream, key):
        for document in stream:
            counts[key] += 1
            yield document

    folder = os.path.dirname(archives[0])
    names = {os.path.basename(archive) for archive in archives}
    for name in sorted(names):
        stream = counted(WarcReader(folder, glob_pattern=name).run(None, 0, 1), "read")
        stream = urls.run(stream, 0, 1)
        stream = counted(Trafilatura(favour_precision=True, timeout=20).run(stream, 0, 1), "extracted")
        stream = language.run(stream, 0, 1)
        for i, make in enumerate((GopherRepetitionFilter, GopherQualityFilter, c4, FineWebQualityFilter)):
            stream = make(exclusion_writer=JsonlWriter(f"{output}/removed/{i}/{name}")).run(stream, 0, 1)
        for _ in counted(JsonlWriter(f"{output}/kept/{name}").run(stream, 0, 1), "kept"):
            pass
    print(
        json.dumps(
            {
                **counts,
                "start_cpu_s": round(started, 2),
                "version": version("datatrove"),
                "trafilatura": version("trafilatura"),
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
