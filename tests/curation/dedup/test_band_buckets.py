"""Promises of the barrier's parts: what is spilled comes back, buckets are exact, components stay whole."""

from __future__ import annotations

import random
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.dedup import components
from curation.dedup.band_buckets import shared_keys
from curation.dedup.components import unite_all
from curation.dedup.judging import buckets_of_documents
from curation.dedup.lists import FilePartitions
from curation.dedup.pairs import PairPartitions, partitions_for, prefix
from curation.dedup.ranked import RankedSet
from curation.pipeline.barrier import ROW_BITS


@pytest.mark.parametrize("memory", [1, 1 << 30])
def test_pairs_come_back_in_the_order_they_were_added_spilled_or_not(tmp_path: Path, memory: int) -> None:
    chance = np.random.default_rng(1)
    partitions = PairPartitions(tmp_path / "p", 8, memory)
    expected: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for _ in range(5):
        keys = chance.integers(0, 2**64, 1000, np.uint64)
        where, values = prefix(keys, 8), chance.integers(0, 2**40, 1000)
        partitions.add(where, keys, values)
        for p, key, value in zip(where.tolist(), keys.tolist(), values.tolist(), strict=True):
            expected[p].append((key, value))
    assert any((tmp_path / "p").iterdir()) == (memory == 1)
    for p in range(8):
        keys, values = partitions.take(p)
        assert list(zip(keys.tolist(), values.tolist(), strict=True)) == expected[p]
    assert not any((tmp_path / "p").iterdir())


def test_partitions_are_powers_of_two_and_prefixes_stay_inside() -> None:
    for pairs in (0, 1, 10**6, 10**8, 10**12):
        count = partitions_for(pairs)
        assert count & (count - 1) == 0 and 1 <= count <= 4096
        assert prefix(np.array([0, 2**64 - 1], np.uint64), count).tolist() == [0, count - 1]


@pytest.mark.parametrize("count", [1, 4])
def test_buckets_are_the_keys_that_occur_again_among_young_documents(tmp_path: Path, count: int) -> None:
    chance = np.random.default_rng(2)
    keys = chance.integers(0, 300, 500, np.uint64) * np.uint64(2**64 // 300)
    positions, old = np.arange(500), 400
    partitions = PairPartitions(tmp_path / "p", count)
    partitions.add(prefix(keys, count), keys, positions)
    members = defaultdict(list)
    for key, position in zip(keys.tolist(), positions.tolist(), strict=True):
        members[key].append(position)
    expected = [(k, p) for k in sorted(members) for p in members[k] if len(members[k]) > 1 and members[k][0] < old]
    assert any(len(m) > 1 and m[0] >= old for m in members.values())
    found = [pair for k, p in shared_keys(partitions, old) for pair in zip(k.tolist(), p.tolist(), strict=True)]
    assert found == expected


@settings(max_examples=50)
@given(st.lists(st.sets(st.integers(0, 200), max_size=150), min_size=1, max_size=3))
def test_ranks_number_members_in_order(shards: list[set[int]]) -> None:
    members = RankedSet([201] * len(shards))
    positions = [(s << ROW_BITS) + row for s, rows in enumerate(shards) for row in sorted(rows)]
    members.add(np.array(positions[::-1], np.int64))
    members.add(np.array(positions, np.int64))
    members.seal()
    assert members.size == len(positions)
    assert members.rank(np.array(positions, np.int64)).tolist() == list(range(len(positions)))
    everything = np.array([(s << ROW_BITS) + row for s in range(len(shards)) for row in range(201)], np.int64)
    assert everything[members.holds(everything)].tolist() == positions


@pytest.mark.parametrize("seed", range(5))
def test_partitions_hold_whole_components_and_no_more_than_needed(seed: int) -> None:
    chance = random.Random(seed)
    n = 200
    rows = sorted((chance.randint(0, 120), rank) for rank in range(n) for _ in range(chance.randint(1, 2)))
    keys, ranks = np.array([k for k, _ in rows], np.uint64), np.array([r for _, r in rows], np.uint32)
    parent, weight = np.arange(n, dtype=np.uint32), np.zeros(n, np.uint32)
    cut = 77  # batches may cut through a bucket
    unite_all(iter([(keys[:cut], ranks[:cut]), (keys[cut:], ranks[cut:])]), parent, weight)
    assert int(weight.sum()) == components.MEMBERSHIP * len(rows)
    limit = 500
    count = components._partition(parent, weight, np.full(n, 3, np.uint32), np.zeros(512, np.uint32), np.uint64(limit))
    by_key = defaultdict(set)
    for key, rank in rows:
        by_key[key].add(int(parent[rank]))
    assert all(len(partitions) == 1 for partitions in by_key.values())
    assert set(parent.tolist()) == set(range(count)) and count > 1
    for number in range(count):
        assert weight[parent == number].tolist() == list(range(int((parent == number).sum())))


def test_lists_come_back_by_partition_in_order_of_position(tmp_path: Path) -> None:
    lists = FilePartitions(tmp_path / "l", 3)
    lists.append_lists(np.array([2, 0, 2], np.uint32), pa.array([[1, 2], [3], [4]], pa.large_list(pa.uint32())))
    lists.append_lists(np.array([0, 2], np.uint32), pa.array([[5], [6, 7]], pa.large_list(pa.uint32())).slice(0, 2))
    lists.seal()
    assert [lists.read(p).tolist() for p in range(3)] == [[3, 5], [], [1, 2, 4, 6, 7]]


def test_numbers_come_back_by_partition_in_the_order_they_were_added(tmp_path: Path) -> None:
    numbers = FilePartitions(tmp_path / "n", 3, np.int64)
    numbers.append(np.array([2, 0, 2], np.uint32), np.array([2**40, 3, 4]))
    numbers.append(np.array([0], np.uint32), np.array([5]))
    numbers.seal()
    assert [numbers.read(p).tolist() for p in range(3)] == [[3, 5], [], [2**40, 4]]


@given(st.integers(1, 8).flatmap(lambda n: st.tuples(
    st.lists(st.sets(st.integers(0, n - 1), min_size=2 if n > 1 else 1), min_size=1), st.permutations(range(n)),
)))  # fmt: skip
def test_buckets_of_documents_are_turned_from_documents_of_buckets(case: tuple[list[set[int]], list[int]]) -> None:
    buckets, survival = case
    rows = [2 * place + (i == 0) for bucket in buckets for i, place in enumerate(sorted(bucket))]
    starts, found = buckets_of_documents(np.array(rows, np.uint32), np.array(survival, np.int64))
    for place, document in enumerate(survival):
        expected = [number for number, bucket in enumerate(buckets) if place in bucket]
        assert found[starts[document] : starts[document + 1]].tolist() == expected
