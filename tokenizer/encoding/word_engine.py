"""The engine without extras: each distinct word of a column is merged once, by Hugging Face's own model.

Our scanner cuts the words, Arrow finds the distinct ones, `tokenizers` merges those, and ids are copied to
where the words occur: the same ids as Hugging Face's, at some 8 times its speed (benchmarks/tokenizer_encode.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from curation.text.arrow import text_buffers
from tokenizer.formats.tokenizer_json import BYTE_LEVEL
from tokenizer.splitting.pretokenize import word_ends
from tokenizer.vocabulary import Vocabulary

WORDS_AT_ONCE = 1_000  # words of one encoding: its fixed cost is that of 10 words


def word_encoder(
    json: bytes, vocabulary: Vocabulary
) -> Callable[[pa.LargeStringArray], tuple[NDArray[np.uint32], NDArray[np.int64]]]:
    """The encoder of a tokenizer.json without added tokens, whose vocabulary has a pattern with a scanner."""
    from tokenizers import Tokenizer

    raw: dict[str, Any] = orjson.loads(json)
    model = Tokenizer.from_str(orjson.dumps({**raw, "pre_tokenizer": BYTE_LEVEL}).decode())
    lengths = np.array([len(token) for token in vocabulary.tokens()], np.int64)

    def merge(words: pa.LargeStringArray) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        """Ids of the words with n + 1 offsets: a word ends with the token that ends at its last byte."""
        listed = words.to_pylist()
        groups = [listed[i : i + WORDS_AT_ONCE] for i in range(0, len(listed), WORDS_AT_ONCE)]
        found = model.encode_batch_fast(groups, is_pretokenized=True, add_special_tokens=False)
        ids = np.concatenate([np.zeros(0, np.uint32), *(np.array(one.ids, np.uint32) for one in found)])
        word_bytes, _ = text_buffers(words)
        token_bytes = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths[ids])])
        return ids, np.searchsorted(token_bytes, word_bytes - word_bytes[0])

    def encode(texts: pa.LargeStringArray) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        ends, first = word_ends(texts, vocabulary.pattern)
        if len(ends) == 0:
            return np.zeros(0, np.uint32), np.zeros(len(texts) + 1, np.int64)
        begin, _ = text_buffers(texts)
        borders = np.concatenate([begin[:1], ends])  # texts lie side by side in the buffer, so words do
        buffers = [None, pa.py_buffer(borders), texts.buffers()[2]]
        words = pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(ends), buffers).dictionary_encode()
        ids, ids_end = merge(words.dictionary.cast(pa.large_string()))
        which = np.asarray(words.indices)
        counts = np.diff(ids_end)[which]
        at = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
        copied = ids[np.repeat(ids_end[which] - at[:-1], counts) + np.arange(at[-1])]
        return copied, at[first]

    return encode
