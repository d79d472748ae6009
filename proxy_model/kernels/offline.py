"""What the kernels become on a GPU, seen without one: every table entry compiled for sm_80, sm_90 and sm_100.

    python -m proxy_model.kernels.offline --json

Triton's wheel holds the assembler and cuobjdump.  Registers, stack (spills), shared memory and tensor-core instructions
show what the interpreter cannot; `faults` says which limits an entry breaks.  Needs no CUDA, no driver.  In a process
with TRITON_INTERPRET=1 Triton's own library is interpreted and nothing compiles: `build` then asks a fresh process.
"""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

import proxy_model.kernels.lightning as lightning
from proxy_model.kernels.table import CAPABILITIES, HEAD_DIMS, SCAN_BLOCK, Tile, tile

STACK_LIMIT = 64  # bytes a thread
SHARED_LIMIT = {80: 99 * 1024, 90: 227 * 1024, 100: 227 * 1024}  # 99 KB: the entries of 80 also serve 86, 89 and 120
TENSOR_CORE = {80: "mma.sync", 90: "wgmma.mma_async", 100: "tcgen05.mma"}  # in the PTX
POINTERS = dict.fromkeys(("A", "B", "C", "OUT"), "*bf16") | {"RESETS": "*i32", "STATES": "*fp32", "SLOPES": "*fp32"}
STRIDES = ("a_t", "a_h", "b_t", "b_h", "c_t", "c_h")
MIXES = {"o": (False, False), "dq": (False, True), "dv": (True, False), "dk": (True, True)}  # reversed, transposed


@dataclass(frozen=True)
class Built:
    """One compiled kernel.  `tensor_core` counts the generation's own matrix instructions, `plain` mma.sync."""

    kernel: str
    head_dim: int
    capability: int
    registers: int
    stack: int
    shared: int
    tensor_core: int
    plain: int
    seconds: float


class Job(NamedTuple):
    """What to compile: the table's entry, or another; all of o, dq, dv, dk, state, state_reversed, scan, or some."""

    head_dim: int
    capability: int
    entry: Tile | None = None
    kernels: Sequence[str] | None = None


def build(jobs: Sequence[Job]) -> list[Built]:
    """Compile everything that the jobs name, in order; about a second a kernel, less from Triton's cache."""
    if not lightning.interpreted():
        return [built for job in jobs for built in _build_job(job)]
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    command = [sys.executable, "-m", "proxy_model.kernels.offline", "--jobs"]
    done = subprocess.run(command, input=json.dumps(jobs), capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(f"the compiling process failed:\n{done.stderr[-2000:]}")
    return [Built(**fields) for fields in json.loads(done.stdout)]


def _build_job(job: Job) -> Iterator[Built]:
    head_dim, capability, _, kernels = job
    entry = tile(head_dim, capability) if job.entry is None else Tile(*job.entry)
    common = {"H": 16, "D": head_dim, "BT": entry.rows, "UPCAST": False}
    for name, (reverse, transposed) in MIXES.items():
        if kernels is None or name in kernels:
            constants = common | {"BC": entry.columns, "REVERSED": reverse, "TRANSPOSED": transposed}
            options = {"num_warps": entry.warps, "num_stages": entry.stages}
            yield _build(name, lightning._mix, constants, options, head_dim, capability)
    for name, reverse in (("state", False), ("state_reversed", True)):
        if kernels is None or name in kernels:
            constants = common | {"BC": entry.state_columns, "REVERSED": reverse}
            options = {"num_warps": entry.state_warps, "num_stages": entry.state_stages}
            yield _build(name, lightning._state, constants, options, head_dim, capability)
    if kernels is None or "scan" in kernels:
        constants = {"H": 16, "DD": head_dim**2, "BLOCK": SCAN_BLOCK, "REVERSED": False}
        yield _build("scan", lightning._scan, constants, {"num_warps": SCAN_BLOCK // 64}, head_dim, capability)


def faults(built: Built) -> list[str]:
    """Limits that a compiled kernel breaks, in words; empty when it may ship."""
    where = f"{built.kernel} D={built.head_dim} sm_{built.capability}"
    found = []
    if built.stack > STACK_LIMIT:
        found.append(f"{where}: {built.stack} bytes of stack a thread, at most {STACK_LIMIT}")
    if built.shared > SHARED_LIMIT[built.capability]:
        found.append(f"{where}: {built.shared} bytes of shared memory, at most {SHARED_LIMIT[built.capability]}")
    # wgmma is a must on 90, where mma.sync has half its speed; its tile has 64 rows, a state of 16 or 32 has fewer
    older = built.plain > 0 and (built.capability != 90 or (built.kernel.startswith("state") and built.head_dim < 64))
    if built.kernel != "scan" and not built.tensor_core and not older:
        found.append(f"{where}: no {TENSOR_CORE[built.capability]} instruction")
    return found


def _build(
    name: str, kernel: Any, constants: dict[str, Any], options: dict[str, Any], head_dim: int, capability: int
) -> Built:
    names = kernel.arg_names
    signature = {a: "constexpr" if a in constants else POINTERS.get(a, "i32") for a in names}
    aligned = {
        (i,): [["tt.divisibility", 16]] for i, a in enumerate(names) if a in POINTERS or a in STRIDES or a == "SEG"
    }
    source = ASTSource(
        fn=kernel,
        signature=signature,
        constexprs={(names.index(a),): value for a, value in constants.items()},
        attrs=aligned,
    )
    begun = time.perf_counter()
    compiled = triton.compile(
        source, target=GPUTarget("cuda", capability, 32), options={**options, "enable_fp_fusion": True}
    )
    seconds = time.perf_counter() - begun
    registers, stack = _resources(compiled.asm["cubin"])
    ptx = compiled.asm["ptx"]
    return Built(
        kernel=name,
        head_dim=head_dim,
        capability=capability,
        registers=registers,
        stack=stack,
        shared=compiled.metadata.shared,
        tensor_core=_count(TENSOR_CORE[capability], ptx),
        plain=_count(TENSOR_CORE[80], ptx),
        seconds=round(seconds, 2),
    )


def _count(instruction: str, ptx: str) -> int:  # whole words: mma.sync is also the end of wmma.mma.sync
    return len(re.findall(rf"(?<![\w.]){re.escape(instruction)}", ptx))


def _resources(cubin: bytes) -> tuple[int, int]:
    tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        said = subprocess.run(
            [tool, "--dump-resource-usage", file.name], capture_output=True, text=True, check=True
        ).stdout
    found = re.search(r"REG:(\d+) STACK:(\d+)", said)
    if found is None:
        raise RuntimeError(f"cuobjdump says nothing of registers: {said[:200]}")
    return int(found[1]), int(found[2])


def main(arguments: list[str] | None = None) -> int:
    """Print the report; exit code 1 where an entry breaks a limit."""
    parser = argparse.ArgumentParser(description="Compile every table entry without a GPU and report its resources.")
    parser.add_argument("--head-dim", type=int, choices=HEAD_DIMS, action="append")
    parser.add_argument("--capability", type=int, choices=CAPABILITIES, action="append")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    parser.add_argument(
        "--jobs", action="store_true", help="read jobs as JSON from the standard input, write what was built"
    )
    chosen = parser.parse_args(arguments)
    if chosen.jobs:
        print(json.dumps([asdict(built) for built in build([Job(*fields) for fields in json.load(sys.stdin)])]))
        return 0
    report = build([Job(d, c) for c in chosen.capability or CAPABILITIES for d in chosen.head_dim or HEAD_DIMS])
    broken = [fault for built in report for fault in faults(built)]
    if chosen.json:
        print(
            json.dumps(
                {"triton": triton.__version__, "kernels": [asdict(b) for b in report], "faults": broken}, indent=1
            )
        )
    else:
        for b in report:
            print(
                f"sm_{b.capability} D={b.head_dim:<3} {b.kernel:<14} {b.registers:>3} registers {b.stack:>3} B stack "
                f"{b.shared:>6} B shared {b.tensor_core:>3} own {b.plain:>3} mma.sync {b.seconds:>5} s"
            )
        for fault in broken:
            print(fault, file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
