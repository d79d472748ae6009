"""What packing must know of a tokenizer: its special ids, the rows of the embedding, the bytes of each id."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from curation.pipeline.errors import UsageError
from tokenizer.encoding.source import OpenTokenizer, open_tokenizer

EOS_NAMES = ("<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "<|eos|>", "<|eot_id|>")
PAD_NAMES = ("<|pad|>", "<pad>", "[PAD]", "<|finetune_right_pad_id|>")
BOS_NAMES = ("<|bos|>", "<|begin_of_text|>", "<s>", "<bos>", "<|im_start|>")
ROW_MULTIPLE = 64  # a padding row that is added comes with whole blocks, like the tokenizer's own


@dataclass(frozen=True, eq=False)
class TokenIds:
    """`rows`: every id is below; `byte_lengths` uint32[rows]: UTF-8 bytes that an id stands for, 0 for special ones."""

    eos: int
    pad: int
    bos: int | None
    rows: int
    byte_lengths: NDArray[np.uint32]
    tokenizer: str  # hash

    def reserved(self) -> dict[int, str]:
        """Ids that packing itself writes; no document may hold one."""
        named = {self.eos: "end-of-document", self.pad: "padding"}
        return named if self.bos is None else {**named, self.bos: "begin-of-document"}


def token_ids(
    path: Path, *, eos: str | None = None, pad: str | None = None, bos: str | None = None, with_bos: bool = False
) -> TokenIds:
    """Of a tokenizer directory or tokenizer.json; `eos`, `pad`, `bos` name special tokens where the usual names do not.

    A tokenizer without padding gets an id of its own for it, in a row after its last.
    Raises UsageError: no such special token, or the same one for two purposes.
    """
    opened = open_tokenizer(path)
    specials = opened.special_ids
    eos_id = _named(opened, "eos", eos, EOS_NAMES)
    bos_id = _named(opened, "bos", bos, BOS_NAMES) if with_bos else None
    used = 1 + max([*opened.raw["model"]["vocab"].values(), *specials.values()])
    vocabulary = opened.source.vocabulary
    rows = max(used, vocabulary.rows if vocabulary else 0)
    if pad is None and not any(name in specials for name in PAD_NAMES):
        pad_id = rows
        rows = -(-(rows + 1) // ROW_MULTIPLE) * ROW_MULTIPLE
    else:
        pad_id = _named(opened, "pad", pad, PAD_NAMES)
    if len({eos_id, pad_id, bos_id}) < 3:
        raise UsageError(
            f"eos ({eos_id}), pad ({pad_id}) and bos ({bos_id}) must be three different ids",
            "name other special tokens: pack.eos_token, pack.pad_token, pack.bos_token",
        )
    lengths = np.zeros(rows, np.uint32)
    for text, number in opened.raw["model"]["vocab"].items():
        lengths[number] = len(text)  # byte-level: one character a byte
    lengths[list(specials.values())] = 0
    lengths.setflags(write=False)
    return TokenIds(eos_id, pad_id, bos_id, rows, lengths, opened.hash)


def _named(opened: OpenTokenizer, purpose: str, name: str | None, usual: tuple[str, ...]) -> int:
    for one in usual if name is None else (name,):
        if one in opened.special_ids:
            return opened.special_ids[one]
    known = ", ".join(list(opened.special_ids)[:12]) or "none"
    wanted = f"no special token {name!r}" if name else f"none of {', '.join(usual)}"
    raise UsageError(f"the tokenizer has {wanted} for {purpose}; it has: {known}", f"name one: pack.{purpose}_token")
