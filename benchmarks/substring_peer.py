"""ExactSubstr by a suffix array (pydivsufsort) over everything at once: the peer and the oracle of `substring.py`.

    python benchmarks/substring_peer.py TEXT LENGTH OUT

TEXT is all documents with a byte 0xFF after each; OUT gets the bytes of `[first, after)` ranges (int64 pairs) that
windows of LENGTH bytes cover which are equal to one that ended before they began.  Prints JSON.
"""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pydivsufsort

SEPARATOR = 0xFF


def peak_mb() -> int:
    status = Path("/proc/self/status").read_text()  # not ru_maxrss: that begins with the memory of the parent
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) >> 10


def repeated(text: np.ndarray, length: int, reached: dict[str, float]) -> np.ndarray:
    """Ranges, [n, 2]; `reached`: time and memory when suffix array and common prefixes stand."""
    order = pydivsufsort.divsufsort(text)
    common = pydivsufsort.kasai(text, order)  # of each suffix and the next in order
    reached["suffix_array_cpu_s"] = round(time.process_time(), 2)
    reached["suffix_array_peak_mb"] = peak_mb()
    starts = np.concatenate([[0], np.flatnonzero(common[:-1] < length) + 1])
    del common
    separators = np.flatnonzero(text == SEPARATOR)
    end = separators[np.searchsorted(separators, np.arange(len(text)))]
    inside = np.arange(len(text)) + length <= end
    del end
    places = np.where(inside[order], order, len(text)).astype(np.int64)
    first = np.repeat(np.minimum.reduceat(places, starts), np.diff(np.append(starts, len(text))))
    found = places[(places < len(text)) & (first + length <= places)]
    covered = np.zeros(len(text) + length + 1, np.int32)
    np.add.at(covered, found, 1)
    np.add.at(covered, found + length, -1)
    mask = np.cumsum(covered) > 0
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return edges.reshape(-1, 2).astype(np.int64)


def main() -> None:
    text = np.fromfile(sys.argv[1], np.uint8)
    reached: dict[str, float] = {"before_mb": peak_mb()}
    ranges = repeated(text, int(sys.argv[2]), reached)
    ranges.tofile(sys.argv[3])
    print(json.dumps({**reached, "cpu_s": round(time.process_time(), 2), "version": version("pydivsufsort")}))


if __name__ == "__main__":
    main()
