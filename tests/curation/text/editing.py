"""What every line editor promises about its log, for the editors' tests."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from curation.text.edits import EDITS, EditedText


def column(*texts: str | None) -> pa.LargeStringArray:
    return pa.array(texts, pa.large_string())


def rows(edited: EditedText) -> list[dict[str, Any] | None]:
    """The counts of every document."""
    ((_, counts),) = edited.columns.items()
    return counts.to_pylist()  # type: ignore[no-any-return]


def rules(edited: EditedText, row: int = 0) -> list[str]:
    return [edit["rule"] for edit in edited.edits[row].as_py()]


def check_log(texts: pa.LargeStringArray, edited: EditedText) -> None:
    """Edits are in order, do not overlap, hold what stood there, and turn each given text into the new one."""
    assert edited.edits.type == EDITS
    assert len(edited.text) == len(edited.edits) == len(texts)
    for given, new, log in zip(texts.to_pylist(), edited.text.to_pylist(), edited.edits.to_pylist(), strict=True):
        if given is None:
            assert new is None and not log
            continue
        data, out, end = given.encode(), b"", 0
        for edit in log:
            start, stop = edit["start"], edit["start"] + edit["length"]
            assert end <= start < stop or (start == stop and end <= start)
            assert data[start:stop] == edit["before"].encode()
            assert edit["before"] != edit["after"]
            out += data[end:start] + edit["after"].encode()
            end = stop
        assert out + data[end:] == new.encode()
        assert bool(log) == (given != new)
