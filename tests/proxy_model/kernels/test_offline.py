"""Without a GPU: table entries compile, within limits of stack and shared memory, to tensor-core instructions."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("torch")
pytest.importorskip("triton")

from proxy_model.kernels import offline, table, tuner
from proxy_model.kernels.offline import Job
from proxy_model.kernels.table import CAPABILITIES, HEAD_DIMS, SEGMENTS, TABLE, Tile

# The template with transposed states walking backward needs the most registers; the whole table is the slow test.
FAST = [*((dim, 90) for dim in HEAD_DIMS), (128, 80), (128, 100)]


WIDE = Tile(rows=64, columns=64, warps=8, stages=1, state_columns=64, state_warps=8)  # 64 columns of a 256 x 256 state


@pytest.fixture(scope="module")
def heaviest() -> list[offline.Built]:
    jobs = [Job(dim, capability, None, ("dk",)) for dim, capability in FAST]
    return offline.build([*jobs, Job(256, 90, WIDE, ("dk",))])


@pytest.mark.parametrize("case", FAST)
def test_the_heaviest_kernel_keeps_its_limits(heaviest: list[offline.Built], case: tuple[int, int]) -> None:
    built = heaviest[FAST.index(case)]
    assert (built.head_dim, built.capability) == case
    assert offline.faults(built) == []


def test_an_entry_that_spills_is_a_fault(heaviest: list[offline.Built]) -> None:
    assert offline.faults(heaviest[-1]) == [f"dk D=256 sm_90: {heaviest[-1].stack} bytes of stack a thread, at most 64"]


@pytest.mark.slow
def test_every_kernel_keeps_its_limits() -> None:
    report = offline.build([Job(dim, capability) for dim in HEAD_DIMS for capability in CAPABILITIES])
    assert len(report) == 7 * len(TABLE)
    assert [fault for built in report for fault in offline.faults(built)] == []


def test_the_report_is_one_json_object(capsys) -> None:
    assert offline.main(["--head-dim", "16", "--capability", "80", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["faults"] == []
    assert [k["kernel"] for k in report["kernels"]] == ["o", "dq", "dv", "dk", "state", "state_reversed", "scan"]


def test_the_table_is_whole_and_fits_its_segments() -> None:
    assert set(TABLE) == {(dim, capability) for dim in HEAD_DIMS for capability in CAPABILITIES}
    for (dim, _), entry in TABLE.items():
        assert dim % entry.columns == dim % entry.state_columns == 0
        assert all(length % entry.rows == 0 for length in SEGMENTS)
        assert dim * dim % table.SCAN_BLOCK == 0


def test_the_tuner_writes_the_table_it_read(tmp_path) -> None:
    written = tmp_path / "table.py"
    tuner.write_table(TABLE, written)
    scope: dict[str, object] = {"__name__": "written"}
    exec(compile(written.read_text(), str(written), "exec"), scope)
    assert {key: tuple(entry) for key, entry in scope["TABLE"].items()} == {key: tuple(e) for key, e in TABLE.items()}
    assert written.read_text() == tuner.TABLE_FILE.read_text()
