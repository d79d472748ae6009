"""Checks that tell an identifier from any other run of digits: payment cards, IBANs, public addresses.

Sources: ISO/IEC 7812-1 (Luhn, issuer ranges), ISO 13616 (IBAN: lengths of the SWIFT registry, mod 97),
RFC 6890 and its successors through the standard library's ipaddress.
"""

from __future__ import annotations

import ipaddress

# Length of an IBAN by country: SWIFT IBAN registry, release 99.
_IBAN_LENGTHS = {
    15: "NO", 16: "BE", 18: "DK FI FK FO GL NL SD", 19: "MK SI", 20: "AT BA EE KZ LT LU XK", 21: "CH HR LI LV",
    22: "BG BH CR DE GB GE IE ME RS VA", 23: "AE GI IL IQ OM SO TL",
    24: "AD CZ DZ ES MD PK RO SA SE SK TN VG", 25: "LY PT ST", 26: "IS TR",
    27: "BI DJ FR GF GP GR IT MC MQ MR NC PF PM RE SM TF WF YT", 28: "AL AZ BY CY DO GT HN HU LB NI PL SV",
    29: "BR EG PS QA UA", 30: "JO KW MU MN YE", 31: "MT SC", 32: "LC", 33: "RU",
}  # fmt: skip
IBAN_LENGTH = {country: length for length, countries in _IBAN_LENGTHS.items() for country in countries.split()}

# (first, last number of the issuer range, lengths); ranges of equal digits, most of them of ISO/IEC 7812.
_ISSUERS = (
    (4, 4, (16,)),  # Visa; its 13 and 19 digits are rare, and often other numbers
    (51, 55, (16,)), (2221, 2720, (16,)),  # Mastercard
    (34, 34, (15,)), (37, 37, (15,)),  # American Express
    (6011, 6011, (16, 19)), (644, 649, (16, 19)), (65, 65, (16, 19)),  # Discover
    (3528, 3589, (16, 19)), (2131, 2131, (15,)), (1800, 1800, (15,)),  # JCB
    (300, 305, (14, 16)), (3095, 3095, (14,)), (36, 36, (14,)), (38, 39, (14, 16)),  # Diners Club
    (62, 62, (16, 17, 18, 19)),  # UnionPay
    (2200, 2204, (16,)),  # Mir
    (60, 60, (16,)), (81, 82, (16,)), (508, 508, (16,)),  # RuPay
    *((n, n, tuple(range(12, 20))) for n in (5018, 5020, 5038, 5893, 6304, 6759, 6761, 6762, 6763)),  # Maestro
)  # fmt: skip
_LENGTHS: dict[str, tuple[int, ...]] = {}
for _first, _last, _lengths in _ISSUERS:
    for _number in range(_first, _last + 1):
        _LENGTHS[str(_number)] = _lengths

# 12.3.45.6 is a version or a place in a code of law far more often; (64/256)^4 = 0.4 % of addresses look so.
VERSION_PARTS = 64
_IPV6_UNICAST = ipaddress.IPv6Network("2000::/3")  # all that is assigned to hosts (RFC 4291)


def passes_luhn(digits: str) -> bool:
    """Whether the last of the ASCII digits is the Luhn check digit of the others."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = ord(digit) - 48
        total += value if place % 2 == 0 else (2 * value - 9 if value > 4 else 2 * value)
    return total % 10 == 0


def is_card(digits: str) -> bool:
    """A payment card number: an issuer's range, its lengths, Luhn."""
    return 12 <= len(digits) <= 19 and passes_luhn(digits) and len(digits) in _issuer_lengths(digits)


def _issuer_lengths(digits: str) -> tuple[int, ...]:
    return next((found for n in (4, 3, 2, 1) if (found := _LENGTHS.get(digits[:n]))), ())


def passes_mod_97(plain: str) -> bool:
    """ISO 13616: [A-Za-z0-9]+ without spaces, country and check digits first."""
    turned = plain[4:] + plain[:4]
    return int("".join(str(int(c, 36)) for c in turned)) % 97 == 1


def is_iban(plain: str) -> bool:
    """A known country, its length, mod 97."""
    return IBAN_LENGTH.get(plain[:2].upper()) == len(plain) and passes_mod_97(plain)


def is_public_ipv4(text: str) -> bool:
    """A globally reachable IPv4 address, unicast; four numbers below 64 are a version, an outline or a resolver."""
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        return False
    likely = max(address.packed) >= VERSION_PARTS
    return likely and address.is_global and not address.is_multicast


def is_public_ipv6(text: str) -> bool:
    """A globally reachable IPv6 address; a shortened one (`::`) only in the range that is assigned.

    `a::b` is an address on paper and a scope operator in most code.
    """
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        return False
    if not address.is_global or address.is_multicast:
        return False
    return "::" not in text or (address in _IPV6_UNICAST and text.count(":") >= 3)
