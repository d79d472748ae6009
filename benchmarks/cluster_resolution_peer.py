"""The peer of cluster_resolution.py: datatrove's cluster stage, run by its own interpreter (no imports of ours).

Reads the folder of .dups files named on the command line; prints one line of JSON.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupCluster


def peak_memory_mb() -> float:
    """Largest resident size of this process (Linux)."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024 / 1e6


def main() -> None:
    folder = Path(sys.argv[1])
    files = list(folder.glob("*.dups"))
    before = peak_memory_mb()
    with tempfile.TemporaryDirectory() as output:
        stage = MinhashDedupCluster(str(folder), output, MinhashConfig(num_buckets=len(files)), lines_to_buffer=1000)
        start = time.process_time()
        stage.run()
        seconds = time.process_time() - start
        removed = sum(path.stat().st_size for path in Path(output).glob("*.remove")) // 4
    result = {
        "cpu_s": seconds,
        "memory_mb": peak_memory_mb() - before,
        "removed": removed,
        "candidates": stage.stats["duplicates"].total,
        "pairs": sum(path.stat().st_size for path in files) // 16,
        "version": version("datatrove"),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
