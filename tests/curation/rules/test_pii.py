"""The PII rule: what is masked, what is left, what the log says, and that it costs linear time."""

from __future__ import annotations

import re
import time

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from curation.rules.pii import COUNTS, PII, PiiConfig, mask_personal_data
from curation.text.edits import EDITS
from curation.text.personal_data import HINTS, KINDS, find

ALL = {kind: f"<{kind}>" for kind in KINDS}


def masked(text: str | None, *kinds: str) -> str | None:
    given = pa.array([text], pa.large_string())
    return mask_personal_data(given, {kind: ALL[kind] for kind in kinds or KINDS}).text[0].as_py()


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("write to jane.doe+x@mail.example.org.", "write to <email>."),
        ("<a href='mailto:a@b.co?subject=1'>", "<a href='mailto:<email>?subject=1'>"),
        ("'jane@example.org', \"o'neil@example.ie\"", "'<email>', \"<email>\""),
        ("müller@büro.de 邮箱abc@x.com。", "<email> 邮箱<email>。"),
        ("jane@example.org.The end", "<email>.The end"),
        ("a@b.org,c@d.org;e@f.org", "<email>,<email>;<email>"),
        ("from 93.184.216.34, 8.8.4.200.", "from <ip>, <ip>."),
        ("at 2001:4860:4860::8888 and 2606:2800:220:1:248:1893:25c8:1946", "at <ip> and <ip>"),
        ("card 4111 1111 1111 1111, 4111-1111-1111-1111", "card <card>, <card>"),
        ("pay 5500005555555559", "pay <card>"),
        ("3714 496353 98431", "<card>"),
        ("my debit card 3530000000000003 expired", "my debit card <card> expired"),
        ("IBAN DE89 3704 0044 0532 0130 00 or gb82west12345698765432", "IBAN <iban> or <iban>"),
        ("GB82 WEST 1234 5698 7654 32 then more", "<iban> then more"),
        ("+1 (555) 123-4567, +49 30 1234567, 0044 20 7946 0958", "<phone>, <phone>, <phone>"),
        ("555-123-4567 or (555) 123-4567 or 555.123.4567 x89", "<phone> or <phone> or <phone>"),
        ("01 23 45 67 89 / 0171 1234567 / (08) 8747 6301", "<phone> / <phone> / <phone>"),
        ("Tel. 467 3395", "Tel. <phone>"),
        ("call me on 9472 7916?", "call me on <phone>?"),
        ("416 60 039 office", "<phone> office"),
        ("電話 1234-5678", "電話 <phone>"),
    ],
)
def test_personal_data_is_masked(text: str, after: str) -> None:
    assert masked(text) == after


@pytest.mark.parametrize(
    "text",
    [
        "user@localhost and icon@2x.png, a @ b, @types/node@18.0.1, foo@bar.invalidtld",
        "git clone git@github.com:o/r.git",
        "10.0.0.1 127.0.0.1 192.168.1.1 172.16.0.9 224.0.0.1 0.0.0.0", "version 51.2.3.104, v60.1.2.3, 1.2.3.4",
        "1.2.3.4.5 and 300.1.1.1 and 01.02.03.99", "std::vector a::b ::1 12:30:45 fe80::1 00:1B:44:11:3A:B7",
        "card 4111 1111 1111 1112", "4111-1111 1111 1111", "0000 0000 0000 0000", "12345678901234567890123",
        "DE89 3704 0044 0532 0130 01", "XX89 3704 0044 0532 0130 00", "ab12cdef",
        "2024-01-15 12:30:45, 01.02.2024, 1990-1995, 1990 1991 1992 1993",
        "1,234,567.89 and 10 000 000 and 7.000.000 km",
        "0.123456789 3.14159265358979 -1234567 $5555555", "978-3-16-148410-0", "call 1000/500 = 2", "460-89-9847",
        "f(1234567)", "phone 5200 - 5200 / 10", "1 2 3 4 5 6 7 8 9", "", "٠١٢٣٤٥٦٧٨٩",
    ],
)  # fmt: skip
def test_what_only_looks_like_it_is_left(text: str) -> None:
    assert masked(text) == text


def test_only_the_wanted_kinds_are_masked() -> None:
    text = "jane@example.org 93.184.216.34"
    assert masked(text, "email") == "<email> 93.184.216.34"
    assert masked(text, "ip") == "jane@example.org <ip>"


def test_the_log_gives_places_and_never_what_stood_there() -> None:
    text = "Müller: jane@example.org, 93.184.216.34"
    result = mask_personal_data(pa.array([None, text, "clean"], pa.large_string()), ALL)
    assert result.text.to_pylist() == [None, "Müller: <email>, <ip>", "clean"]
    assert result.edits.type == EDITS and [len(row or []) for row in result.edits.to_pylist()] == [0, 2, 0]
    first, second = result.edits[1].as_py()
    assert first == {"rule": "pii.email", "start": 9, "length": 16, "before": None, "after": "<email>"}
    assert text.encode()[second["start"] :][: second["length"]] == b"93.184.216.34"
    assert "jane" not in str(result.edits.to_pylist()) + str(result.columns)


def test_counts_are_per_kind_and_null_where_nothing_was_looked_for() -> None:
    texts = pa.array([None, "a@b.org a@b.org", ""], pa.large_string())
    column = mask_personal_data(texts, {"email": "x", "ip": "y"}).columns["pii"]
    assert column.type == COUNTS and column.null_count == 1
    none = {"phone": None, "iban": None, "card": None}
    assert column.to_pylist() == [None, {"email": 2, "ip": 0, **none}, {"email": 0, "ip": 0, **none}]


def test_the_config_names_kinds_and_replacements() -> None:
    assert PII.edited(PiiConfig()) == ALL
    config = PiiConfig(mask=["ip", "email"], replacements={"email": "email@example.com", "card": "unused"})
    assert PII.edited(config) == {"email": "email@example.com", "ip": "<ip>"}
    for wrong in ({"mask": []}, {"mask": ["email", "email"]}, {"mask": ["name"]}, {"replacements": {"name": "x"}}):
        with pytest.raises(ValidationError):
            PiiConfig.model_validate(wrong)


PIECES = [
    "jane@example.org", "93.184.216.34", "2001:4860:4860::8888", "4111 1111 1111 1111", "DE89370400440532013000",
    "+49 30 1234567", "555-123-4567", "call ", " ", "1", "12", ".", "-", "@", ":", "x", "é", "日", "\n", "\x00",
    "(", ")",
]  # fmt: skip
mixed = st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=12).map("".join)
any_text = mixed.map(lambda text: text.encode("utf-8", "ignore").decode())


@given(any_text)
def test_edits_rebuild_the_new_text_and_do_not_overlap(text: str) -> None:
    result = mask_personal_data(pa.array([text], pa.large_string()), ALL)
    data, end, parts = text.encode(), 0, []
    for edit in result.edits[0].as_py():
        assert edit["start"] >= end and edit["length"] > 0
        parts += [data[end : edit["start"]], edit["after"].encode()]
        end = edit["start"] + edit["length"]
    assert b"".join([*parts, data[end:]]).decode() == result.text[0].as_py()
    assert sum(result.columns["pii"][0].as_py().values()) == len(result.edits[0])


@given(any_text)
def test_the_quick_hints_miss_nothing(text: str) -> None:
    for one in find(text.encode()):
        assert re.search(HINTS[one.kind], text)


@given(st.lists(any_text, max_size=5))
def test_rows_do_not_depend_on_each_other(texts: list[str]) -> None:
    together = mask_personal_data(pa.array(texts, pa.large_string()), ALL).text.to_pylist()
    assert together == [masked(text) for text in texts]


def test_a_slice_and_an_empty_batch_are_fine() -> None:
    texts = pa.array(["a@b.org", "c@d.org", "e"], pa.large_string())
    assert mask_personal_data(texts[1:], ALL).text.to_pylist() == ["<email>", "e"]
    assert len(mask_personal_data(texts[:0], ALL).edits) == 0


@pytest.mark.parametrize(
    "unit",
    ["a", "a@", "1 ", "1.", "::", "+0", "a.b@c", "(0", "123 456 ", "-0/", "AB12 ", "1:", "0 ", "@a.", "0.0.0", "f:1.1",
     "DE89", "DE89 ", "a.", "call ", "card 4", "4111", "4111 ", "a@b.org", "@é", "é", "(", "+",
      "1-", "00", "0:", "1 - "],
)  # fmt: skip
def test_it_takes_linear_time(unit: str) -> None:
    def cost(length: int) -> float:
        text = (unit * (length // len(unit))).encode()
        started = time.process_time()
        find(text)
        return time.process_time() - started

    cost(5_000)
    small = max(min(cost(15_000) for _ in range(3)), 2e-3)
    assert min(cost(120_000) for _ in range(2)) < 8 * 3 * small  # a quadratic pattern would need 64 times as long
