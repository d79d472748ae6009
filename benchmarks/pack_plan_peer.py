"""The peers of pack_plan.py: TRL, OLMo-core and LightBinPack, run by their own interpreter (no imports of ours).

Reads a command a line, `<peer> <file of lengths> <L> <how many>`, and answers with the CPU seconds of one packing,
its number of sequences and a digest of the sorted rooms that it leaves.  Inputs in the form a peer wants are made
before its clock starts; TRL's is a column of one byte a token, the cheapest that it can gather.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from importlib.metadata import version
from typing import Any

import lightbinpack
import numpy as np
import pyarrow as pa
from olmo_core.data.utils import InstancePacker
from trl.data_utils import _pack_bfd

Answer = dict[str, Any]


def answer(seconds: float, used: Any, L: int) -> Answer:
    rooms = np.sort(L - np.asarray(used, np.int64))
    return {"seconds": seconds, "sequences": rooms.size, "rooms": hashlib.sha256(rooms.tobytes()).hexdigest()}


def trl(lengths: np.ndarray, L: int) -> Answer:
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    tokens = pa.LargeListArray.from_arrays(offsets, np.zeros(int(offsets[-1]), np.int8))
    table = pa.table({"input_ids": tokens})
    start = time.process_time()
    packed = _pack_bfd(table, L, "split")
    seconds = time.process_time() - start
    return answer(seconds, [sum(row) for row in packed["seq_lengths"].to_pylist()], L)


def olmo(lengths: np.ndarray, L: int) -> Answer:
    ends = np.cumsum(lengths).astype(np.uint64)
    documents = np.stack([ends - lengths.astype(np.uint64), ends], 1)
    packer = InstancePacker(L)
    start = time.process_time()
    instances, ordered, _ = packer.pack_documents(documents)
    seconds = time.process_time() - start
    sizes = (ordered[:, 1] - ordered[:, 0]).astype(np.int64)
    return answer(seconds, [int(sizes[instance].sum()) for instance in instances], L)


def light(lengths: np.ndarray, L: int) -> Answer:
    items = lengths.tolist()
    start = time.process_time()
    bins = lightbinpack.obfd(items, L)
    seconds = time.process_time() - start
    return answer(seconds, [int(lengths[one].sum()) for one in bins], L)


PEERS = {"trl": trl, "olmo": olmo, "lightbinpack": light}


def main() -> None:
    print(json.dumps({name: version(name) for name in ("trl", "ai2-olmo-core", "lightbinpack")}), flush=True)
    for line in sys.stdin:
        peer, path, L, count = line.split()
        print(json.dumps(PEERS[peer](np.load(path)[: int(count)], int(L))), flush=True)


if __name__ == "__main__":
    main()
