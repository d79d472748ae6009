"""Two gloo processes on the CPU do what one does: FSDP2, expert parallelism, checkpoints."""

import json

import pytest

torch = pytest.importorskip("torch")

from proxy_model.dist import ALONE  # noqa: E402
from proxy_model.dist.checkpoint import read_shards  # noqa: E402
from proxy_model.files import load_model  # noqa: E402

GATES = ("free", "second_rank_idle", "two_experts_idle")


@pytest.fixture(scope="module")
def pair(runs):
    return runs, json.loads((runs / "found.json").read_text())


@pytest.mark.parametrize("kind", ["fsdp", "experts"])
def test_parameters_after_three_clipped_steps_are_those_of_one_process(pair, kind):
    _, found = pair
    assert found["clipped"]
    assert found[f"{kind}_parameters"] <= 1e-6
    assert found[f"{kind}_losses"] <= 1e-6
    assert found[f"{kind}_norms"] <= 1e-5
    assert found[f"{kind}_float64"] <= 1e-10


@pytest.mark.parametrize("kind", ["fsdp", "experts"])
def test_all_processes_clip_by_the_same_bits(pair, kind):
    assert pair[1][f"{kind}_same_norm_everywhere"]


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("capacity", [None, 0.6])
def test_experts_elsewhere_give_what_local_ones_give(pair, gate, capacity):
    """Outputs, gradients, losses and counts; uneven splits, idle experts, an idle process."""
    assert pair[1][f"exchange_{gate}_{capacity}"] <= 1e-10


@pytest.mark.parametrize("kind", ["fsdp", "experts"])
def test_checkpoint_is_read_back_by_two_and_by_one(pair, kind):
    folder, found = pair
    assert found[f"{kind}_read_back"]
    alone = read_shards(folder / kind, {}, ALONE)
    final = load_model(folder / f"{kind}-final")
    for name, value in final.named_parameters():
        assert torch.equal(alone[f"weight.{name}"], value)
    assert {name.rpartition("|")[2] for name in alone if name.startswith("optimizer.")} == {
        "step",
        "exp_avg",
        "exp_avg_sq",
    }


def test_resumed_run_goes_on_with_the_same_bits(pair):
    assert pair[1]["resumed_same"]
