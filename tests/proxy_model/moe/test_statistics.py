"""Usage by layer and source: exact integers whatever the order, padding left out."""

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

from proxy_model.config import preset  # noqa: E402
from proxy_model.moe import ExpertUsage, MoE  # noqa: E402
from proxy_model.moe.statistics import token_sources  # noqa: E402


def test_table_says_what_a_loop_counts_and_order_does_not_matter():
    config = replace(preset("pico"), experts=4, capacity_factor=0.8)
    torch.manual_seed(0)
    layers = [MoE(config) for _ in range(2)]
    segments = torch.arange(64, dtype=torch.int32) // 16
    batches = [
        ([layer(torch.randn(64, config.width))[1] for layer in layers], s) for s in ([0, 1, 0, -1], [1, 1, 0, 0])
    ]
    batches = [(r, token_sources(segments, torch.tensor(s, dtype=torch.int32))) for r, s in batches]
    forward, backward = (ExpertUsage(2, 4, ["web", "books", "unused"]) for _ in range(2))
    for routing, source in batches:
        forward.add(routing, source)
    halves = [ExpertUsage(2, 4, ["web", "books", "unused"]) for _ in batches]
    for half, (routing, source) in zip(halves, batches, strict=True):
        half.add(routing, source)
    backward.merge(halves[::-1])
    table = forward.table()
    assert table.equals(backward.table())
    assert table.num_rows == 4
    for row in table.to_pylist():
        number = ["web", "books"].index(row["source"])
        chosen, dropped, entropies = [0] * 4, [0] * 4, []
        for routing, source in batches:
            one = routing[row["layer"]]
            for t in (source == number).nonzero().flatten().tolist():
                entropies.append(float(torch.distributions.Categorical(one.probabilities[t]).entropy()))
                for place in range(2):
                    chosen[int(one.experts[t, place])] += 1
                    dropped[int(one.experts[t, place])] += int(not one.kept[t, place])
        assert row["chosen"] == chosen
        assert row["dropped"] == dropped
        assert row["drop_rate"] == sum(dropped) / sum(chosen)
        assert row["tokens"] == len(entropies)
        assert abs(row["entropy"] - sum(entropies) / len(entropies)) < 1e-6
        assert row["largest_share"] == max(chosen) / sum(chosen)
