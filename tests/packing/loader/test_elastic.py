"""Each sequence of the schedule exactly once, whatever world, workers, batch and kills come one after the other."""

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packing.layout.manifest import LayoutError
from packing.loader import PackedLoader, StateError
from tests.packing.directories import write_directory

SEQUENCES = 101


@pytest.fixture(scope="module")
def shards():
    """One document a row, so that a row is known by its first token."""
    with tempfile.TemporaryDirectory() as folder:
        numbered = [[3 + n, *[7] * 62] for n in range(SEQUENCES)]
        write_directory(Path(folder), {"web": numbered[:60], "code": numbered[60:]}, rows_per_shard=7)
        yield folder


def order(folder):
    """What the stage serves, in order: one rank, one sequence a batch."""
    return [int(batch["tokens"][0]) for batch in PackedLoader(folder, global_batch=1)]


def first_tokens(batch):
    return batch["tokens"][::64].tolist()


phases = st.tuples(
    st.integers(1, 4),  # world
    st.integers(1, 3),  # accumulation
    st.integers(1, 3),  # rows of a micro-batch
    st.integers(1, 4),  # workers of each rank
    st.integers(0, 5),  # whole steps
    st.booleans(),  # the job dies within the next step
    st.sampled_from(["none", "within_batch"]),
)


@settings(max_examples=60)
@given(st.lists(phases, min_size=1, max_size=6))
def test_any_sequence_of_changes_serves_the_prefix_once(shards, changes):
    expected, state, served = order(shards), None, []
    for world, accumulation, rows, workers, steps, dies, balance in changes:
        ranks = []
        for rank in range(world):
            made = [
                PackedLoader(
                    shards,
                    global_batch=world * accumulation * rows,
                    rank=rank,
                    world=world,
                    accumulation=accumulation,
                    balance=balance,
                    state=state,
                )
                for _ in range(workers)
            ]
            ranks.append((made, [one.batches(n, workers) for n, one in enumerate(made)]))
        steps = min(steps, len(ranks[0][0][0]) // accumulation)
        for micro in range(steps * accumulation):
            for loaders, streams in ranks:
                batch = next(streams[micro % workers])  # round robin, as a DataLoader does
                served += first_tokens(batch)
                after = loaders[0].state_after(batch)
        if steps:
            assert all(rank[0][0].state_after(batch) == after for rank in ranks)
            state = json.loads(json.dumps(after))
        if dies:  # handed out, but in no checkpoint
            for _, streams in ranks:
                next(streams[steps * accumulation % workers], None)
    assert sorted(served) == sorted(expected[: len(served)])
    assert (state or {"sequence": 0})["sequence"] == len(served)


def test_without_balance_the_global_order_is_the_schedule(shards):
    streams = [iter(PackedLoader(shards, global_batch=12, rank=rank, world=3, accumulation=2)) for rank in range(3)]
    served = [token for _ in range(16) for stream in streams for token in first_tokens(next(stream))]
    assert served == order(shards)[:96]


def test_a_step_that_was_not_finished_is_served_again(shards):
    loader = PackedLoader(shards, global_batch=4, accumulation=2)
    stream = iter(loader)
    next(stream)
    assert loader.state_dict()["sequence"] == 0
    next(stream)
    assert loader.state_dict()["sequence"] == 4
    half = first_tokens(next(stream))
    again = PackedLoader(shards, global_batch=4, accumulation=2, state=loader.state_dict())
    assert first_tokens(next(iter(again))) == half


def test_the_rest_that_fills_no_batch_is_left_for_a_smaller_one(shards):
    loader = PackedLoader(shards, global_batch=8)
    assert (len(loader), loader.remainder) == (12, 5)
    served = [token for batch in loader for token in first_tokens(batch)]
    assert len(loader) == 0 and list(loader) == []
    rest = PackedLoader(shards, global_batch=1, state=loader.state_dict())
    assert served + [token for batch in rest for token in first_tokens(batch)] == order(shards)


@pytest.mark.parametrize(
    ("rank", "world", "batch", "accumulation"),
    [(2, 2, 4, 1), (-1, 2, 4, 1), (0, 2, 3, 1), (0, 2, 4, 4), (0, 1, 0, 1), (0, 1, 4, 0)],
)
def test_impossible_shares_are_refused(shards, rank, world, batch, accumulation):
    with pytest.raises(ValueError, match=r"rank|global_batch"):
        PackedLoader(shards, global_batch=batch, rank=rank, world=world, accumulation=accumulation)


def test_unknown_options_are_refused(shards):
    with pytest.raises(ValueError, match="balance"):
        PackedLoader(shards, global_batch=1, balance="perfect")


class TestState:
    """A state belongs to one directory, and says what differs from another."""

    def test_names_what_differs(self, shards, tmp_path):
        state = PackedLoader(shards, global_batch=1).state_dict()
        write_directory(tmp_path, {"web": [[5] * 63] * 7}, sequence_length=128, seed=3)
        with pytest.raises(StateError) as error:
            PackedLoader(tmp_path, global_batch=1, state=state)
        text = str(error.value)
        assert "sequence_length: 64 in the state, 128 here" in text
        assert "seed: 0 in the state, 3 here" in text
        assert "rows of queues.web: 60 in the state, 4 here" in text
        assert "rows of queues.code: 41 in the state, None here" in text
        assert "vocab_rows" not in text  # the same in both

    def test_same_settings_other_tokens(self, tmp_path):
        states = []
        for token in (5, 6):
            write_directory(tmp_path / str(token), {"web": [[token] * 63]})
            states.append(PackedLoader(tmp_path / str(token), global_batch=1).state_dict())
        with pytest.raises(StateError, match=r"other shards \(root .*:\n  content of shards: .*\n  →"):
            PackedLoader(tmp_path / "6", global_batch=1, state=states[0])

    @pytest.mark.parametrize(
        "change", [{"format": 2}, {"sequence": -1}, {"sequence": "7"}, {"sequence": 102}, {"stage": 1}, {"stage": True}]
    )
    def test_damaged_states_are_refused(self, shards, change):
        state = PackedLoader(shards, global_batch=1).state_dict()
        with pytest.raises(StateError):
            PackedLoader(shards, global_batch=1, state={**state, **change})

    def test_the_stage_is_part_of_it(self, tmp_path):
        numbered = [[3 + n] * 63 for n in range(10)]
        write_directory(tmp_path, {"web": numbered}, schedules=[[0] * 6, [0] * 4])
        late = PackedLoader(tmp_path, global_batch=2, stage=1)
        first = first_tokens(next(iter(late)))
        assert first == [9, 10]
        again = PackedLoader(tmp_path, global_batch=2, state=late.state_dict())
        assert again.stage == 1 and first_tokens(next(iter(again))) == [11, 12]
        with pytest.raises(LayoutError, match="of stage 1, asked for was stage 0"):
            PackedLoader(tmp_path, global_batch=2, stage=0, state=late.state_dict())
