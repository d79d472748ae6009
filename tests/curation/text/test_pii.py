"""What is shown hides at least what the rule would take out, and the checks know their numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.text.identifiers import is_card, is_iban, is_public_ipv4, is_public_ipv6, passes_luhn
from curation.text.personal_data import find
from curation.text.pii import mask
from tests.curation.rules.test_pii import PIECES


@given(st.lists(st.sampled_from(PIECES) | st.characters(), max_size=12).map("".join))
def test_what_the_rule_masks_is_not_shown(text: str) -> None:
    encoded = text.encode("utf-8", "surrogatepass")
    shown = mask(text)
    for one in find(encoded):
        item = encoded[one.start : one.end].decode("utf-8", "surrogatepass")
        assert shown.count(item) <= text.count(item) - 1


@pytest.mark.parametrize("text", ["gb82west12345698765432", "Tel. 467 3395", "müller@büro.de"])
def test_rare_forms_are_masked_too(text: str) -> None:
    assert not set(mask(text)) & set("0123456789@")


@given(st.text("0123456789", min_size=2, max_size=20), st.integers(0, 18))
def test_luhn_notices_every_single_wrong_digit(digits: str, place: int) -> None:
    total = [d for d in "0123456789" if passes_luhn(digits + d)]
    assert len(total) == 1
    right = digits + total[0]
    place %= len(right)
    wrong = right[:place] + str((int(right[place]) + 1) % 10) + right[place + 1 :]
    assert not passes_luhn(wrong)


@pytest.mark.parametrize(
    ("digits", "card"),
    [
        ("4111111111111111", True), ("5105105105105100", True), ("2223003122003222", True), ("378282246310005", True),
        ("6011111111111117", True), ("30569309025904", True), ("3530111333300000", True), ("6759649826438453", True),
        ("4111111111111112", False), ("9999999999999995", False), ("41111111111", False), ("", False),
    ],
)  # fmt: skip
def test_cards_have_an_issuer_a_length_and_a_check_digit(digits: str, card: bool) -> None:
    assert is_card(digits) == card


@pytest.mark.parametrize(
    ("plain", "iban"),
    [
        ("DE89370400440532013000", True), ("GB82WEST12345698765432", True), ("NO9386011117947", True),
        ("mt84malt011000012345mtlcast001s", True), ("DE8937040044053201300", False), ("GB83WEST12345698765432", False),
        ("ZZ89370400440532013000", False), ("", False),
    ],
)  # fmt: skip
def test_ibans_have_a_country_its_length_and_check_digits(plain: str, iban: bool) -> None:
    assert is_iban(plain) == iban


def test_only_public_addresses_count() -> None:
    assert [is_public_ipv4(a) for a in ("93.184.216.34", "10.1.2.3", "239.1.1.90", "1.2.3.4", "999.1.1.1")] == [
        True,
        False,
        False,
        False,
        False,
    ]
    assert [is_public_ipv6(a) for a in ("2001:4860:4860::8888", "fe80::1", "a::b", "::", "12:30:45")] == [
        True,
        False,
        False,
        False,
        False,
    ]
