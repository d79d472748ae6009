"""ranks.tiktoken: the tokens in rank order, as tiktoken reads them (base64 of the bytes, blank, rank).

The file holds no pattern and no specials; both stand in the manifest.  tiktoken merges whichever two
neighbours give the best-ranked bytes, so the file means the same as the merges only while every token
is made by one merge; `tokenizer_json.check_one_merge` refuses anything else (reference §7).
"""

from __future__ import annotations

import base64
import binascii
from pathlib import Path

from curation.pipeline.errors import UsageError
from tokenizer.formats.tokenizer_json import check_one_merge
from tokenizer.vocabulary import Vocabulary

RANKS = "ranks.tiktoken"


def ranks_file(vocabulary: Vocabulary) -> bytes:
    """The file's bytes.  Raises UsageError where a token is made by two merges."""
    tokens = vocabulary.tokens()
    check_one_merge(vocabulary, tokens)
    return b"".join(b"%s %d\n" % (base64.b64encode(token), rank) for rank, token in enumerate(tokens))


def read_ranks(path: Path) -> dict[bytes, int]:
    """Bytes of a token → rank, for `tiktoken.Encoding`.  Raises UsageError for a damaged line."""
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            token, rank = line.split()
            ranks[base64.b64decode(token, validate=True)] = int(rank)
        except (ValueError, binascii.Error):
            message = f"{path}:{number}: not a base64 token and its rank"
            raise UsageError(message, "export the tokenizer again") from None
    return ranks
