"""One start of two processes for all tests of this folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
CONFIG = """run: command
out: OUT
shards: shards
model: {preset: pico, vocab_size: 256, width: 32, heads: 2, head_dim: 16, expert_width: 32}
tokens: 2k
batch: 256
evaluate: {holdout: 0.1}
"""


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder in which `one` was trained by one process and all else by two (pair.py)."""
    torch = pytest.importorskip("torch")
    if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
        pytest.skip("needs gloo")
    from proxy_model.train.loop import train_model
    from tests.proxy_model.dist.train_pair import ten
    from tests.proxy_model.train.small import shards

    folder = tmp_path_factory.mktemp("runs")
    packed = shards(folder / "shards")
    (folder / "train.yaml").write_text(CONFIG.replace("OUT", str(folder)))
    train_model(ten(packed, folder / "one", micro_batch=2))  # two processes with 1 each form the same groups
    shutil.copytree(folder / "one", folder / "from_one")
    shutil.rmtree(folder / "from_one" / "checkpoints" / "00000010")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*command, str(Path(__file__).with_name("pair.py")), str(folder)],
        env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-6000:]
    (folder / "stdout").write_text(done.stdout)
    return folder
