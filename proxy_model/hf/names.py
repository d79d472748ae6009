"""Tensor names of transformers' MiniMax, and ours (reference, proxy model §7).

On disk transformers writes Mixtral's names, one matrix an expert: w1 = gate, w3 = up, w2 = down.  In memory the experts
are fused (`mlp.experts.gate_up_proj`, `down_proj`), and either naming is read.  Decay tables are buffers that follow
from the config: transformers saves them, and nobody needs them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from proxy_model.architecture import Mixer, ModelConfig

BUFFERS = re.compile(r"\.(slope_rate|query_decay|key_decay|diagonal_decay|inv_freq|original_inv_freq)$")
EXPERT = re.compile(r"^(?:model\.)?layers\.(\d+)\.(?:block_sparse_moe|mlp)\.experts\.(\d+)\.(w[123])\.weight$")
LAYER = re.compile(r"^(?:model\.)?layers\.(\d+)\.(.+)$")

_TOP = {
    "embed.weight": "model.embed_tokens.weight",
    "norm.weight": "model.norm.weight",
    "head.weight": "lm_head.weight",
}
_BOTH = {
    "mixer_norm.weight": "input_layernorm.weight",
    "feed_forward_norm.weight": "post_attention_layernorm.weight",
    "feed_forward.gate.weight": "block_sparse_moe.gate.weight",
}
_MIXER: Mapping[Mixer, Mapping[str, str]] = {
    "lightning": {
        "mixer.qkv.weight": "self_attn.qkv_proj.weight",
        "mixer.gate.weight": "self_attn.output_gate.weight",
        "mixer.out.weight": "self_attn.out_proj.weight",
        "mixer.norm.weight": "self_attn.norm.weight",
    },
    "softmax": {
        "mixer.q.weight": "self_attn.q_proj.weight",
        "mixer.k.weight": "self_attn.k_proj.weight",
        "mixer.v.weight": "self_attn.v_proj.weight",
        "mixer.out.weight": "self_attn.o_proj.weight",
    },
}
_FUSED = {"mlp.experts.gate_up_proj": "feed_forward.gate_up", "mlp.experts.down_proj": "feed_forward.down"}


@dataclass(frozen=True)
class Expert:
    """One expert's matrix on disk."""

    layer: int
    expert: int
    matrix: str  # w1, w2 or w3

    @property
    def name(self) -> str:
        return f"model.layers.{self.layer}.block_sparse_moe.experts.{self.expert}.{self.matrix}.weight"


def hf_name(own: str, config: ModelConfig) -> str | None:
    """transformers' name on disk of a tensor of ours; None for experts and for what it has no place for."""
    if own in _TOP:
        return _TOP[own]
    _, layer, rest = own.split(".", 2)
    inner = _BOTH.get(rest) or _MIXER[config.pattern[int(layer)]].get(rest)
    return inner and f"model.layers.{layer}.{inner}"


def own_name(hf: str, config: ModelConfig) -> str | Expert | None:
    """Our name of a tensor of theirs, an Expert for one expert's matrix, None where we know none."""
    if found := EXPERT.match(hf):
        return Expert(int(found[1]), int(found[2]), found[3])
    if found := LAYER.match(hf):
        layer, rest = int(found[1]), found[2]
        if layer >= config.layers:
            return None
        known = {theirs: ours for ours, theirs in {**_BOTH, **_MIXER[config.pattern[layer]]}.items()}
        ours = known.get(rest.replace("mlp.gate.", "block_sparse_moe.gate.")) or _FUSED.get(rest)
        return ours and f"blocks.{layer}.{ours}"
    full = hf if hf.startswith(("model.", "lm_head.")) else f"model.{hf}"
    return {theirs: ours for ours, theirs in _TOP.items()}.get(full)
