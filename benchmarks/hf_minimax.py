"""Is transformers' MiniMax the same model as ours, and where is it a poor oracle?

    python benchmarks/hf_minimax.py

Parity: largest difference of logits, both ways, float32 and float64.  Then four facts about transformers, each
measured within transformers alone (ours is not involved): no document reset in linear layers, cached decoding, rotation
of the whole head, decay tables cast with the weights.  Small random models, one thread, seconds.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
import transformers
from results import write_result
from torch import Tensor
from transformers import MiniMaxConfig, MiniMaxForCausalLM
from transformers.utils import logging

from proxy_model.hf import export_hf, load_hf
from proxy_model.kernels import lightning_slopes
from proxy_model.model import ProxyLM
from proxy_model.packed import packed_sequences

LINEAR, FULL = "linear_attention", "full_attention"
VOCABULARY = 512


def minimax(kinds: list[str], init: float, seed: int = 0) -> Any:
    """The real layout in small: DeepNorm factors, 8 experts, grouped keys; `init` is the std of all matrices."""
    alpha = (2 * len(kinds)) ** 0.25
    torch.manual_seed(seed)
    config = MiniMaxConfig(
        vocab_size=VOCABULARY,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=len(kinds),
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        num_local_experts=8,
        layer_types=kinds,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        full_attn_alpha_factor=alpha,
        linear_attn_alpha_factor=alpha,
        mlp_alpha_factor=alpha,
        initializer_range=init,
    )
    return MiniMaxForCausalLM(config).eval()


def hybrid(layers: int) -> list[str]:
    return [FULL if (layer + 1) % 8 == 0 else LINEAR for layer in range(layers)]


def logits(model: Any, tokens: Tensor, **options: Any) -> Tensor:
    return model(tokens[None], use_cache=False, **options).logits[0]


def own_logits(model: ProxyLM, documents: list[Tensor]) -> Tensor:
    hidden = model(packed_sequences(documents)).hidden[: sum(map(len, documents))]
    return model.logits(hidden)[:, : model.config.vocab_size]


def gap(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max())


def parity(init: float, layers: int, tokens: Tensor) -> dict[str, float]:
    """Ours from their files, alone and packed, and theirs from ours."""
    theirs = minimax(hybrid(layers), init)
    cut = len(tokens) // 3
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(folder)
        ours = load_hf(folder)
    reference = logits(theirs, tokens)
    apart = torch.cat([logits(theirs, tokens[:cut]), logits(theirs, tokens[cut:])])
    with tempfile.TemporaryDirectory() as folder:
        export_hf(ours, Path(folder))
        back = MiniMaxForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    return {
        "logits_std": float(reference.std()),
        "one_document": gap(own_logits(ours, [tokens]), reference),
        "two_documents_packed_here_apart_there": gap(own_logits(ours, [tokens[:cut], tokens[cut:]]), apart),
        "export": gap(logits(back, tokens), own_logits(ours, [tokens])),
    }


def no_reset(init: float, tokens: Tensor) -> dict[str, float]:
    """The second of two documents packed with position_ids and cu_seq_lens, against the same document alone."""
    model, cut = minimax(hybrid(8), init), len(tokens) // 3
    positions = torch.cat([torch.arange(cut), torch.arange(len(tokens) - cut)])[None]
    lengths = torch.tensor([0, cut, len(tokens)], dtype=torch.int32)
    packing = {
        "cu_seq_lens_q": lengths,
        "cu_seq_lens_k": lengths,
        "max_length_q": len(tokens),
        "max_length_k": len(tokens),
    }
    alone = logits(model, tokens[cut:])
    packed = logits(model, tokens, position_ids=positions, **packing)[cut:]
    only_full = minimax([FULL] * 8, init)
    control = logits(only_full, tokens, position_ids=positions)[cut:]
    return {
        "logits_std": float(alone.std()),
        "mean_difference": float((packed - alone).abs().mean()),
        "largest_difference": gap(packed, alone),
        "control_all_softmax": gap(control, logits(only_full, tokens[cut:])),
    }


def cached(kinds: list[str], init: float, tokens: Tensor, step: int) -> float:
    """The last `step` tokens decoded from a cache of the others, against one pass without a cache."""
    model = minimax(kinds, init)
    kept = len(tokens) - step
    first = model(tokens[None, :kept], use_cache=True)
    rest = model(tokens[None, kept:], past_key_values=first.past_key_values, use_cache=True).logits[0]
    return gap(rest, logits(model, tokens)[kept:])


def rotated_dimensions() -> dict[str, Any]:
    """How many dimensions of a head move with the position, and whether a rotary_dim in the config changes that."""
    from transformers.models.minimax.modeling_minimax import apply_rotary_pos_emb

    counts = {}
    for name, rotary_dim in (("default", None), ("rotary_dim 16", 16)):
        model = minimax([FULL], 0.02)
        if rotary_dim is not None:
            model.config.rotary_dim = rotary_dim
            model = MiniMaxForCausalLM(model.config)
        query = torch.ones(1, 1, 8, 32)
        turned, _ = apply_rotary_pos_emb(query, query, *model.model.rotary_emb(query, torch.arange(8)[None]))
        counts[name] = int((turned != query).any(2).sum())
    return {"head_dim": 32, "dimensions_that_rotate": counts}


def cast_decay() -> dict[str, float]:
    """A slope after `.to(bfloat16)`, and the error of the decay over 2,048 tokens, worst head of the third layer."""
    model = minimax(hybrid(8), 0.02).to(torch.bfloat16)
    cast = model.model.layers[2].self_attn.slope_rate.double().flatten()
    exact = lightning_slopes(4, 2, 8).double()
    ratio = torch.exp(-(cast - exact) * 2048)
    worst = int((ratio - 1).abs().argmax())
    return {"slope": float(exact[worst]), "cast": float(cast[worst]), "decay_2048_ratio": float(ratio[worst])}


@torch.no_grad()
def main() -> None:
    torch.set_num_threads(1)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    tokens = torch.randint(0, VOCABULARY, (300,), generator=torch.Generator().manual_seed(1))
    results: dict[str, Any] = {
        "parity": {f"init {i}, {n} layers": parity(i, n, tokens) for i, n in ((0.02, 8), (0.02, 16), (0.2, 8))},
        "no_reset": {f"init {i}": no_reset(i, tokens) for i in (0.02, 0.2)},
        "cached": {
            f"init {init}, {name} first, {step} tokens at once": cached(kinds, init, tokens[:60], step)
            for init in (0.02, 0.2)
            for name, kinds in (("linear", hybrid(8)), ("softmax", [FULL, *[LINEAR] * 7]))
            for step in (1, 20)
        },
        "rotation": rotated_dimensions(),
        "cast_decay": cast_decay(),
    }
    for name, found in results.items():
        print(name, *(f"  {key}: {value}" for key, value in found.items()), sep="\n")
    write_result("hf_minimax", results, {"transformers": transformers.__version__, "torch": torch.__version__})


if __name__ == "__main__":
    main()
