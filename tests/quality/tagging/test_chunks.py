"""Promises of chunking: nothing is lost, cuts fall between paragraphs, long documents are sampled fairly."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quality.tagging.chunks import chunk, cut_reference

TEXTS = st.lists(st.text(alphabet="ab \n\u00e9\u4e2d\U0001f600", max_size=120), max_size=5)


def large(texts: list[str | None]) -> pa.LargeStringArray:
    return pa.array(texts, pa.large_string())


@given(TEXTS, st.integers(2, 30))
def test_pieces_are_those_of_the_reference(texts: list[str], characters: int) -> None:
    made = chunk(large(texts), characters, 1000)
    wanted = [(i, piece) for i, text in enumerate(texts) for piece in cut_reference(text, characters)]
    assert list(zip(made.document.tolist(), made.texts.to_pylist(), strict=True)) == wanted
    assert made.weight.tolist() == [len(piece.encode()) for _, piece in wanted]


@given(TEXTS, st.integers(2, 30), st.integers(1, 4))
def test_sampled_pieces_are_pieces_and_stand_for_the_whole_text(texts: list[str], characters: int, most: int) -> None:
    made = chunk(large(texts), characters, most)
    for i, text in enumerate(texts):
        mine = [piece for piece, document in zip(made.texts.to_pylist(), made.document, strict=True) if document == i]
        pieces = cut_reference(text, characters)
        assert 1 <= len(mine) <= most and set(mine) <= set(pieces)
        assert made.weight[made.document == i].sum() == pytest.approx(len(text.encode()))
        assert made.texts[int(made.first[i])].as_py() == mine[0]


def test_a_cut_falls_after_the_last_empty_line_that_fits() -> None:
    text = ("Sentence one. " * 60).strip() + "\n\n" + "next paragraph " * 120
    first, second = chunk(large([text]), 1200, 64).texts.to_pylist()[:2]
    assert first.endswith("\n\n") and second.startswith("next")


def test_a_document_of_up_to_one_and_a_half_pieces_stays_whole() -> None:
    assert len(chunk(large(["x" * 3000])).texts) == 1
    assert len(chunk(large(["x" * 3001])).texts) == 2


def test_null_and_empty_texts_have_one_empty_piece_and_no_text_none() -> None:
    made = chunk(large([None, "", "a"]))
    assert made.texts.to_pylist() == ["", "", "a"] and made.document.tolist() == [0, 1, 2]
    assert len(chunk(large([])).texts) == 0


def test_a_slice_of_an_array_is_cut_like_its_copy() -> None:
    texts = large(["zzz", "a b\n" * 900, "c" * 5000])
    assert chunk(texts.slice(1)).texts == chunk(large(texts.slice(1).to_pylist())).texts


def test_forty_megabytes_become_64_pieces_spread_over_the_whole_text() -> None:
    lines = "\n".join(f"line {i} of a very long document" for i in range(1_150_000))
    made = chunk(large(["short", lines, "short"]))
    assert len(lines) > 40e6 and (made.document == 1).sum() == 64
    numbers = [int(piece.split("line ")[1].split()[0]) for piece in made.texts.to_pylist()[1:-1]]
    share = np.array(numbers) / 1_150_000
    assert numbers == sorted(numbers) and np.abs(share - (np.arange(64) + 0.5) / 64).max() < 1 / 64
    assert sum(len(piece) for piece in made.texts.to_pylist()) < 200_000


def test_sampling_is_unbiased_over_many_texts() -> None:
    # the mean of a value that grows along the text, by 8 pieces of some hundred
    errors = []
    for seed in range(60):
        text = "\n\n".join(f"{seed} {i} " + "w" * (20 + (i * seed) % 30) for i in range(400))
        made = chunk(large([text]), 100, 8)
        values = np.array([int(piece.split()[1]) for piece in made.texts.to_pylist()])
        whole = chunk(large([text]), 100, 10_000)
        truth = np.average([int(piece.split()[1]) for piece in whole.texts.to_pylist()], weights=whole.weight)
        errors.append(np.average(values, weights=made.weight) - truth)
    assert abs(np.mean(errors)) < 3 * np.std(errors) / np.sqrt(len(errors))
