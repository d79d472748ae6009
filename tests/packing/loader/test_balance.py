"""balance="within_batch": the same global batches, nearly equal attention cost, equal row counts."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from packing.loader import PackedLoader
from packing.loader.balance import attention_costs, balanced_parts
from tests.packing.directories import plan_rows, write_directory
from tests.packing.loader.reference import corpora


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=60), st.integers(1, 8))
def test_every_row_goes_to_one_part_and_parts_have_equal_counts(costs, parts):
    rows = len(costs) // parts * parts
    made = balanced_parts(np.array(costs[:rows], np.float64), parts)
    assert sorted(row for part in made for row in part) == list(range(rows))
    assert {len(part) for part in made} == {rows // parts}
    assert all(part == sorted(part) for part in made)


def test_the_slowest_rank_waits_for_less():
    """256 sequences over 64 ranks, some full and most cheap, as packed 128K sequences are.

    One full row costs 1.2 times a rank's mean here, and equal counts give it three companions: 1 cannot be reached.
    """
    random = np.random.default_rng(0)
    excess = []
    for _ in range(20):
        costs = np.where(random.random(256) < 0.15, 1.0, random.uniform(0.02, 0.15, 256))
        loads = [costs[part].sum() for part in balanced_parts(costs, 64)]
        excess.append((max(loads) / np.mean(loads), costs.reshape(64, 4).sum(1).max() / np.mean(loads)))
    balanced, as_they_come = np.mean(excess, axis=0)
    assert balanced < 1.5 < 2.5 < as_they_come


@given(corpora(), st.sampled_from([16, 64]))
def test_costs_are_the_squares_of_fragments_and_padding(documents, length):
    rows = [row for queue in plan_rows(documents, length).values() for row in queue]
    sizes = [[len(one.tokens) for one in row.fragments] for row in rows]
    counts = np.array([len(row) for row in sizes])
    found = attention_costs(counts, np.array([n for row in sizes for n in row], np.uint32), length)
    assert found.tolist() == [sum(n * n for n in row) + (length - sum(row)) ** 2 for row in sizes]


def test_the_content_of_a_global_batch_is_unchanged(tmp_path):
    documents = {"web": [[3 + n] * (1 + 7 * n % 63) for n in range(80)]}
    write_directory(tmp_path, documents, rows_per_shard=5)

    def steps(balance):
        """Per step the rows of all ranks, and per rank the Σ l²."""
        streams = [iter(PackedLoader(tmp_path, global_batch=12, rank=r, world=3, balance=balance)) for r in range(3)]
        for batches in zip(*streams, strict=True):
            rows = sorted(row.tobytes() for batch in batches for row in batch["tokens"].reshape(-1, 64))
            yield rows, [float(np.square(np.diff(batch["cu_seqlens"]), dtype=np.float64).sum()) for batch in batches]

    plain, balanced = list(steps("none")), list(steps("within_batch"))
    assert [rows for rows, _ in plain] == [rows for rows, _ in balanced]
    spread = [np.mean([max(costs) / np.mean(costs) for _, costs in made]) for made in (plain, balanced)]
    assert spread[1] < spread[0]
