"""The line editors that presets name (`edit: {editor: c4, …}` in data/presets.yaml).

An editor takes texts and its parameters, gives back the edited texts, a log of every edit
and one column of exact counts, its family, which the preset's thresholds look at.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pyarrow as pa

from curation.pipeline.errors import UsageError
from curation.pipeline.task import Json
from curation.text import c4, refinedweb
from curation.text.edits import EditedText


@dataclass(frozen=True)
class Editor:
    """A way to edit lines.

    `edit(text, parameters)` raises TypeError for a parameter that the editor does not have and
    ValueError for a value without sense.
    """

    family: str  # its column of counts
    version: int  # raised whenever the edit or a count can differ for some text
    edit: Callable[[pa.LargeStringArray, Json], EditedText]
    rules: tuple[str, ...]  # names in its log


@cache
def block_list(path: str, sha256: str) -> tuple[str, ...]:
    """The words and phrases of a block list, one a line, lower-cased.

    Raises OSError when it cannot be read, UsageError when it is not the file that was planned with.
    """
    data = Path(path).read_bytes()
    if hashlib.sha256(data).hexdigest() != sha256:
        raise UsageError(f"{path}: not the block list that the run was planned with", "run `curate run` again")
    return tuple(line.strip().lower() for line in data.decode("utf-8").splitlines() if line.strip())


def _edit_c4(text: pa.LargeStringArray, parameters: Json) -> EditedText:
    """`blocked_words` is a file: {path, sha256}."""
    given = parameters.get("blocked_words")
    settings = c4.C4Parameters(**{**parameters, "blocked_words": given is not None})
    return c4.edit(text, settings, block_list(given["path"], given["sha256"]) if given else ())


def _edit_refinedweb(text: pa.LargeStringArray, parameters: Json) -> EditedText:
    return refinedweb.edit(text, refinedweb.RefinedWebParameters(**parameters))


EDITORS: Mapping[str, Editor] = {
    "c4": Editor("c4", c4.C4_VERSION, _edit_c4, c4.RULES),
    "refinedweb": Editor("refinedweb", refinedweb.REFINEDWEB_VERSION, _edit_refinedweb, refinedweb.RULES),
}
