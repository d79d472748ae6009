"""Tokenisation: where the context ends, when the ways to split disagree, what does not fit."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.pipeline.errors import UsageError
from proxy_model.evaluate.split import tokenise
from proxy_model.evaluate.tokens import JsonTokenizer
from tests.proxy_model.evaluate.examples import Letters, item, saved_tokenizer, some_items


def texts(pairs: list) -> list[tuple[str, str]]:
    return [("".join(map(chr, c)), "".join(map(chr, k))) for c, k in pairs]


def test_where_no_token_spans_the_boundary_all_modes_agree() -> None:
    items = [item("1"), item("2")]
    found = [tokenise(items, Letters(), mode).pairs for mode in ("lcp", "lm_eval", "separate")]
    assert found[0] == found[1] == found[2]
    assert texts(found[0][0])[1] == item("1").pair(1)


def test_a_token_over_the_boundary_moves_the_split_back_for_every_option() -> None:
    one = item(contexts=("ab",), choices=("cd", "xy"), joining="")
    letters = Letters("bc")
    pairs = tokenise([one], letters, "lcp").pairs[0]
    assert pairs == [([97], [0x100000, 100]), ([97], [98, 120, 121])]
    assert tokenise([one], letters, "lm_eval").pairs[0] == [([97, 98], [100]), ([97, 98], [120, 121])]
    assert tokenise([one], letters, "separate").pairs[0] == [([97, 98], [99, 100]), ([97, 98], [120, 121])]
    count = tokenise([one], letters, "lcp").counts["foxes"]
    assert (count.joint_not_separate, count.split_moved, count.options) == (1, 2, 2)


def test_lm_eval_mode_moves_spaces_that_end_the_context() -> None:
    one = item(contexts=("ab ",), choices=("cd", "xy"), joining="")
    letters = Letters(" c")
    assert tokenise([one], letters, "lm_eval").pairs[0][0] == ([97, 98], [0x100000, 100])
    assert tokenise([one], letters, "lcp").pairs[0][0] == ([97, 98], [0x100000, 100])
    assert tokenise([one], letters, "separate").pairs[0][0] == ([97, 98, 32], [99, 100])


def test_an_empty_context_is_the_end_of_document_token() -> None:
    one = item(contexts=("",), choices=("cd", "ce"), joining="")
    for mode in ("lcp", "lm_eval", "separate"):
        found = tokenise([one], Letters(), mode)
        assert found.pairs[0] == [([0], [99, 100]), ([0], [99, 101])], mode
        assert found.counts["foxes"].empty_context == 2
    assert tokenise([one], Letters(), "lcp", bos=5).pairs[0][0] == ([5], [99, 100])


def test_options_never_score_what_they_share_of_the_context_in_different_amounts() -> None:
    """Choices that begin alike keep their common start in the continuation."""
    pairs = tokenise([item(contexts=("a",), choices=("bcd", "bce"), joining="")], Letters(), "lcp").pairs[0]
    assert texts(pairs) == [("a", "bcd"), ("a", "bce")]


def test_contexts_that_vary_are_split_each_by_itself() -> None:
    one = item(kind="context_choice", contexts=("ab", "a"), choices=("cd",), joining="", gold=0)
    assert tokenise([one], Letters("bc"), "lcp").pairs[0] == [([97], [0x100000, 100]), ([97], [99, 100])]


def test_what_does_not_fit_is_an_error_unless_said_otherwise() -> None:
    items = [item("short", contexts=("abc",)), item("long", contexts=("a" * 50,))]
    with pytest.raises(UsageError, match=r"1 items do not fit 40 tokens: foxes long"):
        tokenise(items, Letters(), max_length=40)
    dropped = tokenise(items, Letters(), max_length=40, too_long="drop_item")
    assert [one.id for one in dropped.items] == ["short"]
    assert dropped.counts["foxes"].dropped == ["long"]
    cut = tokenise(items, Letters(), max_length=40, too_long="left")
    assert all(len(c) + len(k) - 1 <= 40 for pairs in cut.pairs for c, k in pairs)
    assert [any(one) for one in cut.truncated] == [False, True]
    assert all(k == whole for (_, k), (_, whole) in zip(cut.pairs[1], tokenise(items, Letters()).pairs[1], strict=True))


def test_a_choice_longer_than_the_model_reads_is_never_cut() -> None:
    with pytest.raises(UsageError, match="do not fit"):
        tokenise([item(choices=("x" * 60, "y"))], Letters(), max_length=40, too_long="left")


def test_a_pair_that_just_fits_fits() -> None:
    """The last token is predicted, never read."""
    one = item(contexts=("abc",), choices=("de", "fg"), joining="")
    assert tokenise([one], Letters(), max_length=4).items
    with pytest.raises(UsageError):
        tokenise([one], Letters(), max_length=3)


@given(
    st.text("ab c", max_size=8), st.lists(st.text("abc ", min_size=1, max_size=6), min_size=2, max_size=4, unique=True)
)
def test_context_and_continuation_are_the_joint_text_whatever_is_merged(context: str, choices: list[str]) -> None:
    choices = [one for one in choices if one.strip()]
    if len(choices) < 2:
        return
    letters = Letters("ab", "bc", " a", "c ", "  ")
    one = item(contexts=(context,), choices=tuple(choices), joining="")
    pairs = tokenise([one], letters, "lcp").pairs[0]
    for option, (before, after) in enumerate(pairs):
        joint = letters.encode([context + one.choice(option)])[0]
        assert (before if before != [0] else []) + after == joint
        assert len(before) <= max(1, len(letters.encode([context])[0]))
    assert len({tuple(before) for before, _ in pairs}) == 1


def test_our_tokenizer_gives_no_special_token_from_text(tmp_path: Path) -> None:
    tokenizer = JsonTokenizer(saved_tokenizer(tmp_path))
    ids = tokenizer.encode(["a <|endoftext|> b", ""])
    assert tokenizer.end_of_document not in ids[0]
    assert ids[1] == []
    found = tokenise(some_items(), tokenizer, "lcp")
    assert found.counts["bare"].empty_context == 2
    assert found.pairs[-1][0][0] == [tokenizer.end_of_document]


@pytest.mark.slow  # compiles and checks the word engine: 15 s
def test_many_texts_go_through_another_engine_and_give_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import proxy_model.evaluate.tokens as tokens

    tokenizer = JsonTokenizer(saved_tokenizer(tmp_path))
    some = [text for one in some_items() for text in (*one.contexts, *one.choices)]
    few = tokenizer.encode(some)
    monkeypatch.setattr(tokens, "MANY_TEXTS", 1)
    called: list[int] = []
    words = tokens.JsonTokenizer._encode_words
    monkeypatch.setattr(tokens.JsonTokenizer, "_encode_words", lambda self, t: called.append(len(t)) or words(self, t))
    assert tokenizer.encode(some) == few
    assert called == [len(some)]


def test_a_tokenizer_without_an_end_of_document_is_refused(tmp_path: Path) -> None:
    path = saved_tokenizer(tmp_path)
    with pytest.raises(UsageError, match=r"none of <\|over\|> is a special token"):
        JsonTokenizer(path, "<|over|>")
