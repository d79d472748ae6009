"""Promises of the junk statistics: equal to the slow reference, silent where a rule makes no sense, linear."""

from __future__ import annotations

import re
import time

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.pipeline.hashing import hash64
from curation.rules.thresholds import RuleSet
from curation.text.junk import JUNK, measure_junk
from curation.text.junk_reference import measure_junk_reference
from curation.text.junk_tables import FUNCTION, LONGEST_WORD, load_tables, pair_scores, plausible_trigrams, vocabulary

PIECES = [
    "the", "of", "The", "Of", "and", "with", "which", "I", "a", "been", "lorem", "Ipsum", "javascript", "JavaScript",
    "enable", "required", "qzj", "th1s", "wo|d", "x2y", "a1b2", "co^st", "f(x)", "snake_case", "a.b", "end.", "end.”",
    "what?", "no!)", "etc", "...", "Ã©", "â€™", "ðŸ˜€", "Ð°", "РїСЂРё", "вЂ™", "é", "É", "ß“", "\x85", "\x91", "�",
    "中文", "กำ", "e\u0301", "\u0301", "\u00a0", "WORD", "Word", "wOrd", "Ünder", "наверное", "Мир.", "العربية",
    "12345", "7", "-", "'", "’", "\n", "\u2028", "\t", " ", " ", " ", "abcdefghijklm", "z" * 60, "\u200b", "🙂", "\x00",
]  # fmt: skip
texts = st.one_of(
    st.text(max_size=80),
    st.text(alphabet=st.characters(max_codepoint=0x2200), max_size=200),
    st.lists(st.sampled_from(PIECES), max_size=60).map("".join),
    st.lists(st.sampled_from(PIECES), max_size=120).map(" ".join),
)


def measured(text: str) -> dict[str, int]:
    row: dict[str, int] = measure_junk(pa.array([text], pa.large_string())).to_pylist()[0]
    return row


@settings(max_examples=400, deadline=None)
@given(texts)
def test_kernel_equals_reference_on_any_text(text: str) -> None:
    assert measured(text) == measure_junk_reference(text)


@settings(max_examples=100, deadline=None)
@given(texts)
def test_kernel_equals_reference_where_there_is_evidence(text: str) -> None:
    text = f"{text} " * 40
    assert measured(text) == measure_junk_reference(text)


# Jane Austen, Pride and Prejudice (1813), public domain.
AUSTEN = (
    "It is a truth universally acknowledged, that a single man in possession of a good fortune, must be in want of a "
    "wife. However little known the feelings or views of such a man may be on his first entering a neighbourhood, this "
    "truth is so well fixed in the minds of the surrounding families, that he is considered as the rightful property "
    "of some one or other of their daughters. Mr. Bennet replied that he had not. But it is, returned she; for Mrs. "
    "Long has just been here, and she told me all about it. Mr. Bennet made no answer. Do you not want to know who has "
    "taken it? cried his wife impatiently. You want to tell me, and I have no objection to hearing it. This was "
    "invitation enough. Why, my dear, you must know, Mrs. Long says that Netherfield is taken by a young man of large "
    "fortune from the north of England; that he came down on Monday in a chaise and four to see the place."
)
OTHER_SCRIPTS = {
    "zh": "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。" * 8,
    "ja": "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。" * 8,
    "th": "มนุษย์ทั้งปวงเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ" * 8,
    "ar": "يولد جميع الناس أحرارا متساوين في الكرامة والحقوق. وقد وهبوا عقلا وضميرا. " * 8,
    "hi": "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है। " * 8,
    "ko": "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다. " * 8,
    "ru": "Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены разумом и совестью. " * 8,
    "fr": "« Tous les êtres humains naissent libres et égaux en dignité et en droits. » L’été a été gâché… " * 8,
    "de": "„Alle Menschen sind frei und gleich an Würde und Rechten geboren.“ Sie sind mit Vernunft begabt. „Spaß“ "
    * 8,
}


def decided(*texts: str | None) -> list[str | None]:
    rules = RuleSet.resolve(["curate-junk"])
    by, _ = rules.decide({"junk": measure_junk(pa.array(texts, pa.large_string()))})
    return [None if reason is None else reason.removeprefix("curate-junk.") for reason in by.to_pylist()]


def shuffled(text: str) -> str:
    """The words in the order of their hashes."""
    words = text.split()
    return " ".join(words[i] for i in sorted(range(len(words)), key=lambda i: hash64(f"{i} {words[i]}".encode())))


def misread(text: str, encoding: str) -> str:
    return "".join(bytes([byte]).decode(encoding, "replace") for byte in text.encode())


def noisy(text: str, characters: str, every: int) -> str:
    """One letter of every `every` replaced, by hash."""
    key = [hash64(f"{i} {c}".encode()) for i, c in enumerate(text)]
    return "".join(
        characters[k // every % len(characters)] if k % every == 0 and c.isalpha() else c
        for k, c in zip(key, text, strict=True)
    )


def test_plain_text_in_any_script_is_kept() -> None:
    assert decided(AUSTEN, *OTHER_SCRIPTS.values()) == [None] * 10


def test_each_kind_is_removed_by_its_rule() -> None:
    kinds = {
        "max_upper_letters": AUSTEN.upper(),
        "max_long_runs": "".join(AUSTEN.split()),
        "max_digits": "\n".join("\t".join(str(hash64(bytes([a, b])) % 99991) for a in range(8)) for b in range(40)),
        "max_noisy_tokens": noisy(AUSTEN, "#^~*%&+", 5),
        "max_mixed_tokens": noisy(AUSTEN, "01|", 8),
        "max_damaged_tokens": noisy(AUSTEN, "zqxjkv", 8),
        "max_pair_disorder": shuffled(AUSTEN.replace(".", ",")),
        "max_placeholder_words": "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor. " * 4,
        "max_script_notices": "Please enable JavaScript in your browser to see this page. " + AUSTEN[:200],
    }
    assert dict(zip(kinds, decided(*kinds.values()), strict=True)) == {name: name for name in kinds}


@pytest.mark.parametrize("language", ["fr", "ru", "zh", "hi"])
def test_mojibake_of_any_script_is_found(language: str) -> None:
    text = OTHER_SCRIPTS[language]
    assert decided(misread(text, "latin-1"), misread(text, "cp1252")) == ["max_mojibake"] * 2


def test_mojibake_of_cyrillic_read_as_windows_1251_is_found() -> None:
    assert decided(misread(OTHER_SCRIPTS["ru"], "cp1251")) == ["max_mojibake"]


def test_shuffled_sentences_are_found_in_any_cased_script() -> None:
    russian = (
        "Все люди рождаются свободными. Они наделены разумом и совестью. Каждый человек имеет право на жизнь. "
        "Никто не должен подвергаться пыткам. Семья является ячейкой общества. Материнство дает право на помощь. "
        "Эти права принадлежат всем. Закон защищает каждого. Государство уважает свободу совести. Суд рассматривает "
        "любое дело гласно. Граждане участвуют в управлении. Труд свободен. Отдых необходим каждому."
    )
    assert decided(russian, shuffled(russian)) == [None, "max_lower_starts"]


def test_lists_code_and_lower_case_talk_are_kept() -> None:
    listing = "\n".join(f"* {word} of the {word}" for word in re.findall(r"\w{6,}", AUSTEN))
    code = "\n".join(f"    if (a{i} < b_{i} && x2y[{i}] == 0x{i:04x}) {{ return camelCase{i}; }}" for i in range(60))
    talk = "hi there. how are you. i want to go to the shop. it is on the corner. ok. see you then. bye for now. " * 3
    assert decided(listing, code, talk) == [None] * 3


def test_too_little_evidence_removes_nothing() -> None:
    assert decided("", " ", "NASA", "1999", "â€™", "of the a the", "中", "a1b2c3", "Enable JavaScript.") == [None] * 9


def test_null_text_gives_a_null_row_and_a_slice_its_own_rows() -> None:
    column = pa.array(["x", AUSTEN, None, AUSTEN.upper()], pa.large_string())
    rows = measure_junk(column)
    assert rows.type == JUNK and rows.is_null().to_pylist() == [False, False, True, False]
    assert measure_junk(column.slice(1)).to_pylist() == rows.to_pylist()[1:]
    assert len(measure_junk(pa.array([], pa.large_string()))) == 0
    with pytest.raises(TypeError):
        measure_junk(pa.array(["x"]))


@pytest.mark.parametrize(
    "piece", ["a", "ab.", "1", "Ã©", "Ð", "中", "\u0301", "javascript enable ", "the of ", "(", "\n"]
)
def test_time_is_linear_in_hostile_runs(piece: str) -> None:
    column = pa.array([piece * (2_000_000 // len(piece))], pa.large_string())
    measured("compile first")
    start = time.process_time()
    measure_junk(column)
    assert time.process_time() - start < 2


def test_tables_are_consistent() -> None:
    tables = load_tables()
    the, of = (vocabulary()[word] & FUNCTION for word in ("the", "of"))
    assert tables.pairs[the, of] == pair_scores()["the", "of"] == -8 and tables.pairs[of, the] > 0
    assert (tables.keys > 0).sum() == len(vocabulary())
    assert all(word.isascii() and word.islower() and len(word) <= LONGEST_WORD for word in vocabulary())
    assert not any(array.flags.writeable for array in tables)
    assert "the" in plausible_trigrams() and "qzj" not in plausible_trigrams()
