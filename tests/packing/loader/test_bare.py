"""The loader needs numpy, and nothing of the curation side; opening 100 M sequences costs no time and no memory."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from packing.layout import files
from packing.layout.manifest import Manifest, QueueInfo, ShardInfo, StageInfo
from tests.packing.directories import write_directory

ROOT = Path(__file__).parents[3]
BLOCKER = """
import sys
ALLOWED = {allowed!r}
class Blocker:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in ALLOWED and top not in sys.stdlib_module_names and not top.startswith("_sysconfigdata"):
            raise ImportError(f"{{name}} is not in a bare environment")
sys.meta_path.insert(0, Blocker())
sys.path.insert(0, {root!r})
"""


def run(code: str, *allowed: str) -> str:
    script = BLOCKER.format(allowed={"packing", "numpy", *allowed}, root=str(ROOT)) + code
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_batches_with_numpy_alone(tmp_path):
    write_directory(tmp_path, {"web": [[5] * 20] * 9})
    found = run(
        f"from packing.loader import PackedLoader, PackedDataset\n"
        f"print(sum(len(b['tokens']) for b in PackedLoader({str(tmp_path)!r}, global_batch=1)))\n"
        f"print(len(PackedDataset({str(tmp_path)!r})), 'torch' in sys.modules, 'pyarrow' in sys.modules)"
    )
    assert found.split() == ["192", "3", "False", "False"]


def test_who_and_document_positions_with_pyarrow(tmp_path):
    write_directory(tmp_path, {"web": [[5] * 200]})
    found = run(
        f"from packing.loader import PackedLoader, who\n"
        f"print(who({str(tmp_path)!r}, 0, 1, 3).offset)\n"
        f"batches = list(PackedLoader({str(tmp_path)!r}, global_batch=1, positions='document'))\n"
        f"print(batches[1]['position_ids'][0])",
        "pyarrow",
    )
    assert found.split() == ["67", "64"]


def test_the_blocker_blocks():
    assert "not in a bare environment" in run("try:\n import duckdb\nexcept ImportError as error:\n print(error)")


def test_100_million_sequences_open_at_once(tmp_path):
    """Sparse files of the true size; the benchmark measures the same at L = 2,048."""
    rows, length, shards = 2_000_000, 64, 50
    for folder in ("data", "index", "order"):
        (tmp_path / folder).mkdir()
    infos = []
    for number in range(shards):
        name = files.shard_name(number)
        for path, size in (
            (files.data_path(tmp_path, name), rows * length * 4),
            (files.csr_path(tmp_path, name), (rows + 1) * 8 + rows * 4),
            (files.segment_path(tmp_path, name), rows * 16),
        ):
            with open(path, "wb") as file:
                file.truncate(size)
        infos.append(ShardInfo(name, number % 2, rows, rows, rows * length, [], 1))
    total = rows * shards
    order = np.memmap(files.order_path(tmp_path, 0), files.QUEUE, mode="w+", shape=(total,))
    order[-1] = 1  # the rest is a hole: all of queue 0, more than it has, so only its first half can be read
    order.flush()
    queues = [QueueInfo(name, total // 2, total // 2 * length) for name in ("web", "code")]
    stage = StageInfo("all", total, [1.0, 0.0])
    made = Manifest(length, 256, 1, 0, None, "t", ["web"], queues, infos, [stage], {}, {}, 0, "p").with_root()
    (tmp_path / files.MANIFEST).write_bytes(made.to_json())
    found = run(
        "import json, re, time\n"
        "started = time.perf_counter()\n"
        "from packing.loader import PackedLoader\n"
        f"loader = PackedLoader({str(tmp_path)!r}, global_batch=512)\n"
        "batch = next(iter(loader))\n"
        "seconds = time.perf_counter() - started\n"
        "state = {**loader.state_dict(), 'sequence': 49_000_000}\n"
        "loader.load_state_dict(state)\n"
        "late = next(iter(loader))['next_sequence']\n"
        "rss = int(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])\n"  # not ru_maxrss
        "print(json.dumps([len(loader.dataset), batch['tokens'].size, seconds, rss, late]))"
    )
    sequences, tokens, seconds, rss, late = json.loads(found)
    assert (sequences, tokens, late) == (total, 512 * length, 49_000_512)
    assert seconds < 5  # measured 0.2; generous for a machine under load
    assert rss < 200_000  # KiB
