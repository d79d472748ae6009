"""What test_pair.py and test_train.py look at, done on two gloo processes: `torchrun … pair.py FOLDER`.

One start serves all checks, since importing torch twice is much of the time.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import torch

from proxy_model.config import preset
from proxy_model.dist import ALONE, Ranks, started
from proxy_model.dist.checkpoint import read_shards, write_shards
from proxy_model.dist.experts import spread_experts
from proxy_model.dist.parallel import gathered, wrap
from proxy_model.dist.ranks import clip
from proxy_model.files import load_model, save_state
from proxy_model.loss import objective, token_nats
from proxy_model.model import ProxyLM
from proxy_model.moe import MoE, update_biases
from proxy_model.packed import packed_sequences
from tests.proxy_model.dist.train_pair import train_runs

# narrow, so that two processes on one core finish soon
SMALL = replace(
    preset("pico", width=32, heads=2, head_dim=16, expert_width=16, vocab_size=256), capacity_factor=1.1, bias_rate=0.01
)
STEPS, LIMIT = 3, 0.5


def sequences(step: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(step)
    return [torch.randint(0, 256, (64,), generator=generator) for _ in range(4)]


def train(
    ranks: Ranks, expert_parallel: bool = False, start: int = 0, steps: int = STEPS, restored: dict | None = None,
    dtype: torch.dtype = torch.float32,
):  # fmt: skip
    """Plain loop; each process has its share of the sequences, with unequal numbers of labels."""
    model = wrap(ProxyLM(SMALL, seed=3).to(dtype), ranks, expert_parallel=expert_parallel)
    weights = dict(model.named_parameters())
    optimizer = torch.optim.AdamW(weights.values(), lr=1e-3, foreach=False)
    if restored is not None:
        with torch.no_grad():
            for name, one in weights.items():
                one.copy_(restored[f"weight.{name}"])
            for name, one in model.named_buffers():
                one.copy_(restored[f"buffer.{name}"])
        for entry, value in restored.items():
            if entry.startswith("optimizer."):
                name, _, key = entry.removeprefix("optimizer.").rpartition("|")
                optimizer.state[weights[name]][key] = value
    norms, losses = [], []
    for step in range(start, steps):
        every = sequences(step)
        mine = every[ranks.rank * len(every) // ranks.world : (ranks.rank + 1) * len(every) // ranks.world]
        packed = packed_sequences(mine)
        labels = torch.roll(packed.tokens, -1)
        labels[63::64] = -100
        labels[: 20 * (1 - ranks.rank)] = -100  # the first process has fewer
        if ranks.world == 1:
            labels[:20] = -100
        count = ranks.sum((labels != -100).sum()) / ranks.world
        output = model(packed)
        nats = token_nats(output.hidden, model.head_weight, labels, vocab_size=256)
        loss, _ = objective(output, nats, labels, SMALL, count)
        optimizer.zero_grad()
        loss.backward()
        norms.append(float(clip([one.grad for one in weights.values()], LIMIT, ranks)))
        optimizer.step()
        update_biases(model)
        losses.append(float(ranks.mean(loss.detach())))
    tensors = {f"weight.{name}": one.detach() for name, one in weights.items()}
    tensors |= {f"buffer.{name}": one for name, one in model.named_buffers()}
    for name, one in weights.items():
        tensors |= {f"optimizer.{name}|{key}": value for key, value in optimizer.state[one].items()}
    return model, tensors, norms, losses


def farthest(found: dict, wanted: dict) -> float:
    if set(found) != set(wanted):
        return float("inf")
    return max(float((found[name].double() - wanted[name].double()).abs().max()) for name in wanted)


def moe_pair(config, seed: int) -> tuple[MoE, MoE]:
    torch.manual_seed(seed)
    one = MoE(config).double()
    two = MoE(config).double()
    two.load_state_dict(one.state_dict())
    return one, two


def expert_parallel_equals_local(ranks: Ranks, gate: str, capacity: float | None) -> float:
    """Outputs and all gradients, where experts or whole processes get nothing."""
    config = replace(SMALL, capacity_factor=capacity, bias_rate=0.0, experts=4)
    alone, spread = moe_pair(config, 5)
    sizes = [24, 40]  # tokens of each process
    torch.manual_seed(6)
    x = torch.randn(sum(sizes), config.width, dtype=torch.float64)
    x[:, 0] = 1
    with torch.no_grad():
        if gate != "free":  # all tokens choose these two
            pair = {"second_rank_idle": [0, 1], "two_experts_idle": [1, 3]}[gate]
            for one in (alone, spread):
                one.gate.weight[pair, 0] += 50.0
    real = torch.arange(sum(sizes)) % 9 != 0
    upstream = torch.randn(sum(sizes), config.width, dtype=torch.float64)

    whole = x.clone().requires_grad_()
    y, routing = alone(whole, real)
    ((y * upstream).sum() + routing.aux + routing.z).backward()

    spread.peers = ranks
    gate_up, down = spread_experts(spread, ranks)
    begin = sum(sizes[: ranks.rank])
    part = slice(begin, begin + sizes[ranks.rank])
    own = x[part].clone().requires_grad_()
    mine, used = spread(own, real[part])
    # the mean over processes of what each brings is the whole loss
    (ranks.world * (mine * upstream[part]).sum() + used.aux + used.z).backward()

    per = config.experts // ranks.world
    held = slice(ranks.rank * per, (ranks.rank + 1) * per)
    gate_gradient = ranks.mean(spread.gate.weight.grad)
    pairs = [
        (mine, y[part]),
        (own.grad / ranks.world, whole.grad[part]),
        (gate_up.grad.to_local(), alone.gate_up.grad[held]),
        (down.grad.to_local(), alone.down.grad[held]),
        (gate_gradient, alone.gate.weight.grad),
        (ranks.mean(used.aux.detach()), routing.aux.detach()),
        (ranks.mean(used.z.detach()), routing.z.detach()),
        (ranks.sum(used.dropped), routing.dropped),
        (ranks.sum(used.counts), routing.counts),
    ]
    error = max(float((a.detach().double() - b.detach().double()).abs().max()) for a, b in pairs)
    return float(ranks.gather(torch.tensor(error)).max())


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    with started(torch.device("cpu")) as ranks:
        assert ranks.world == 2
        check(folder, ranks)
        train_runs(folder, ranks)


def check(folder: Path, ranks: Ranks) -> None:
    found: dict[str, float] = {}
    single, _, norms, losses = train(ALONE)
    expected = dict(single.state_dict())
    exact = dict(train(ALONE, dtype=torch.float64)[0].state_dict())
    for name, parallel in (("fsdp", False), ("experts", True)):
        wide = gathered(train(ranks, parallel, dtype=torch.float64)[0])
        if ranks.first:
            found[f"{name}_float64"] = farthest(wide, exact)
        model, tensors, own_norms, own_losses = train(ranks, parallel)
        whole = gathered(model)
        if ranks.first:
            found[f"{name}_parameters"] = farthest(whole, expected)
            found[f"{name}_norms"] = max(abs(a - b) for a, b in zip(own_norms, norms, strict=True))
            found[f"{name}_losses"] = max(abs(a - b) for a, b in zip(own_losses, losses, strict=True))
            found["clipped"] = float(max(norms) > LIMIT)
        found[f"{name}_same_norm_everywhere"] = float(ranks.collect(own_norms)[0] == ranks.collect(own_norms)[1])
        write_shards(folder / name, tensors, ranks)
        ranks.wait()
        back = read_shards(folder / name, tensors, ranks)
        equal = set(back) == set(tensors) and all(
            torch.equal(local_part(back[key]), local_part(tensors[key])) for key in tensors
        )
        found[f"{name}_read_back"] = float(all(ranks.collect(equal)))
        if name == "fsdp":  # go on from after the last step but one
            _, early, _, _ = train(ranks, steps=STEPS - 1)
            write_shards(folder / "early", early, ranks)
            ranks.wait()
            again = read_shards(folder / "early", early, ranks)
            model, later, _, _ = train(ranks, start=STEPS - 1, restored=again)
            same = all(torch.equal(local_part(later[key]), local_part(tensors[key])) for key in tensors)
            found["resumed_same"] = float(all(ranks.collect(same)))
        if ranks.first:
            save_state(SMALL, whole, folder / f"{name}-final")
            torch.testing.assert_close(dict(load_model(folder / f"{name}-final").state_dict()), whole, rtol=0, atol=0)
    for gate in ("free", "second_rank_idle", "two_experts_idle"):
        for capacity in (None, 0.6):
            found[f"exchange_{gate}_{capacity}"] = expert_parallel_equals_local(ranks, gate, capacity)
    if ranks.first:
        (folder / "found.json").write_text(json.dumps(found))


def local_part(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor


if __name__ == "__main__":
    main(Path(sys.argv[1]))
