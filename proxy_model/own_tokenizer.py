"""Which tokenizer a checkpoint was trained with: a file beside it, or that of the run that packed its shards."""

from __future__ import annotations

import json
from pathlib import Path

TOKENIZER, RUN = "tokenizer.json", "config.json"


def own_tokenizer(folder: Path, digest: object) -> Path | None:
    """tokenizer.json in the checkpoint's folder or up to two above it, else in the curate run whose shards were read.

    folder: with the model's files, as a run's `final/`; digest: the tokenizer's hash, as the model records it, which
    the packing run's tokenizer must still have.
    """
    resolved = folder.resolve()
    for place in (resolved, *list(resolved.parents)[:2]):
        if (place / TOKENIZER).exists():
            return place / TOKENIZER
    for place in (resolved, resolved.parent):
        found = _of_packing_run(place / RUN, digest)
        if found is not None:
            return found
    return None


def _of_packing_run(config: Path, digest: object) -> Path | None:
    from tokenizer.encoding.source import open_tokenizer

    try:
        shards = json.loads(config.read_text(encoding="utf-8"))["shards"]
    except (OSError, ValueError, KeyError, TypeError):
        return None  # a saved model alone names no shards
    found = Path(str(shards)).parent / "tokenizer" / TOKENIZER
    return found if found.is_file() and open_tokenizer(found).hash == digest else None
