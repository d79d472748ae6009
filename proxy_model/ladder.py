"""What every rung of the ladder costs before one buys it: parameters, tokens, FLOPs, hours, memory, money.

    tokens = 20 · (active parameters + one embedding matrix); the paper's model has its own 40 B
    hours  = tokens · FLOPs a token / (MFU · the GPU's dense bf16 FLOP/s · 3600)

790 TFLOP/s is an H200's measured rate of matrix products (reference, proxy model, head), against which MFU is stated.
FLOPs are the model's own, head included, nothing computed twice counted; training time beyond them is what MFU says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from curation.pipeline.errors import UsageError
from proxy_model.config import PRESETS, flops, params, preset

TOKENS_A_PARAMETER = 20  # Hoffmann et al. 2022, as rounded in the reference, proxy model §6
PAPER_TOKENS = 40e9
TFLOPS = 790.0
MFU = 0.3
# bytes a parameter: weight, gradient and AdamW's two moments in fp32, in shards (FSDP, see dist/parallel.py)
SHARDED_STATE = 16
# on one GPU in bf16 (train/optim.py): bf16 weight and gradient, fp32 master with its gradient, two moments
SINGLE_STATE = 20


@dataclass(frozen=True)
class Rung:
    """One preset.  Parameters without embedding and head but for `embedding`, which counts both."""

    name: str
    active: int
    total: int
    embedding: int
    tokens: float
    flops_a_token: float  # forward and backward
    flops: float
    gpu_hours: float
    hours: float  # of the whole machine
    state_gb: float  # weights, gradients and optimizer on each GPU; activations come on top
    cost: float | None  # in the currency of `price`


def ladder(
    names: Sequence[str] = (), *, gpus: int = 1, mfu: float = MFU, tflops: float = TFLOPS, price: float | None = None,
    length: int = 2048, tokens: float | None = None,
) -> list[Rung]:  # fmt: skip
    """Rungs in order of size; `names`: all by default; `length`: of documents; `price`: of one GPU and hour.

    Raises UsageError for figures that mean nothing, ModelConfigError for an unknown preset.
    """
    demands = [
        (gpus >= 1, f"--gpus {gpus}", "at least 1"),
        (0 < mfu <= 1, f"--mfu {mfu}", "above 0, at most 1, for example 0.3"),
        (tflops > 0, f"--tflops {tflops}", "above 0, for example 790 for an H200"),
        (price is None or price >= 0, f"--price {price}", "0 or more for an hour of one GPU"),
        (length >= 1, f"--length {length}", "tokens of a document, at least 1"),
        (tokens is None or tokens > 0, f"--tokens {tokens}", "above 0"),
    ]
    for holds, given, wanted in demands:
        if not holds:
            raise UsageError(f"{given} is out of range", wanted)
    return [_rung(name, gpus, mfu, tflops, price, length, tokens) for name in names or PRESETS]


def _rung(
    name: str, gpus: int, mfu: float, tflops: float, price: float | None, length: int, given: float | None
) -> Rung:
    config = preset(name)
    size = params(config)
    own = PAPER_TOKENS if name == "paper" else TOKENS_A_PARAMETER * (size.active + config.rows * config.width)
    tokens = given or float(own)
    each = flops(config, length).total
    hours = tokens * each / (mfu * tflops * 1e12 * 3600)
    state = SINGLE_STATE if gpus == 1 else SHARDED_STATE
    return Rung(
        name=name,
        active=size.active,
        total=size.total,
        embedding=size.embedding,
        tokens=tokens,
        flops_a_token=each,
        flops=tokens * each,
        gpu_hours=hours,
        hours=hours / gpus,
        state_gb=state * (size.total + size.embedding) / gpus / 1e9,
        cost=None if price is None else hours * price,
    )


def ladder_command(
    names: Sequence[str], *, gpus: int, mfu: float, tflops: float, price: float | None, length: int, tokens: str | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Print the table."""
    from curation.commands.output import print_json, print_line, print_table
    from curation.pipeline.config import count_of

    number = None if tokens is None else count_of(tokens)
    if number is not None and not str(number).isdigit():
        raise UsageError(f"--tokens {tokens!r} is no number", "write for example 300M or 40B")
    given = {"gpus": gpus, "mfu": mfu, "tflops": tflops, "price": price, "length": length}
    found = ladder(names, **given, tokens=None if number is None else float(number))  # type: ignore[arg-type]
    if as_json:
        print_json({**given, "rungs": [asdict(one) for one in found]})
        return
    columns = ["preset", "active", "total", "embedding", "tokens", "FLOPs", "GPU hours", "hours", "states/GPU"]
    rows = [
        [
            one.name, short(one.active), short(one.total), short(one.embedding), short(one.tokens), f"{one.flops:.2e}",
            f"{one.gpu_hours:,.3g}", f"{one.hours:,.3g}", f"{one.state_gb:,.3g} GB",
            *([] if one.cost is None else [f"{one.cost:,.2f}"]),
        ]
        for one in found
    ]  # fmt: skip
    print_table(columns if price is None else [*columns, "cost"], rows)
    print_line(
        f"{gpus} GPU(s) at {mfu:.0%} of {tflops:g} TFLOP/s, documents of {length:,} tokens; parameters without "
        "embedding and head; states without activations"
    )


def short(value: float) -> str:
    """1234567 → 1.23M."""
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"
