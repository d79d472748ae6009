"""A URL as the filter sees it: its host, every domain above it, and the prefixes of its path.

URLs of a crawl are untrusted: without scheme, with user info, ports, IDNA, addresses, broken
brackets, of any length.  Whatever cannot be understood has no host and so no domain; nothing raises.
Sources: RFC 3986; UTS 46 (library idna); Public Suffix List, the snapshot of publicsuffixlist.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import cache, lru_cache
from urllib.parse import unquote, urlsplit

import idna
from publicsuffixlist import PublicSuffixList

HOST_CHARACTERS = 253  # RFC 1035: a longer name is no host
PREFIXES = 16  # path segments that may be matched by a prefix of a block list
PREFIX_CHARACTERS = 2_048

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}:(?=//)|[\\/]{0,2}$")
_NO_HOST = re.compile(r"(?:about|blob|cid|data|geo|javascript|magnet|mailto|news|sms|tel|urn):", re.IGNORECASE)
_HOST = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")


@dataclass(frozen=True)
class UrlParts:
    """host: lower case, A-labels, no trailing dot; None where the text holds no host.

    domains: the host and its parents down to the registrable domain; an address or a public
    suffix stands for itself.  prefixes: host/segment, host/segment/segment, … with and without `www.`.
    """

    host: str | None
    domains: tuple[str, ...]
    prefixes: tuple[str, ...]


NOTHING = UrlParts(None, (), ())


def url_parts(url: str) -> UrlParts:
    """The parts of one URL; a text that is none gives `NOTHING`."""
    text = url.strip()
    if not text or _NO_HOST.match(text):
        return NOTHING
    if not _SCHEME.match(text):
        text = "//" + text.lstrip("/\\")
    try:
        split = urlsplit(text)
        host = clean_host(split.hostname or "")
    except ValueError:  # unbalanced brackets, invalid address, characters that normalise to `/`
        return NOTHING
    if host is None:
        return NOTHING
    return UrlParts(host, domains_of(host), _prefixes(host, split.path, split.query))


def clean_host(host: str) -> str | None:
    """Lower case, percent-decoded, IDNA A-labels, without trailing dot; None where it can be no host."""
    if len(host) > 4 * HOST_CHARACTERS:
        return None
    if "%" in host and ":" not in host:
        host = unquote(host)
    host = host.strip().rstrip(".").lower()
    if ":" in host:  # urlsplit strips the brackets of an IPv6 address
        try:
            return str(ipaddress.IPv6Address(host.partition("%")[0]))
        except ValueError:
            return None
    if not host.isascii():
        host = _ascii(host)
    return host if len(host) <= HOST_CHARACTERS and _HOST.fullmatch(host) else None


def _ascii(host: str) -> str:
    try:
        return idna.encode(host, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):  # e.g. an emoji domain: not valid in IDNA 2008
        return ""


@cache
def public_suffixes() -> PublicSuffixList:
    """The bundled Public Suffix List with its private section, so `blogspot.com` is a suffix."""
    return PublicSuffixList()


@lru_cache(maxsize=1 << 14)
def domains_of(host: str) -> tuple[str, ...]:
    """The host and every parent domain down to the registrable one, longest first."""
    if ":" in host or host.replace(".", "").isdigit():
        return (host,)
    registrable = public_suffixes().privatesuffix(host)
    if not registrable:  # the host is itself a public suffix, e.g. `blogspot.com` or `localhost`
        return (host,)
    labels = host.split(".")
    first = len(labels) - len(registrable.split("."))
    return tuple(".".join(labels[k:]) for k in range(first + 1))


def _prefixes(host: str, path: str, query: str) -> tuple[str, ...]:
    """host/path prefixes, shortest first: no scheme, `www.`, port, user info, trailing `/` or fragment; lower case."""
    segments = [part for part in path[:PREFIX_CHARACTERS].lower().split("/") if part]
    if not segments and not query:
        return ()
    bare = host.removeprefix("www.")
    paths = ["/".join(segments[: k + 1]) for k in range(min(len(segments), PREFIXES))]
    if query and len(segments) <= PREFIXES:
        paths.append("/".join(segments) + "?" + query[:PREFIX_CHARACTERS].lower())
    return tuple(f"{bare}/{path}" for path in paths)
