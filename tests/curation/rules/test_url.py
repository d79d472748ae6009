"""The URL rule: what is removed by which list, what a hostile URL gives, which configs are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from curation.pipeline.errors import UsageError
from curation.rules.block_list import block_list, load_list, normal_entry, read_entries, sha256_of, ut1_path
from curation.rules.line_hashes import line_hashes, line_hashes_reference
from curation.rules.url import URL, UrlConfig, decide
from curation.rules.url_parts import NOTHING, url_parts
from curation.rules.url_words import bundled_words, score, score_reference


def verdict(urls: list[str | None], tmp_path: Path = Path("."), **config: Any) -> list[tuple[str | None, str | None]]:
    given = UrlConfig(**{"blocklist": "off", "words": "off", **config})
    rule, detail = decide({"url": pa.array(urls, pa.string())}, URL.decided(URL.located(given, tmp_path)))
    assert rule.type == detail.type == pa.string() and len(rule) == len(detail) == len(urls)
    return list(zip(rule.to_pylist(), detail.to_pylist(), strict=True))


KEPT = (None, None)


def test_a_domain_removes_itself_and_everything_under_it_up_to_the_public_suffix() -> None:
    urls = ["http://bad.co.uk/", "https://www.deep.bad.co.uk:8080/x", "http://notbad.co.uk/", "http://co.uk/"]
    assert verdict(urls, block=["bad.co.uk"]) == [("url.domain", "bad.co.uk")] * 2 + [KEPT, KEPT]
    sub = verdict(["http://a.sub.example.org", "http://example.org"], block=["sub.example.org"])
    assert sub == [("url.domain", "sub.example.org"), KEPT]


def test_an_entry_that_is_a_public_suffix_does_not_remove_its_tenants() -> None:
    urls = ["http://someone.blogspot.com/", "http://blogspot.com/", "http://example.co.uk/"]
    assert verdict(urls, block=["blogspot.com", "co.uk"]) == [KEPT, ("url.domain", "blogspot.com"), KEPT]


def test_a_prefix_removes_whole_path_segments_only() -> None:
    urls = ["http://www.host.org/A/b?c=1", "http://host.org/ab", "http://host.org/", "https://host.org/a#x"]
    removed = ("url.prefix", "host.org/a")
    assert verdict(urls, block=["https://HOST.org/a/"]) == [removed, KEPT, KEPT, removed]
    assert verdict(["http://h.org/p?q=1", "http://h.org/p?q=2"], block=["h.org/p?q=1"]) == [
        ("url.prefix", "h.org/p?q=1"),
        KEPT,
    ]


def test_what_is_allowed_is_kept_whatever_else_matches() -> None:
    urls = ["http://good.example.org/xvideos", "http://bad.example.org/porn"]
    assert verdict(urls, block=["example.org"], words="default", allow=["good.example.org"]) == [
        KEPT,
        ("url.domain", "example.org"),
    ]


def test_words_are_hard_soft_or_strict_parts() -> None:
    urls = [
        "http://example.org/porn-movies",
        "http://example.org/PORN",
        "http://example.org/popcorn",  # no word of the lists
        "http://example.org/nude",  # one soft word
        "http://example.org/nude/panties",
        "http://example.org/nude/nude",  # the same one twice
        "http://my-xvid-eos.example.org/",
        "http://essex.ac.uk/sussex",
    ]
    assert verdict(urls, words="default") == [
        ("url.hard_word", "porn"),
        ("url.hard_word", "porn"),
        KEPT,
        KEPT,
        ("url.soft_words", "nude, panties"),
        KEPT,
        ("url.strict_subword", "xvideos"),
        KEPT,
    ]
    assert verdict([urls[3]], words="default", soft_words=1) == [("url.soft_words", "nude")]


@pytest.mark.parametrize(
    ("url", "host", "domains"),
    [
        ("example.org/path", "example.org", ("example.org",)),
        ("//example.org", "example.org", ("example.org",)),
        ("HTTP://User:pw@WWW.Example.ORG.:80/x", "www.example.org", ("www.example.org", "example.org")),
        ("http://münchen.de/", "xn--mnchen-3ya.de", ("xn--mnchen-3ya.de",)),
        ("http://xn--mnchen-3ya.de/", "xn--mnchen-3ya.de", ("xn--mnchen-3ya.de",)),
        ("http://192.0.2.7:8000/", "192.0.2.7", ("192.0.2.7",)),
        ("http://[2001:DB8::1]/x", "2001:db8::1", ("2001:db8::1",)),
        ("http://localhost/", "localhost", ("localhost",)),
        ("http://ex%61mple.org/", "example.org", ("example.org",)),
        ("  https://example.org/ \n", "example.org", ("example.org",)),
    ],
)
def test_hosts_are_read_as_a_browser_would(url: str, host: str, domains: tuple[str, ...]) -> None:
    parts = url_parts(url)
    assert (parts.host, parts.domains) == (host, domains)


@pytest.mark.parametrize(
    "url",
    [
        "", " ", "http://", "http:///x", "mailto:a@example.org", "data:text/html,x", "javascript:alert(1)", "http://[",
        "http://[::bug]/", "http://a b/", "http://..", "http://" + "a" * 1_000_000, "http://" + "a." * 500_000 + "org",
        "http://😀.example.org/", "\x00", "http://exa\u2100mple.org/",
    ],
)  # fmt: skip
def test_a_text_without_a_host_gives_nothing(url: str) -> None:
    assert url_parts(url) == NOTHING
    assert verdict([url], words="default", block=["example.org"]) == [KEPT]


def test_null_and_empty_urls_are_kept() -> None:
    assert verdict([None, ""], words="default", block=["example.org"]) == [KEPT, KEPT]
    assert verdict([]) == []


def test_a_url_of_a_megabyte_costs_little_and_gives_a_short_detail() -> None:
    long = "http://example.org/" + "nude/panties/lingerie/" * 50_000
    ((rule, detail),) = verdict([long], words="default")
    assert rule == "url.soft_words" and detail is not None and len(detail) <= 200
    assert len(url_parts(long).prefixes) <= 17


@settings(max_examples=40)
@given(st.lists(st.one_of(st.none(), st.text(max_size=60), st.from_regex(r"https?://[a-z.:/@\[\]%-]{0,40}"))))
def test_no_text_raises_and_rows_do_not_depend_on_each_other(urls: list[str | None]) -> None:
    clean = [None if url is None else url.encode("utf-8", "ignore").decode() for url in urls]
    found = verdict(clean, words="default", block=["a.b", "c.d/e"])
    assert found == [verdict([url], words="default", block=["a.b", "c.d/e"])[0] for url in clean]


WORDS = sorted(bundled_words().hard)[:5] + sorted(bundled_words().soft)[:5] + list(bundled_words().strict[:5])


@given(st.lists(st.text(st.sampled_from("ab/-. Xö1")) | st.sampled_from(WORDS), max_size=8).map("/".join))
def test_the_fast_word_score_is_the_plain_one(url: str) -> None:
    words = bundled_words()
    assert score(pa.array([url]), words, 2) == [score_reference(url, words, 2)]


@given(st.binary(max_size=200))
def test_line_hashes_are_those_of_the_reference(lines: bytes) -> None:
    assert line_hashes(lines).tolist() == line_hashes_reference(lines)


@given(
    st.sets(st.from_regex(r"[a-z]{1,8}\.(com|org|de)", fullmatch=True)),
    st.from_regex(r"[a-z]{1,3}\.(com|org|de)", fullmatch=True),
)
def test_a_list_holds_its_entries_and_nothing_else(entries: set[str], other: str) -> None:
    listed = block_list(entries)
    assert listed.holds(sorted(entries)).all() if entries else len(listed.hashes) == 0
    assert (other in listed) == (other in entries)


def test_own_lists_may_be_plain_hosts_files_or_compressed(tmp_path: Path) -> None:
    (tmp_path / "plain.txt").write_text("# comment\nbad.org\nhttps://www.site.org/Path/ # why\n\n")
    (tmp_path / "hosts").write_text("127.0.0.1 localhost\n0.0.0.0 Worse.org other.org\n")
    with pa.output_stream(str(tmp_path / "more.txt.gz"), compression="gzip") as file:
        file.write(b"third.org\n")
    urls = [
        f"http://{host}" for host in ("bad.org", "www.site.org/path/x", "worse.org", "other.org", "third.org", "ok.org")
    ]
    found = verdict(urls, tmp_path, blocklists=["plain.txt", "hosts", "more.txt.gz"])
    assert [rule for rule, _ in found] == ["url.domain", "url.prefix", *["url.domain"] * 3, None]


def test_bad_lists_are_refused_before_the_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"missing\.txt"):
        verdict([], tmp_path, blocklists=["missing.txt"])
    (tmp_path / "bad.txt").write_text("ok.org\nnot/a host\nhttp://[\n")
    with pytest.raises(UsageError, match=r"bad\.txt:3"):
        read_entries(tmp_path / "bad.txt")
    with pytest.raises(ValidationError, match="no domain"):
        UrlConfig(block=["http://["])
    assert normal_entry("Example.ORG.") == "example.org"


def test_a_list_that_changed_after_the_plan_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("bad.org\n")
    planned = sha256_of(path)
    path.write_text("other.org\n")
    with pytest.raises(UsageError, match="has changed"):
        load_list(str(path), planned)


def test_the_decision_depends_on_the_content_of_the_lists(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("bad.org\n")
    config = UrlConfig(blocklist="off", blocklists=[str(tmp_path / "list.txt")])
    before = URL.decided(config)
    (tmp_path / "list.txt").write_text("bad.org\nworse.org\n")
    assert URL.decided(config) != before


def test_the_default_list_is_ut1_as_datatrove_ships_it() -> None:
    found = verdict(["https://www.xvideos.com/x", "https://en.wikipedia.org/wiki/Main", None], blocklist="default")
    assert found == [("url.domain", "xvideos.com"), KEPT, KEPT]
    assert len(load_list(str(ut1_path()), sha256_of(ut1_path())).hashes) > 1_000_000
