"""PackedLoader: the batches of one rank, in the order of the schedule, each sequence exactly once.

    loader = PackedLoader("shards", global_batch=512, rank=rank, world=world)
    for batch in loader:            # numpy arrays; TensorLoader gives torch tensors
        …
    checkpoint["data"] = loader.state_dict()

A step takes the next `global_batch` sequences of the stage.  They are cut into accumulation × world parts of equally
many rows: part m · world + r is micro-batch m of rank r.  No worker processes are needed: a batch of 32,768 tokens
takes well under a millisecond.
"""

from __future__ import annotations

from collections.abc import Iterator
from os import PathLike
from typing import Any, Literal

from packing.layout.manifest import Manifest
from packing.loader.balance import attention_costs, balanced_parts
from packing.loader.batch import Batch, empty_batch, fill, padded_tokens
from packing.loader.dataset import PackedDataset
from packing.loader.places import Places, Run, joined
from packing.loader.segments import Segments, lay_out
from packing.loader.state import Position, StateError, make_state, read_state

Balance = Literal["none", "within_batch"]
Positions = Literal["fragment", "document"]
AHEAD = 1 << 21  # tokens whose fragments are looked up at once: a look-up is fifty numpy calls, whatever it finds


class PackedLoader:
    """Iterable over the rest of a stage, once; `load_state_dict` moves it.

    global_batch: sequences of one optimizer step over all ranks, a multiple of world · accumulation.  The last
    sequences of a stage that do not fill a global batch are left over (`remainder`); a loader with a smaller batch
    and this one's state serves them.
    balance: "within_batch" gives every rank nearly equal attention cost (balance.py).
    positions: "document" lets pieces of a split document keep their place in it.
    max_segments: N of a batch; default: enough for any batch of the directory.
    state: as from `state_dict`; its stage and position count.  Raises StateError when it belongs to other shards.
    """

    def __init__(
        self,
        directory: str | PathLike[str],
        *,
        global_batch: int,
        rank: int = 0,
        world: int = 1,
        stage: int | None = None,
        state: dict[str, Any] | None = None,
        accumulation: int = 1,
        balance: Balance = "none",
        positions: Positions = "fragment",
        max_segments: int | None = None,
    ) -> None:
        if not 0 <= rank < world:
            raise ValueError(f"rank {rank} of {world}: ranks are 0 to world - 1")
        if accumulation < 1 or global_batch < 1 or global_batch % (world * accumulation):
            raise ValueError(
                f"global_batch {global_batch} is no multiple of world {world} × accumulation {accumulation}"
            )
        if balance not in ("none", "within_batch") or positions not in ("fragment", "document"):
            raise ValueError(f"balance {balance!r} or positions {positions!r} is unknown")
        self.global_batch, self.rank, self.world, self.accumulation = global_batch, rank, world, accumulation
        self.balance, self.positions = balance, positions
        self.dataset = PackedDataset(directory, stage or 0)
        self.max_segments = max_segments or most_segments(self.manifest, self.rows)
        self._next = 0
        if state is not None:
            self.load_state_dict(state)
            if stage is not None and stage != self.stage:
                raise StateError(
                    f"the state is of stage {self.stage}, asked for was stage {stage}; leave one of them out"
                )

    @property
    def manifest(self) -> Manifest:
        """Of the shard directory."""
        return self.dataset.manifest

    @property
    def stage(self) -> int:
        """The stage that is served."""
        return self.dataset.stage

    @property
    def rows(self) -> int:
        """Sequences of one batch (micro-batch) of this rank."""
        return self.global_batch // (self.world * self.accumulation)

    @property
    def remainder(self) -> int:
        """Sequences at the end of the stage that do not fill a global batch."""
        return (len(self.dataset) - self._next) % self.global_batch

    def __len__(self) -> int:
        """Batches of this rank that are still to come."""
        return (len(self.dataset) - self._next) // self.global_batch * self.accumulation

    def __iter__(self) -> Iterator[Batch]:
        return self.batches(0, 1)

    def batches(self, worker: int, workers: int) -> Iterator[Batch]:
        """Every `workers`-th batch of this rank, from number `worker` on.

        The position moves when the last batch of a step is handed out: the gradients of half a step are in no
        checkpoint, so half a step is served again.
        """
        number = 0
        ahead: dict[tuple[PackedDataset, int, int], tuple[list[Run], Segments]] = {}
        while len(self):
            start, stop = self._next, self._next + self.global_batch
            mine = [micro for micro in range(self.accumulation) if (number + micro) % workers == worker]
            if any((self.dataset, start, micro) not in ahead for micro in mine):
                ahead = self._look_ahead(number, worker, workers)
            number += self.accumulation
            for micro in range(self.accumulation):
                last = micro == self.accumulation - 1
                batch = None
                if micro in mine:
                    batch = self._batch(*ahead.pop((self.dataset, start, micro)), stop if last else start)
                if last:
                    self._next = stop
                if batch is not None:
                    yield batch

    def state_dict(self) -> dict[str, Any]:
        """The position after the last whole step that was handed out in this process."""
        return self._state(self._next)

    def state_after(self, batch: Any) -> dict[str, Any]:
        """The position after a batch that a worker process of a torch DataLoader made."""
        return self._state(int(batch["next_sequence"]))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state.  Raises StateError when it belongs to other shards, naming the difference."""
        position = read_state(self.manifest, state)
        if position.stage != self.stage:
            self.dataset = PackedDataset(self.dataset.directory, position.stage)
        self._next = position.sequence

    def _state(self, sequence: int) -> dict[str, Any]:
        return make_state(self.manifest, Position(self.stage, sequence))

    def _look_ahead(
        self, number: int, worker: int, workers: int
    ) -> dict[tuple[PackedDataset, int, int], tuple[list[Run], Segments]]:
        """Rows and segments of the next micro-batches that `batches` serves, about AHEAD tokens, at least one step.

        Key: the dataset, the step's first sequence, number of the micro-batch: what a moved position does not match.
        """
        length, accumulation = self.manifest.sequence_length, self.accumulation
        steps: list[tuple[int, list[int]]] = []
        batches = 0
        for step in range(len(self) // accumulation):
            before = number + step * accumulation
            mine = [micro for micro in range(accumulation) if (before + micro) % workers == worker]
            steps.append((self._next + step * self.global_batch, mine))
            batches += len(mine)
            if batches * self.rows * length >= AHEAD:
                break
        places = self._as_they_come(steps) if self.balance == "none" else self._balanced(steps)
        fragments = self.dataset.fragments(places, self.positions == "document")
        segments = lay_out(fragments, self.rows, length, padded_tokens(self.rows, length))
        keys = [(self.dataset, start, micro) for start, mine in steps for micro in mine]
        return dict(zip(keys, zip(places.runs(self.rows), segments, strict=True), strict=True))

    def _as_they_come(self, steps: list[tuple[int, list[int]]]) -> Places:
        """Where the rows of this rank's micro-batches lie, of steps (first sequence, numbers of micro-batches)."""
        spans: list[tuple[int, int]] = []
        for start, mine in steps:
            for micro in mine:
                first = start + (micro * self.world + self.rank) * self.rows
                begin = spans.pop()[0] if spans and spans[-1][1] == first else first
                spans.append((begin, first + self.rows))
        return joined([self.dataset.places(range(*span)) for span in spans])

    def _balanced(self, steps: list[tuple[int, list[int]]]) -> Places:
        """The same when every rank gets about equal attention cost."""
        chosen = []
        for start, mine in steps:
            if not mine:
                continue
            places = self.dataset.places(range(start, start + self.global_batch))
            fragments = self.dataset.fragments(places)
            costs = attention_costs(fragments.counts, fragments.lengths, self.manifest.sequence_length)
            parts = balanced_parts(costs, self.world * self.accumulation)
            chosen += [places.take(parts[micro * self.world + self.rank]) for micro in mine]
        return joined(chosen)

    def _batch(self, runs: list[Run], segments: Segments, next_sequence: int) -> Batch:
        length = self.manifest.sequence_length
        batch = empty_batch(padded_tokens(self.rows, length), self.max_segments, next_sequence)
        tokens = batch["tokens"]
        tokens[self.rows * length :] = self.manifest.pad_id
        self.dataset.read_tokens(runs, tokens[: self.rows * length].reshape(self.rows, length))
        fill(batch, segments)
        return batch


def most_segments(manifest: Manifest, rows: int) -> int:
    """Enough for any `rows` rows of the shards: their fragments, padding of each row, padding of the batch."""
    total = padded_tokens(rows, manifest.sequence_length)
    counted = [shard.max_fragments for shard in manifest.shards if shard.max_fragments is not None]
    if len(counted) < len(manifest.shards):
        return total  # not counted by the writer: every token could be a fragment
    return min(total, rows * (max(counted, default=0) + 1) + 1)
