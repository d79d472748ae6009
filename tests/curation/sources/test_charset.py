"""What charset decoding promises: never raises, trusts bytes before declarations, counts its losses."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from curation.sources.charset import REPLACEMENT, codec_name, decode

GERMAN = "<p>Über die Größe der Häuser: schöne Grüße aus Köln</p>" * 4
RUSSIAN = "<p>В начале было слово, и слово было понятно каждому читателю этой страницы.</p>" * 4
JAPANESE = "<p>これは日本語の文章です。文字コードの判定を確かめるために書かれました。</p>" * 4
CHINESE = "<p>这是一个用来检查字符编码判定的中文网页,内容并不重要,但是要足够长。</p>" * 4
KOREAN = "<p>이것은 문자 인코딩 판별을 확인하기 위한 한국어 문장입니다. 내용은 중요하지 않습니다.</p>" * 4


def with_meta(charset: str, body: str) -> str:
    return f'<html><head><meta http-equiv="Content-Type" content="text/html; charset={charset}"></head>{body}'


@given(st.binary(max_size=4000), st.none() | st.text(max_size=20) | st.sampled_from(["utf-8", "gbk", "utf-16"]))
@example(b"\xff\xfe\x00\xd8", None)  # UTF-16 that ends in half a surrogate pair
@example(b"\xed\xa0\x80", "utf-8")  # a surrogate written in UTF-8
@example(b"\x1b$B\x80", "iso-2022-jp")
@example(b"", None)
def test_any_bytes_decode_to_text_that_is_valid_utf8(data: bytes, declared: str | None) -> None:
    text, charset = decode(data, declared)
    text.encode("utf-8")  # raises on a lone surrogate
    assert data.decode(charset, "replace") is not None  # the charset is one that Python knows


@given(st.text(max_size=2000), st.sampled_from([None, "iso-8859-1", "shift_jis", "nonsense", "utf-16"]))
def test_valid_utf8_wins_over_any_declaration(text: str, declared: str | None) -> None:
    data = ("<p>" + text.replace("\x00", "")).encode()
    if b"\x1b$" not in data:
        assert decode(data, declared) == (data.decode(), "utf-8")


@pytest.mark.parametrize(
    ("charset", "body", "codec"),
    [
        ("iso-8859-1", GERMAN, "cp1252"),
        ("windows-1251", RUSSIAN, "cp1251"),
        ("koi8-r", RUSSIAN, "koi8-r"),
        ("shift_jis", JAPANESE, "cp932"),
        ("euc-jp", JAPANESE, "euc_jp"),
        ("iso-2022-jp", JAPANESE, "iso2022_jp"),
        ("gb2312", CHINESE, "gb18030"),
        ("big5", "<p>這是一個用來檢查字元編碼判定的中文網頁。</p>" * 4, "big5hkscs"),
        ("euc-kr", KOREAN, "cp949"),
    ],
)
@pytest.mark.parametrize("where", ["header", "meta", "header, and meta says utf-8"])
def test_a_right_declaration_is_followed(charset: str, body: str, codec: str, where: str) -> None:
    page = with_meta("utf-8" if "says" in where else charset, body) if "meta" in where else body
    declared = charset if "header" in where else None
    assert decode(page.encode(charset), declared) == (page, codec)


def test_the_header_wins_over_the_meta_element() -> None:
    page = with_meta("windows-1252", RUSSIAN)
    assert decode(page.encode("koi8-r"), "koi8-r") == (page, "koi8-r")


def test_an_undeclared_charset_is_detected() -> None:
    for charset, body in [("cp1251", RUSSIAN), ("cp932", JAPANESE), ("gb18030", CHINESE), ("cp949", KOREAN)]:
        assert decode(body.encode(charset)) == (body, charset)


def test_a_wrong_single_byte_declaration_does_not_beat_a_recognised_multi_byte_charset() -> None:
    page = with_meta("iso-8859-1", CHINESE)
    assert decode(page.encode("gb18030"), "iso-8859-1") == (page, "gb18030")


def test_a_declared_utf8_that_the_bytes_refute_is_not_followed() -> None:
    text, charset = decode(with_meta("utf-8", GERMAN).encode("cp1252"), "utf-8")
    assert (charset, text.count(REPLACEMENT)) == ("cp1252", 0)


def test_utf8_with_a_few_bad_bytes_stays_utf8_and_the_loss_is_countable() -> None:
    data = GERMAN.encode() + b"\xe4" + b"<p>cut: \xe2\x82"
    text, charset = decode(data, "iso-8859-1")
    assert (charset, text.count(REPLACEMENT)) == ("utf-8", 2)


def test_byte_order_marks_decide_and_are_dropped() -> None:
    for mark, charset in [(b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")]:
        assert decode(mark + GERMAN.encode(charset), "iso-8859-1") == (GERMAN, charset)


def test_utf16_without_a_mark_is_recognised() -> None:
    for charset in ("utf-16-le", "utf-16-be"):
        assert decode(GERMAN.encode(charset)) == (GERMAN, charset)


def test_terminal_escapes_do_not_turn_ascii_into_japanese() -> None:
    page = "<pre>\x1b(B\x1b$ ls</pre>"
    assert decode(page.encode()) == (page, "utf-8")


def test_labels_map_as_on_the_web_and_never_to_a_codec_that_is_no_charset() -> None:
    assert codec_name(" Latin1 ") == "cp1252"
    for label in ("zlib", "hex", "rot13", "utf-7", "unicode_escape", "idna", "ÜTF-8", "", None):
        assert codec_name(label) is None
