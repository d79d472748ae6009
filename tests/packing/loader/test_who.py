"""who(): the document behind every token of the training order."""

import pytest

from packing.loader import PackedDataset, who
from tests.packing.directories import BOS, EOS, doc_key, write_directory

DOCUMENTS = {"web": [[5, 6], [7] * 40, list(range(3, 80))], "code": [[9] * 21]}


@pytest.mark.parametrize("bos", ["none", "doc", "fragment"])
def test_every_token_of_every_sequence(tmp_path, bos):
    write_directory(tmp_path, DOCUMENTS, sequence_length=32, rows_per_shard=2, copies=2, bos=bos)
    texts = {doc_key(s, n): [*tokens, EOS] for s, many in DOCUMENTS.items() for n, tokens in enumerate(many)}
    names = {doc_key(s, n): s for s, many in DOCUMENTS.items() for n, _ in enumerate(many)}
    dataset = PackedDataset(tmp_path)
    seen = set()
    for sequence in range(len(dataset)):
        row = dataset[sequence]
        filled = int(row.lengths.sum())
        for token in range(filled):
            if row.tokens[token] == BOS:
                with pytest.raises(LookupError, match="is the BOS of document"):
                    who(tmp_path, 0, sequence, token)
                continue
            found = who(tmp_path, 0, sequence, token)
            assert texts[found.doc_key][found.offset] == row.tokens[token]
            assert found.source == names[found.doc_key]
            assert row.segments["doc_key"][found.fragment] == found.doc_key
            seen.add((found.doc_key, found.copy, found.offset))
        if filled < 32:
            with pytest.raises(LookupError, match=f"is padding: the row ends at {filled}"):
                who(tmp_path, 0, sequence, filled)
    assert len(seen) == 2 * sum(map(len, texts.values()))


def test_places_that_do_not_exist(tmp_path):
    write_directory(tmp_path, DOCUMENTS)
    with pytest.raises(IndexError):
        who(tmp_path, 0, 0, 64)
    with pytest.raises(IndexError):
        who(tmp_path, 0, 99, 0)
