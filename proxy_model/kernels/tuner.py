"""Chooses the table's entries and writes them into table.py.

    python -m proxy_model.kernels.tuner --head-dim 128              # on a GPU: by time, for that GPU's generation
    python -m proxy_model.kernels.tuner --offline --capability 90   # anywhere: by what the compiler says

Candidates that break a limit of `offline` (stack, shared memory, tensor cores) are out.  On a GPU the fastest forward
plus backward pass wins, median of rounds in which the candidates take turns.  Offline the widest `columns` wins (each
program reads A and B once for its columns), then the least stack, then the fewest registers.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch

import proxy_model.kernels.lightning as lightning
import proxy_model.kernels.offline as offline
from proxy_model.kernels.slopes import lightning_slopes
from proxy_model.kernels.table import CAPABILITIES, HEAD_DIMS, SEGMENTS, TABLE, Tile

TABLE_FILE = Path(__file__).with_name("table.py")
ROUNDS = 15
TOKENS = 65_536


def candidates(head_dim: int) -> Iterator[Tile]:
    """Tiles worth a look: 24 at most."""
    for rows in (64, 32):
        for columns in (c for c in (128, 64, 32, 16) if c <= head_dim):
            for warps, stages in ((8, 2), (4, 2), (4, 3)):
                yield Tile(rows, columns, warps, stages, min(head_dim, 64), 8 if head_dim >= 128 else 4)


def fitting(head_dim: int, capability: int) -> list[tuple[Tile, list[offline.Built]]]:
    """The candidates without faults, each with what the compiler says of it."""
    found = []
    for entry in candidates(head_dim):
        report = offline.build([offline.Job(head_dim, capability, entry, ("o", "dk", "state"))])
        broken = [fault for built in report for fault in offline.faults(built)]
        print(f"{head_dim} sm_{capability} {tuple(entry)}: {'; '.join(broken) or 'fits'}", flush=True)
        if not broken:
            found.append((entry, report))
    if not found:
        raise RuntimeError(f"no candidate for head dimension {head_dim} on sm_{capability} keeps the limits")
    return found


def choose_offline(head_dim: int, capability: int) -> Tile:
    """By the compiler's figures alone."""

    def cost(choice: tuple[Tile, list[offline.Built]]) -> tuple[int, ...]:
        entry, report = choice
        return -entry.columns, -entry.rows, max(b.stack for b in report), max(b.registers for b in report)

    return min(fitting(head_dim, capability), key=cost)[0]


def choose_by_time(head_dim: int, capability: int, heads: int = 16) -> Tile:
    """By the time of both passes on the present GPU: bfloat16, 65,536 tokens in documents of 1,024."""
    q, k, v, do = (torch.randn(TOKENS, heads, head_dim, device="cuda", dtype=torch.bfloat16) for _ in range(4))
    slopes = lightning_slopes(heads, 0, 2).cuda()
    resets = (torch.arange(TOKENS, device="cuda") % 1024).to(torch.int32)

    def seconds(entry: Tile) -> float:
        torch.cuda.synchronize()
        begun = time.perf_counter()
        _, states = lightning.forward(q, k, v, slopes, resets, entry, SEGMENTS[0])
        lightning.backward(q, k, v, slopes, resets, states, do, entry, SEGMENTS[0])
        torch.cuda.synchronize()
        return time.perf_counter() - begun

    entries = [entry for entry, _ in fitting(head_dim, capability)]
    for entry in entries:
        seconds(entry)  # compiles
    taken: dict[Tile, list[float]] = {entry: [] for entry in entries}
    for _ in range(ROUNDS):
        for entry in entries:
            taken[entry].append(seconds(entry))
    for entry in sorted(entries, key=lambda e: statistics.median(taken[e])):
        nanoseconds = statistics.median(taken[entry]) * 1e9 / TOKENS / heads
        print(f"{tuple(entry)}: {nanoseconds:.3f} ns a token and head, forward and backward")
    return min(entries, key=lambda e: statistics.median(taken[e]))


def write_table(table: Mapping[tuple[int, int], Tile], path: Path = TABLE_FILE) -> None:
    """Replace the block TABLE of table.py by `table`, ordered by capability and head dimension."""
    head, _, rest = TABLE_FILE.read_text(encoding="utf-8").partition("TABLE: dict[tuple[int, int], Tile] = {\n")
    _, _, tail = rest.partition("}\n")
    lines = [
        f"    ({dim}, {capability}): Tile({', '.join(map(str, table[dim, capability]))}),\n"
        for capability in CAPABILITIES
        for dim in HEAD_DIMS
    ]
    text = head + "TABLE: dict[tuple[int, int], Tile] = {\n" + "".join(lines) + "}\n" + tail
    temporary = path.with_suffix(".part")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def main() -> None:
    """Choose the entries asked for and write the table."""
    parser = argparse.ArgumentParser(description="Choose launch parameters and write them into kernels/table.py.")
    parser.add_argument("--head-dim", type=int, choices=HEAD_DIMS, action="append")
    parser.add_argument("--capability", type=int, choices=CAPABILITIES, action="append", help="with --offline")
    parser.add_argument("--offline", action="store_true", help="by the compiler's figures, without a GPU")
    chosen = parser.parse_args()
    if not chosen.offline and not torch.cuda.is_available():
        parser.error("no CUDA device: add --offline to choose by the compiler's figures")
    table = dict(TABLE)
    dims = chosen.head_dim or HEAD_DIMS
    if chosen.offline:
        for capability in chosen.capability or CAPABILITIES:
            table |= {(dim, capability): choose_offline(dim, capability) for dim in dims}
    else:
        major, minor = torch.cuda.get_device_capability()
        if 10 * major + minor not in CAPABILITIES:
            parser.error(f"the table has no generation {major}.{minor}: add it to CAPABILITIES in kernels/table.py")
        table |= {(dim, 10 * major + minor): choose_by_time(dim, 10 * major + minor) for dim in dims}
    write_table(table)
    print(f"written: {TABLE_FILE.name}")


if __name__ == "__main__":
    main()
