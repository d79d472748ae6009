"""How fast models train: `python benchmarks/train.py` on a CUDA machine, or on a CPU against transformers.

CUDA   first: a packed batch gives the nats of its documents one by one, and a repeated run the same losses, bit by bit.
       Then tokens/s and MFU of nano, s and m; the hybrid against an all-softmax twin over document lengths 1,024 to
       65,536 (MiniMax-01, figure 8: the hybrid should be flat); time of layers and blocks with experts over
       dense ones of equal active FLOPs (moe_overhead.py).  bf16, fp32 masters, AdamW, steps of `curate proxy train`,
       under the same deterministic algorithms.
CPU    pico against transformers' MiniMax of the same shape, weights and batches, alternating, CPU seconds of whole
       optimizer steps in fp32 on one thread; losses are compared in the same run.  One document a row, because
       transformers does not separate documents in its linear layers.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.moe_overhead import measure
from benchmarks.results import write_result
from packing.layout.files import SEGMENT
from packing.loader.batch import Batch, empty_batch, fill
from packing.loader.fragments import Fragments
from packing.loader.segments import lay_out
from proxy_model.config import ModelConfig, flops, hybrid, preset
from proxy_model.loss import token_nats
from proxy_model.model import ProxyLM
from proxy_model.moe import ExpertUsage
from proxy_model.packed import packed_from, packed_sequences
from proxy_model.train.devices import peak_flops, reproducible
from proxy_model.train.held_out import shifted
from proxy_model.train.optim import Optimizers, Weights
from proxy_model.train.settings import Optimizer
from proxy_model.train.spikes import Policy, Watch
from proxy_model.train.step import take_step

SIZES = {"nano": 65_536, "s": 65_536, "m": 32_768}  # tokens of a forward pass
LENGTHS = (1024, 4096, 16_384, 65_536)
WARM, TIMED = 4, 8


def batch_of(lengths: list[int], vocabulary: int, seed: int) -> Batch:
    """Random documents of these lengths, laid end to end; their sum is a multiple of 64."""
    total = sum(lengths)
    batch = empty_batch(total, len(lengths) + 1, 1)
    batch["tokens"][:] = np.random.default_rng(seed).integers(0, vocabulary, total)
    records = np.zeros(len(lengths), SEGMENT)
    records["doc_key"] = np.arange(1, len(lengths) + 1)
    found = Fragments(np.array([len(lengths)]), np.array(lengths, np.uint32), records)
    fill(batch, lay_out(found, 1, total, total)[0])
    return batch


def documents(total: int, seed: int, mean: float = 1000.0) -> list[int]:
    """Lognormal lengths (sigma 1.2, as web text) that sum to `total`."""
    rng = np.random.default_rng(seed)
    made: list[int] = []
    while sum(made) < total:
        made.append(min(max(1, int(rng.lognormal(np.log(mean) - 0.72, 1.2))), total - sum(made)))
    return made


class Trainer:
    """Whole optimizer steps of one model."""

    def __init__(self, config: ModelConfig, device: str, precision: Any, seed: int = 0) -> None:
        self.config, self.device = config, torch.device(device)
        self.model = ProxyLM(config, seed).to(device)
        self.weights = Weights(self.model, precision)
        self.optimizers = Optimizers(self.weights, Optimizer(), 1e-3)
        self.usage = ExpertUsage(config.layers, config.experts, ["a"], device)
        self.watch = Watch(Policy())
        self.steps = 0

    def step(self, batch: Batch) -> float:
        """The loss before it."""
        self.steps += 1
        judge = lambda loss, norm: self.watch.judge(self.steps, loss, norm)  # noqa: E731
        return take_step(self.model, self.weights, self.optimizers, self.usage, [batch], 1.0, 1.0, judge).loss


def speed(config: ModelConfig, lengths: Callable[[int], list[int]]) -> dict[str, Any]:
    """Median seconds of a step, tokens/s, MFU and peak memory; `lengths(i)` of step i."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    trainer, seconds = Trainer(config, "cuda", "bf16"), []
    for number in range(WARM + TIMED):
        batch = batch_of(lengths(number), config.vocab_size, number)
        torch.cuda.synchronize()
        began = time.perf_counter()
        trainer.step(batch)  # ends with the host reading the nats
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    sizes = np.array(lengths(WARM), np.float64)
    rate = sizes.sum() / statistics.median(seconds[WARM:])
    peak = peak_flops(trainer.device)
    length = float((sizes**2).sum() / sizes.sum())
    return {
        "tokens": int(sizes.sum()), "seconds_median": statistics.median(seconds[WARM:]),
        "seconds": seconds[WARM:], "tokens_per_s": rate,
        "mfu": None if peak is None else flops(config, length).total * rate / peak,
        "peak_memory_gb": torch.cuda.max_memory_allocated() / 1e9,
    }  # fmt: skip


def correct() -> dict[str, Any]:
    """Raises AssertionError unless packed = separate (fp32) and a run repeats bit by bit (bf16)."""
    config = preset("nano", layers=8, vocab_size=4096)
    model = ProxyLM(config, 1).cuda()
    lengths = [1, 700, 63, 2, 300, 214]
    batch = batch_of(lengths, config.vocab_size, 0)
    with torch.no_grad():
        labels = torch.from_numpy(batch["labels"]).cuda()
        together = token_nats(
            model(packed_from(batch, "cuda")).hidden, model.head_weight, labels, vocab_size=config.vocab_size
        )
        apart, start = [], 0
        for one in lengths:
            packed = packed_sequences([torch.from_numpy(batch["tokens"][start : start + one].copy())], "cuda")
            nats = token_nats(model(packed).hidden, model.head_weight, shifted(packed), vocab_size=config.vocab_size)
            apart.append(nats[:one])
            start += one
    error = float((together - torch.cat(apart)).norm() / together.norm())
    assert error <= 1e-3, f"packed differs from separate documents by {error}"  # fp32 matrix products may use tf32

    def run() -> list[float]:
        trainer = Trainer(config, "cuda", "bf16")
        return [trainer.step(batch_of(documents(8192, i), config.vocab_size, i)) for i in range(5)]

    one, two = run(), run()
    assert one == two, f"the same run gave {one} and {two}"
    return {"packed_against_separate": error, "repeated_losses_equal": True, "losses": one}


def on_cuda(only: str | None) -> None:
    """Every part; `only` one for a quick look."""
    found: dict[str, Any] = {"device": torch.cuda.get_device_name(), "peak_flops": peak_flops(torch.device("cuda"))}
    parts: dict[str, Callable[[], Any]] = {
        "correct": correct,
        "models": lambda: {
            name: speed(preset(name), lambda i, t=tokens: documents(t, i))
            for name, tokens in SIZES.items()  # type: ignore[misc]
        },
        "lengths": lambda: {str(n): _by_length(n) for n in LENGTHS},
        "experts": _experts,
    }
    for name, part in parts.items():
        if only in (None, name):
            began = time.perf_counter()
            found[name] = part()
            print(f"{name}: {time.perf_counter() - began:.0f} s", flush=True)
    write_result("proxy_train_cuda", found | {"torch": torch.__version__, "triton": _version("triton")})


def _by_length(length: int) -> dict[str, Any]:
    """One length of documents, 65,536 tokens a step: s as it is, and with softmax in every layer."""
    config = preset("s")
    lengths = [length] * (65_536 // length)
    twin = replace(config, pattern=hybrid(config.layers, period=1))
    made = {"hybrid": speed(config, lambda i: lengths), "softmax": speed(twin, lambda i: lengths)}
    return made | {"speedup": made["hybrid"]["tokens_per_s"] / made["softmax"]["tokens_per_s"]}


def _experts() -> dict[str, Any]:
    """Layer and block of s and m against dense ones that a token meets as many weights of (target: 1.35)."""
    return {name: measure(preset(name), 32_768, "cuda") for name in ("s", "m")}


def on_cpu(steps: int, length: int) -> None:
    """pico against transformers' MiniMax."""
    from transformers import MiniMaxForCausalLM

    from proxy_model.hf import export_hf

    torch.set_num_threads(1)
    config = preset("pico", rotary_dim=32, norm_eps=1e-5)  # transformers rotates whole heads
    trainer = Trainer(config, "cpu", "fp32", seed=1)
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        export_hf(trainer.model, folder)
        peer = MiniMaxForCausalLM.from_pretrained(folder, torch_dtype=torch.float32)
    peer.train()
    decayed = [p for n, p in peer.named_parameters() if p.dim() > 1 and "embed" not in n and "lm_head" not in n]
    rest = [p for p in peer.parameters() if all(p is not one for one in decayed)]
    adam = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}], lr=1e-3, betas=(0.9, 0.95)
    )

    def their_step(batch: Batch) -> float:
        tokens = torch.from_numpy(batch["tokens"].copy())[None]
        labels = torch.from_numpy(batch["labels"].copy())
        logits = peer(tokens, use_cache=False).logits[0]
        loss = torch.nn.functional.cross_entropy(logits, labels, ignore_index=-100)
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(peer.parameters(), 1.0)
        adam.step()
        return float(loss.detach())

    trainer.config = trainer.model.config = replace(config, aux_weight=0.0, z_weight=0.0)  # as the peer's loss above
    ours, theirs, losses = [], [], []
    for number in range(steps):
        batch = batch_of([length], config.vocab_size, number)
        pair = []
        for step, spent in ((trainer.step, ours), (their_step, theirs)) if number % 2 else (
            (their_step, theirs), (trainer.step, ours),
        ):  # fmt: skip
            began = time.process_time()
            pair.append((step is trainer.step, step(batch)))
            spent.append(time.process_time() - began)
        losses.append([loss for _, loss in sorted(pair, reverse=True)])
    worst = max(abs(one - two) for one, two in losses)
    assert worst < 2e-3, f"losses differ by {worst}"
    warm = 3
    mine, other = statistics.median(ours[warm:]), statistics.median(theirs[warm:])
    result = {
        "model": "pico", "length": length, "steps": steps, "largest_difference_of_losses": worst,
        "first_losses": losses[:2], "last_losses": losses[-2:],
        "tokens_per_cpu_s": {"ours": length / mine, "transformers": length / other}, "ratio": other / mine,
        "cpu_seconds": {"ours": ours[warm:], "transformers": theirs[warm:]}, "threads": 1,
    }  # fmt: skip
    print(f"ours {length / mine:,.0f}, transformers {length / other:,.0f} tokens a CPU second: {other / mine:.2f}x")
    write_result(
        f"proxy_train_cpu_{length}", result,
        {"transformers": _version("transformers") or "?", "torch": torch.__version__},
    )  # fmt: skip


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="correct, models, lengths or experts (CUDA)")
    parser.add_argument("--steps", type=int, default=20, help="of the CPU comparison")
    parser.add_argument("--length", type=int, default=1024, help="tokens a row of the CPU comparison")
    parser.add_argument("--cpu", action="store_true", help="the CPU comparison even where there is CUDA")
    given = parser.parse_args()
    if torch.cuda.is_available() and not given.cpu:
        with reproducible(torch.device("cuda"), 1):
            on_cuda(given.only)
    else:
        on_cpu(given.steps, given.length)
