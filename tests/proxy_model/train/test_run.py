"""A run is a function of its settings and seeds, whatever interrupts it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

torch = pytest.importorskip("torch")

from curation.pipeline.errors import UsageError  # noqa: E402
from proxy_model.files import load_model  # noqa: E402
from proxy_model.train import checkpoint, loop  # noqa: E402
from proxy_model.train.loop import train_model  # noqa: E402
from proxy_model.train.settings import Optimizer, Seeds  # noqa: E402
from proxy_model.train.spikes import Diverged, Policy  # noqa: E402
from proxy_model.train.token_table import TokenTable  # noqa: E402
from tests.proxy_model.train.small import LENGTH, TINY, losses, settings, shards  # noqa: E402


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shards(tmp_path_factory.mktemp("shards") / "shards")


@pytest.fixture(scope="module")
def whole(packed: Path, tmp_path_factory: pytest.TempPathFactory) -> loop.Trained:
    """20 steps, looked at every 5, a checkpoint every 6."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    return train_model(settings(packed, folder, evaluate_every=5, checkpoint_every=6))


def test_the_loss_falls_and_everything_is_recorded(whole: loop.Trained) -> None:
    seen = losses(whole.folder)
    assert len(seen) == whole.steps == 20 and seen[-1] < seen[0] - 0.15
    sources = pq.read_table(whole.folder / "sources.parquet").to_pylist()
    assert {(s["set"], s["kind"], s["name"]) for s in sources} >= {
        ("held_out", "all", ""), ("held_out", "source", "a"), ("training", "source", "b"),
    }  # fmt: skip
    experts = pq.read_table(whole.folder / "experts.parquet").to_pylist()
    first = [e for e in experts if (e["step"], e["layer"], e["source"]) == (4, 0, "a")]
    assert sum(e["chosen"] for e in first) == 2 * first[0]["tokens"] > 0  # two experts a token
    assert {s["step"] for s in sources} == {4, 9, 14, 19}
    assert [path.name for path in checkpoint.found(whole.folder)] == ["00000018", "00000020"]


def test_the_final_model_is_the_trained_one(whole: loop.Trained) -> None:
    there = load_model(whole.folder / "final")
    for name, one in whole.model.state_dict().items():
        assert torch.equal(one, there.state_dict()[name])


def test_the_same_seeds_give_the_same_losses(packed: Path, whole: loop.Trained, tmp_path: Path) -> None:
    again = train_model(settings(packed, tmp_path / "run"))
    assert again.run_id == whole.run_id and losses(again.folder) == losses(whole.folder)


@pytest.mark.parametrize("changed", [{"init": 3}, {"order": 4}])
def test_another_seed_gives_others(packed: Path, whole: loop.Trained, tmp_path: Path, changed: dict[str, int]) -> None:
    other = settings(packed, tmp_path / "run")
    found = train_model(replace(other, seeds=replace(other.seeds, **changed), tokens=3 * 4 * LENGTH))
    assert losses(found.folder) != losses(whole.folder)[:3] and found.run_id != whole.run_id


class Stop(Exception):
    pass


class StopsAt:
    """Ends the run in the middle, as an exception from anywhere would."""

    def __init__(self, step: int) -> None:
        self.step = step

    def begins(self, step: int, steps: int, tokens: int) -> None: ...
    def evaluated(self, step: int, scores: object) -> None: ...
    def note(self, text: str) -> None: ...
    def stepped(self, row: dict[str, int]) -> None:
        if row["step"] == self.step:
            raise Stop


@pytest.mark.parametrize(("kind", "precision"), [("adamw", "fp32"), ("adamw", "bf16"), ("muon", "fp32")])
def test_resume_is_bit_identical(packed: Path, tmp_path: Path, kind: str, precision: str) -> None:
    base = settings(
        packed, tmp_path / "whole", checkpoint_every=6, evaluate_every=5, optimizer=Optimizer(kind),
        precision=precision, batch=TokenTable(((0, 3 * LENGTH), (1000, 4 * LENGTH))), micro_batch=2,
    )  # fmt: skip
    one = train_model(base)
    cut = replace(base, folder=tmp_path / "cut")
    for at in (8, 15):
        with pytest.raises(Stop):
            train_model(cut, resume=at > 8, listener=StopsAt(at))  # type: ignore[arg-type]
    two = train_model(cut, resume=True)
    assert losses(two.folder) == losses(one.folder)
    for name in ("sources", "experts"):
        there, here = (pq.read_table(run.folder / f"{name}.parquet") for run in (one, two))
        assert there.equals(here)
    for name, value in one.model.state_dict().items():
        assert torch.equal(value, two.model.state_dict()[name])


def test_kill_nine_and_resume(packed: Path, whole: loop.Trained, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    code = (
        "import sys, torch; torch.set_num_threads(1)\n"
        "from pathlib import Path\n"
        "from tests.proxy_model.train.small import settings\n"
        "from proxy_model.train.loop import train_model\n"
        f"train_model(settings(Path({str(packed)!r}), Path({str(folder)!r}), evaluate_every=5, checkpoint_every=2))\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[3], env={**os.environ})
    try:
        deadline = time.monotonic() + 120
        while len(checkpoint.found(folder)) < 2 and child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        os.kill(child.pid, signal.SIGKILL)
    finally:
        child.kill()
        child.wait()
    there = checkpoint.found(folder)
    assert there and not (folder / "final" / "config.json").exists()
    done = train_model(settings(packed, folder, evaluate_every=5, checkpoint_every=2), resume=True)
    assert losses(done.folder) == losses(whole.folder)


def test_accumulation_changes_only_rounding(packed: Path, whole: loop.Trained, tmp_path: Path) -> None:
    parts = train_model(settings(packed, tmp_path / "run", micro_batch=1, tokens=4 * 4 * LENGTH))
    dense = TINY.aux_weight  # auxiliary losses are means over parts, so they differ a little
    assert losses(parts.folder) == pytest.approx(losses(whole.folder)[:4], abs=dense)


def test_checkpoint_of_another_config_names_the_difference(whole: loop.Trained, packed: Path) -> None:
    other = settings(packed, whole.folder, lr=1e-3, seeds=Seeds(9, 2))
    with pytest.raises(UsageError, match=r"(?s)lr: 0.005 in the checkpoint, 0.001 here.*seeds.init: 1 .* 9 here"):
        train_model(other, resume=True)


def test_a_run_is_not_overwritten(whole: loop.Trained, packed: Path) -> None:
    with pytest.raises(UsageError, match="holds a run already"):
        train_model(settings(packed, whole.folder))


def test_resuming_a_finished_run_trains_nothing(whole: loop.Trained, packed: Path) -> None:
    before = losses(whole.folder)
    again = train_model(settings(packed, whole.folder, evaluate_every=5, checkpoint_every=6), resume=True)
    assert losses(again.folder) == before and again.loss == whole.loss


def test_non_finite_steps_are_skipped_counted_and_leave_the_weights(packed: Path, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    real, seen = loop.take_step, []

    def poisoned(model, *arguments):  # type: ignore[no-untyped-def]
        number = len(seen)
        if number == 3:
            hook = model.norm.register_forward_hook(lambda _, __, out: out * float("nan"))
        before = {name: one.clone() for name, one in model.state_dict().items()}
        done = real(model, *arguments)
        if number == 3:
            hook.remove()
            assert all(torch.equal(one, before[name]) for name, one in model.state_dict().items())
        seen.append(done.verdict)
        return done

    monkeypatch.setattr(loop, "take_step", poisoned)
    done = train_model(settings(packed, tmp_path / "run", tokens=6 * 4 * LENGTH))
    assert [one.skip for one in seen] == [False] * 3 + [True] + [False] * 2 and done.skipped == 1
    steps = pq.read_table(tmp_path / "run" / "steps.parquet")
    assert steps["skipped"].to_pylist() == [one.skip for one in seen]


def test_a_run_that_cannot_be_trusted_ends(packed: Path, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    real = loop.take_step

    def poisoned(model, *arguments):  # type: ignore[no-untyped-def]
        hook = model.norm.register_forward_hook(lambda _, __, out: out * float("nan"))
        try:
            return real(model, *arguments)
        finally:
            hook.remove()

    monkeypatch.setattr(loop, "take_step", poisoned)
    with pytest.raises(Diverged, match="3 steps in a row"):
        train_model(settings(packed, tmp_path / "a", policy=Policy(most_in_a_row=3)))
    with pytest.raises(Diverged, match="step 0"):
        train_model(settings(packed, tmp_path / "b", policy=Policy(non_finite="stop")))


def test_a_damaged_checkpoint_is_refused(packed: Path, tmp_path: Path) -> None:
    small = settings(packed, tmp_path / "run", tokens=2 * 4 * LENGTH)
    train_model(small)
    path = checkpoint.found(small.folder)[-1]
    tensors, state = (path / checkpoint.TENSORS).read_bytes(), (path / checkpoint.STATE).read_bytes()
    for name, content in ((checkpoint.TENSORS, b"nothing"), (checkpoint.STATE, b"[]"), (checkpoint.STATE, b"{}")):
        (path / name).write_bytes(content)
        with pytest.raises(UsageError, match="damaged"):
            train_model(small, resume=True)
        (path / checkpoint.TENSORS).write_bytes(tensors)
        (path / checkpoint.STATE).write_bytes(state)
    log = small.folder / "steps.parquet"
    log.write_bytes(log.read_bytes()[:-5])
    with pytest.raises(UsageError, match=r"steps\.parquet is gone or damaged"):
        train_model(small, resume=True)
    log.unlink()
    with pytest.raises(UsageError, match=r"steps\.parquet is gone or damaged"):
        train_model(small, resume=True)
    (small.folder / "config.json").write_text("[]")
    with pytest.raises(UsageError, match="does not describe a training run"):
        train_model(small, resume=True)


def test_a_short_run_that_ends_in_nan_is_no_finished_run(packed: Path, tmp_path: Path) -> None:
    short = settings(packed, tmp_path / "run", tokens=5 * 4 * LENGTH, lr=1e30)  # too few steps for ten in a row
    with pytest.raises(Diverged, match="without a finite loss"):
        train_model(short)
    assert checkpoint.found(short.folder) and not (short.folder / "final").exists()
    with pytest.raises(Diverged, match="without a finite loss"):
        train_model(short, resume=True)
