"""Packing plans: padding of two length laws, speed beside TRL, OLMo-core and LightBinPack, a hundred million documents.

    python benchmarks/pack_plan.py --peer-python PATH

PATH is the interpreter of an environment with trl, ai2-olmo-core and lightbinpack.  All pack the same fragments and
must leave the same multiset of rooms; CPU time, alternating, the least of the rounds for each side.  The hundred
million documents are planned in processes of their own, whose peak memory is taken.
Writes benchmarks/results/pack_plan.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pack_laws import dclm, mixed
from peer_process import Peer
from results import write_result

from packing.plan.cut import cut_documents
from packing.plan.pack import pack
from packing.plan.report import report

LENGTHS = (2048, 8192, 131072)
SEEDS = (1, 2, 3)
PEERS = {"trl": 100_000, "olmo": 100_000, "lightbinpack": 1_000_000}  # documents: the slow ones get fewer
HUGE, CHUNK = 100_000_000, 1_000_000


def padding(documents: int) -> dict[str, Any]:
    """Worst of the seeds, by law, method and sequence length."""
    found: dict[str, Any] = {}
    for law in (dclm, mixed):
        for L in LENGTHS:
            for method in ("bfd", "windowed", "concat"):
                plans = [report(law(documents, seed), L, method) for seed in SEEDS]
                found.setdefault(law.__name__, {}).setdefault(str(L), {})[method] = {
                    "padding_percent": round(100 * max(plan.padding_share for plan in plans), 5),
                    "sequences_over_lower_bound": round(max(p.sequences / p.lower_bound for p in plans), 7),
                    "sequences_above": max(plan.sequences - plan.lower_bound for plan in plans),
                    "unnecessary_cuts": max(plan.cuts_unnecessary for plan in plans),
                    "documents_cut_percent": round(100 * max(p.documents_cut / p.documents for p in plans), 2),
                }
    return found


def our_packing(lengths: NDArray[np.int64], L: int, method: str) -> dict[str, Any]:
    start = time.process_time()
    made = pack(lengths, L, method)  # type: ignore[arg-type]
    seconds = time.process_time() - start
    used = np.bincount(made.bin, weights=lengths, minlength=made.bins).astype(np.int64)
    rooms = np.sort(L - used)
    return {"seconds": seconds, "sequences": made.bins, "rooms": hashlib.sha256(rooms.tobytes()).hexdigest()}


def speed(peer: Peer, rounds: int) -> dict[str, Any]:
    """CPU seconds of each, alternating, on the same fragments; the rooms must be equal."""
    found: dict[str, Any] = {}
    for L in LENGTHS:
        fragments, _ = cut_documents(dclm(1_000_000, 7), L)
        with tempfile.NamedTemporaryFile(suffix=".npy") as file:
            np.save(file, fragments.length)
            file.flush()
            for name, count in PEERS.items():
                part = fragments.length[:count]
                for method in ("bfd", "windowed"):
                    our_packing(part[:1000], L, method)  # load the kernels before the clock starts
                runs = []
                for _ in range(rounds):
                    ours, windowed = our_packing(part, L, "bfd"), our_packing(part, L, "windowed")
                    theirs = peer.ask(f"{name} {file.name} {L} {count}")
                    if theirs["rooms"] != ours["rooms"]:
                        raise SystemExit(f"{name} at {L} leaves other rooms: {theirs} against {ours}")
                    runs.append((ours["seconds"], windowed["seconds"], theirs["seconds"]))
                own, stream, other = (min(column) for column in zip(*runs, strict=True))
                found.setdefault(name, {})[str(L)] = {
                    "fragments": part.size,
                    "ours_m_per_s": round(part.size / own / 1e6, 1),
                    "ours_windowed_m_per_s": round(part.size / stream / 1e6, 1),
                    "peer_m_per_s": round(part.size / other / 1e6, 4),
                    "times_faster": round(other / own, 1),
                    "windowed_times_faster": round(other / stream, 1),
                    "same_rooms": True,
                    "rounds": runs,
                }
                print(name, L, found[name][str(L)]["times_faster"], flush=True)
    return found


def chunks(documents: int, spent: list[tuple[float, float]]) -> Iterator[NDArray[np.int64]]:
    """The column of token counts, made chunk by chunk; the (CPU, wall) seconds it takes are noted and not ours."""
    for number in range(documents // CHUNK):
        start = time.process_time(), time.perf_counter()
        part = dclm(CHUNK, 1000 + number)
        spent.append((time.process_time() - start[0], time.perf_counter() - start[1]))
        yield part


def huge(what: str, documents: int) -> dict[str, Any]:
    """In a process of its own: the report, or the sequence of every fragment."""
    spent: list[tuple[float, float]] = []
    start, cpu = time.perf_counter(), time.process_time()
    if what == "assign":
        parts = [cut_documents(part, 2048)[0].length.astype(np.int32) for part in chunks(documents, spent)]
        lengths = np.concatenate(parts)
        del parts
        made = pack(lengths, 2048)
        found = {"fragments": lengths.size, "sequences": made.bins, "tokens": int(lengths.sum(dtype=np.int64))}
    else:
        plan = report(chunks(documents, spent), 2048, what)  # type: ignore[arg-type]
        found = {"fragments": plan.fragments, "sequences": plan.sequences, "tokens": plan.tokens}
    seconds = time.perf_counter() - start - sum(wall for _, wall in spent)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    cpu_seconds = time.process_time() - cpu - sum(used for used, _ in spent)
    return {
        **found,
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu_seconds, 1),
        "peak_gib": round(peak / 2**30, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python")
    parser.add_argument("--documents", type=int, default=1_000_000, help="of the padding table (default 1 M)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--huge", choices=("bfd", "windowed", "assign"), help="(a process of the script's own)")
    arguments = parser.parse_args()
    if arguments.huge:
        print(json.dumps(huge(arguments.huge, HUGE)))
        return
    if not arguments.peer_python:
        parser.error("--peer-python is needed")
    result: dict[str, Any] = {"padding": padding(arguments.documents)}
    result["hundred_million"] = {
        what: json.loads(subprocess.check_output([sys.executable, __file__, "--huge", what]))
        for what in ("bfd", "windowed", "assign")
    }
    print(json.dumps(result, indent=1), flush=True)
    peer = Peer(arguments.peer_python, "pack_plan_peer.py")
    result["speed"] = speed(peer, arguments.rounds)
    write_result("pack_plan", result, peer.versions)


if __name__ == "__main__":
    main()
