"""What is evaluated: an encoder, the bytes of its ids, and the size of its embedding.

Our own vocabularies and public ones (`yardsticks`) take this one form, so every metric treats them alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from curation.pipeline.errors import UsageError
from tokenizer.encoding.engines import Ids, joined
from tokenizer.evaluation.word_pieces import TokenBytes, token_bytes
from tokenizer.formats.tokenizer_json import tokenizer_json
from tokenizer.vocabulary import BYTE_CHARACTERS, Vocabulary


class TextEncoder(Protocol):
    """Texts to ids; special strings in a text are text, a null is an empty text."""

    def encode(self, texts: pa.LargeStringArray) -> Ids:
        """(ids, offsets): `ids[offsets[i]:offsets[i + 1]]` belong to text i."""
        ...


@dataclass(frozen=True, eq=False)
class Subject:
    """One tokenizer under evaluation.

    tokens: bytes of the ids that text can give, 0 … n−1 (b"" for an id that none gives).
    specials: names of special tokens; rows: rows of the embedding (tokens, specials and padding).
    hash: identity of the vocabulary where it has one.  vocabulary: ours only; the audit tests its merges.
    """

    name: str
    encoder: TextEncoder
    tokens: Sequence[bytes]
    rows: int
    specials: tuple[str, ...] = ()
    hash: str | None = None
    vocabulary: Vocabulary | None = None

    def table(self) -> TokenBytes:
        return token_bytes(self.tokens)


class HuggingFaceEncoder:
    """A `tokenizers.Tokenizer` as a TextEncoder; its special tokens are never found in text."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.tokenizer.encode_special_tokens = True

    def encode(self, texts: pa.LargeStringArray) -> Ids:
        found = self.tokenizer.encode_batch_fast([text or "" for text in texts.to_pylist()], add_special_tokens=False)
        return joined([encoding.ids for encoding in found])


def subject_of_vocabulary(name: str, vocabulary: Vocabulary, encoder: TextEncoder | None = None) -> Subject:
    """One of our vocabularies; without an encoder, Hugging Face's (slow, the reference) is made of it."""
    from tokenizers import Tokenizer

    return Subject(
        name, encoder or HuggingFaceEncoder(Tokenizer.from_buffer(tokenizer_json(vocabulary))), vocabulary.tokens(),
        vocabulary.rows, tuple(vocabulary.special_ids), vocabulary.hash, vocabulary,
    )  # fmt: skip


def subject_of_tokenizers(name: str, tokenizer: Any) -> Subject:
    """Any byte-level `tokenizers.Tokenizer`.

    Raises UsageError where a token is not written in the byte-level alphabet (WordPiece, SentencePiece).
    """
    byte_of = {character: byte for byte, character in enumerate(BYTE_CHARACTERS)}
    added = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    names = {id_: token for token, id_ in tokenizer.get_vocab(with_added_tokens=True).items()}
    size = max((id_ for id_, token in names.items() if token not in added), default=-1) + 1
    try:
        tokens = [
            bytes(byte_of[c] for c in names[i]) if i in names and names[i] not in added else b"" for i in range(size)
        ]
    except KeyError as error:
        raise UsageError(
            f"{name}: a token holds {error.args[0]!r}, which is no byte of the byte-level alphabet",
            "only byte-level BPE tokenizers can be evaluated",
        ) from None
    return Subject(name, HuggingFaceEncoder(tokenizer), tokens, max(names, default=-1) + 1, tuple(sorted(added)))


def merge_model(vocabulary: Vocabulary) -> Any:
    """Merges alone, as a `tokenizers.Tokenizer` without pre-tokeniser: each input is one word in byte characters."""
    from tokenizers import Tokenizer, models

    spelt = [byte_text(token) for token in vocabulary.tokens()]
    pairs = [(spelt[left], spelt[right]) for left, right in vocabulary.merges.tolist()]
    return Tokenizer(models.BPE({token: i for i, token in enumerate(spelt)}, pairs))


def byte_text(data: bytes) -> str:
    """Bytes in GPT-2's printable alphabet."""
    return "".join(map(BYTE_CHARACTERS.__getitem__, data))
