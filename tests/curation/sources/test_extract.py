"""What extraction promises: one result a page, in order; a page can hurt neither the worker nor its neighbours."""

from __future__ import annotations

import sys
from pathlib import Path

import orjson
import pytest
from pydantic import TypeAdapter, ValidationError

from curation.sources import trafilatura_guard
from curation.sources.extract import ExtractConfig, open_extractor
from curation.sources.pages import Extraction, Page, Refusal
from curation.sources.trafilatura_guard import GuardError, TrafilaturaGuard

PROSE = "The river rises in the hills and flows through three valleys before it meets the sea near the old town. "
ARTICLE = f"""<html><head><title>River</title><style>p {{color: red}}</style></head><body>
<nav><ul><li><a href=/>Home</a></li><li><a href=/about>About us</a></li></ul></nav>
<main><article><h1>The river</h1><p>{PROSE * 3}</p><p>Größe: café {PROSE}</p>
<table><tr><th>Year</th><th>Level</th></tr><tr><td>1999</td><td>4.2 m</td></tr></table>
<pre>def flow(level):
    return level * 2</pre></article></main>
<footer>Cookie settings</footer><script>alert("x")</script></body></html>"""


def config(value: object) -> ExtractConfig:
    return TypeAdapter(ExtractConfig).validate_json(orjson.dumps(value))


def extract(value: object, *pages: Page) -> list[Extraction | Refusal]:
    with open_extractor(config(value)) as extractor:
        return extractor(pages)


def page(html: str, charset: str | None = None) -> Page:
    return Page(html.encode(charset or "utf-8"), charset, "https://example.org/")


def test_the_main_text_is_kept_with_its_table_and_code_and_without_furniture() -> None:
    [result] = extract("resiliparse", page(ARTICLE))
    assert isinstance(result, Extraction)
    assert (result.extractor, result.charset) == ("resiliparse", "utf-8")
    for kept in ("The river rises", "1999", "4.2 m", "def flow(level):\n    return level * 2"):
        assert kept in result.text
    for furniture in ("Home", "Cookie", "alert", "color"):
        assert furniture not in result.text


def test_pages_come_back_in_their_order_and_a_refused_one_does_not_stop_the_others() -> None:
    deep = page("<div>" * 100_000 + "x")
    results = extract("resiliparse", page(ARTICLE), deep, page("<p></p>"), page(ARTICLE, "iso-8859-1"))
    assert [type(result) for result in results] == [Extraction, Refusal, Extraction, Extraction]
    assert results[1] == Refusal("html_over_limit", "depth: more than 512")
    assert isinstance(results[2], Extraction) and results[2].text == ""
    assert isinstance(results[3], Extraction) and "Größe: café" in results[3].text
    assert results[3].charset == "cp1252"


def test_a_page_over_the_byte_limit_is_refused_with_both_numbers() -> None:
    [result] = extract({"limits": {"html_bytes": 100}}, page("x" * 101))
    assert result == Refusal("html_over_limit", "101 bytes > 100")


def test_an_empty_page_and_bytes_that_are_no_html_give_a_text() -> None:
    for data in (b"", b"\x00" * 100, bytes(range(256)) * 10):
        [result] = extract("resiliparse", Page(data, None, None))
        assert isinstance(result, Extraction)
        result.text.encode("utf-8")


def test_a_name_a_list_and_a_mapping_say_the_same() -> None:
    for value in ("resiliparse", ["resiliparse"], {"extractors": ["resiliparse"]}, {}):
        assert config(value) == ExtractConfig()
    assert config(["resiliparse", "trafilatura"]).extractors == ("resiliparse", "trafilatura")
    both = config({"extractors": ["trafilatura"], "trafilatura": {"timeout_seconds": 5}})
    assert both.trafilatura.timeout_seconds == 5


@pytest.mark.parametrize("value", ["readability", [], ["resiliparse", "resiliparse"], {"extractor": "x"}, 3, None])
def test_other_values_are_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        config(value)


def test_the_json_schema_accepts_the_three_forms() -> None:
    schema = TypeAdapter(ExtractConfig).json_schema()
    kinds = [form.get("type") or "mapping" for form in schema.get("anyOf", [])]
    assert "array" in kinds and "string" in kinds


def test_versions_name_what_can_change_a_text() -> None:
    assert set(config("resiliparse").versions()) == {"extraction", "resiliparse"}
    assert {"trafilatura", "lxml"} <= set(config(["trafilatura"]).versions())


def test_a_missing_package_is_known_before_any_work_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trafilatura", None)  # as if it were not installed
    monkeypatch.setattr(trafilatura_guard, "find_spec", lambda name: None)
    assert config("resiliparse").check() is None
    message = config(["resiliparse", "trafilatura"]).check()
    assert message is not None and "pip install 'curate-lm[trafilatura]'" in message


def test_trafilatura_extracts_in_its_own_process_and_its_text_is_named() -> None:
    results = extract("trafilatura", page(ARTICLE), page("<p></p>"))
    assert isinstance(results[0], Extraction) and results[0].extractor == "trafilatura"
    assert "The river rises" in results[0].text and "Cookie" not in results[0].text
    assert results[1] == Extraction("", "trafilatura", "utf-8")
    assert "trafilatura" not in sys.modules


def test_both_extractors_give_one_text_with_its_origin() -> None:
    [result] = extract(["resiliparse", "trafilatura"], page(ARTICLE))
    assert isinstance(result, Extraction) and "The river rises" in result.text
    assert result.extractor in ("resiliparse", "trafilatura")


FAKE = """
import os, sys, time
from curation.sources import trafilatura_guard as guard

class trafilatura:
    __version__ = "0"
    seen = 0
    @classmethod
    def extract(cls, html, **options):
        cls.seen += 1
        if "hang" in html: time.sleep(60)
        if "crash" in html: os._exit(11)
        if "memory" in html: raise MemoryError
        if "bug" in html: raise ValueError("a bug")
        if "second" in html and cls.seen > 1: os._exit(12)
        return f"{html} {cls.seen}"

sys.modules["trafilatura"] = trafilatura
guard.main()
"""


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrafilaturaGuard:
    """The guard with a stand-in for the library that fails on demand, in a real process."""
    script = tmp_path / "serve.py"
    script.write_text(FAKE)
    monkeypatch.setattr(trafilatura_guard, "COMMAND", [sys.executable, str(script)])
    return TrafilaturaGuard(focus="balanced", timeout_seconds=1.0, memory_bytes=2**31)


@pytest.mark.parametrize(
    ("html", "told"),
    [
        ("hang", "no answer within 1 s"),
        ("crash", "status 11"),
        ("memory", "out of its memory limit"),
        ("bug", "ValueError: a bug"),
    ],
)
def test_a_failure_that_repeats_alone_is_refused_and_the_next_page_is_served(
    fake: TrafilaturaGuard, html: str, told: str
) -> None:
    with fake as guard:
        assert guard.extract("before") == "before 1"
        refusal = guard.extract(html)
        assert isinstance(refusal, Refusal) and refusal.reason == "extractor_failed"
        assert refusal.detail.count(told) == 2  # in company, and alone
        assert guard.extract("after") == "after 1"


def test_a_failure_that_does_not_repeat_alone_costs_nothing(fake: TrafilaturaGuard) -> None:
    with fake as guard:
        assert guard.extract("first") == "first 1"
        assert guard.extract("second") == "second 1"  # died with the first page, works alone


def test_a_process_that_does_not_start_is_an_error_of_the_machine(
    fake: TrafilaturaGuard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trafilatura_guard, "COMMAND", [sys.executable, "-c", "raise SystemExit('no library')"])
    with fake as guard, pytest.raises(GuardError, match="no library"):
        guard.extract("x")


def test_the_memory_limit_holds_in_the_process() -> None:
    with TrafilaturaGuard(focus="balanced", timeout_seconds=60, memory_bytes=2**29) as guard:
        refusal = guard.extract("<p>" + "<b>x</b>" * 6_000_000)
        assert isinstance(refusal, Refusal) and refusal.reason == "extractor_failed"
        assert "The river rises" in str(guard.extract(ARTICLE))
