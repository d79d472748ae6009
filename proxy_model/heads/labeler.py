"""The door `curate.labelers`: `proxy:FOLDER` tags with a trained proxy tagger.  No torch until it is opened."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from curation.pipeline.errors import UsageError
from proxy_model.actions import need_torch
from quality.rubric.rubric import DIMENSIONS
from quality.tagging.labeler import Labels


class ProxyLabeler:
    """A tagger of `proxy_model.heads` as `quality.tagging.labeler.Labeler`; on one thread, so that bits stay.

    Raises UsageError for a folder that holds none, or one that lacks a score dimension or categories.
    """

    def __init__(self, folder: str) -> None:
        from proxy_model.heads.files import load_tagger

        self._tagger = load_tagger(folder)
        spec = self._tagger.heads.spec
        missing = [name for name in DIMENSIONS if name not in spec.dimensions]
        missing += [] if spec.categories else ["category"]
        if missing:
            raise UsageError(f"{folder}: this tagger does not score {', '.join(missing)}", "train one on rubric labels")
        self.name, self.hash = f"proxy:{folder}", self._tagger.hash
        self.categories = spec.categories
        self.card: dict[str, Any] = self._tagger.card

    def label(self, texts: pa.LargeStringArray) -> Labels:
        """See `Labeler`."""
        from proxy_model.heads.texts import strings
        from proxy_model.train.devices import reproducible

        with reproducible(self._tagger.model.embed.weight.device, threads=1):
            found = self._tagger.predict(strings(texts))
        value, lo, hi = (
            np.stack([by_name[name] for name in DIMENSIONS], axis=1) for by_name in (found.value, found.lo, found.hi)
        )
        return Labels(value, lo, hi, found.category_p, found.low_confidence)


def proxy_labeler(argument: str) -> ProxyLabeler:
    """The factory behind `proxy:FOLDER`."""
    need_torch()
    if not argument:
        raise UsageError("the labeler `proxy` needs a folder", "write proxy:FOLDER")
    return ProxyLabeler(argument)
