"""What the page promises: no markup from data, no script, nothing loaded, findings that follow from figures."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import orjson
import pytest

from tests.tokenizer.evaluation_examples import cutter, documents, vocabulary
from tokenizer.evaluation.audit import Token, UnderTrained
from tokenizer.evaluation.bootstrap import Estimate
from tokenizer.evaluation.evaluate import evaluate
from tokenizer.evaluation.findings import findings
from tokenizer.evaluation.model import Evaluation, headline
from tokenizer.evaluation.report import change_html, estimate_html, page, percent_html
from tokenizer.evaluation.subjects import subject_of_vocabulary
from tokenizer.words import word_counts_of

HOSTILE = '<script>alert(1)</script>"><img src=x onerror=alert(2)>{{ 7*7 }}\u202e\x1b[31m'
ALLOWED = {
    "html", "head", "meta", "title", "style", "body", "nav", "p", "ol", "li", "a", "main", "header", "h1", "h2", "h3",
    "strong", "em", "aside", "ul", "dl", "div", "dt", "dd", "section", "span", "table", "caption", "thead", "tbody",
    "tfoot", "tr", "th", "td", "details", "summary", "figure", "svg", "desc", "g", "path", "rect", "line", "text",
    "tspan", "footer", "bdi",
}  # fmt: skip


class Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.ids: list[str] = []
        self.anchors: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            self.attributes.add(name)
            if name == "id":
                self.ids.append(value or "")
            if name == "href":
                self.anchors.append(value or "")

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def parsed(html: str) -> Elements:
    found = Elements()
    found.feed(html)
    return found


@pytest.fixture(scope="module")
def hostile() -> Evaluation:
    """Hostile tokens, texts, languages, domains and names, with every chapter of the page."""
    made = vocabulary(HOSTILE, "<script>", "the", pattern="o200k")
    rows = [
        {"text": HOSTILE * (i + 1), "language": language, "domain": domain, "page": f"p{i}"}
        for i in range(12)
        for language, domain in (("en", "web"), (HOSTILE, HOSTILE))
    ]
    subject = replace(subject_of_vocabulary("x", made), name=HOSTILE)
    counts = word_counts_of({HOSTILE.encode(): 5, b"the": 1})
    other = cutter('"><b onclick=x>', 3, [HOSTILE])
    return evaluate(
        subject, [documents(rows)], yardsticks=[other], counts=counts, parallel=[documents(rows)], replicates=40
    )


def test_hostile_strings_never_become_markup(hostile: Evaluation) -> None:
    html = page(hostile)
    found = parsed(html)
    assert found.tags <= ALLOWED, found.tags - ALLOWED
    assert not {name for name in found.attributes if name.startswith("on") or name == "src"}
    text = "".join(found.text)
    assert "<script>" in text and "{{ 7*7 }}" in text  # shown, as text
    assert "\u202e" not in html and "\x1b" not in html  # written out


def test_the_page_runs_and_loads_nothing(hostile: Evaluation) -> None:
    html = page(hostile)
    assert "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'" in html
    found = parsed(html)
    assert all(anchor.startswith("#") for anchor in found.anchors)
    assert {anchor[1:] for anchor in found.anchors} <= set(found.ids)
    assert len(found.ids) == len(set(found.ids))
    assert "url(" not in html and "@import" not in html and "javascript:" not in html


def test_the_page_is_the_same_twice(hostile: Evaluation) -> None:
    assert page(hostile) == page(hostile)


def test_json_holds_every_group_and_reads_back(hostile: Evaluation) -> None:
    found = orjson.loads(hostile.json())
    assert len(found["groups"]) == len(hostile.groups) == 7
    assert found["subjects"][0] == HOSTILE and found["parity"]["pages"] == 12
    assert found["groups"][0]["scores"][HOSTILE]["bytes_per_token"]["value"] == pytest.approx(
        hostile.group().scores[HOSTILE].bytes_per_token.value,
        rel=1e-5,  # type: ignore[union-attr]
    )


def test_a_page_without_yardsticks_counts_or_documents_in_words_still_stands() -> None:
    for text in ("", "日本", "the"):
        html = page(evaluate(vocabulary("the"), [documents([{"text": text, "language": "ja"}])], replicates=10))
        assert "needs the training counts" in html and "Side by side" not in html


def test_numbers_are_shown_with_their_intervals_and_coloured_only_when_decided() -> None:
    assert estimate_html(Estimate(1.234, 1.1, 1.3)) == '1.23<span class="ci">1.10–1.30</span>'
    assert estimate_html(None) == "–" and estimate_html(Estimate(2.0)) == "2.00"
    assert percent_html(Estimate(0.5)) == "50.0"
    assert '"fewer">−10.0 %' in change_html(Estimate(0.9, 0.85, 0.95))
    assert '"more">+10.0 %' in change_html(Estimate(1.1, 1.05, 1.15))
    assert '"level">−10.0 %' in change_html(Estimate(0.9, 0.8, 1.01)) and '"level">' in change_html(Estimate(2.0))


def test_findings_name_what_is_wrong_and_are_silent_otherwise() -> None:
    texts = [f"the cat {i}" for i in range(40)]
    rows = [{"text": text} for text in texts]
    other = cutter("six", 6, texts)
    good = evaluate(cutter("five", 8, texts), [documents(rows)], yardsticks=[other], replicates=100)
    assert findings(good) == []
    bad = evaluate(vocabulary("a b"), [documents(rows)], yardsticks=[other], replicates=100)
    said = " ".join(findings(bad))
    assert "more tokens than six" in said and "en +" in said and "2 tokens can never occur" in said
    weak = UnderTrained(100, 20, 4, [Token(300, "a")])
    audits = {**bad.audits, "tokenizer": replace(bad.audits["tokenizer"], under_trained=weak, partial_characters=99)}
    said = " ".join(findings(replace(bad, audits=audits)))
    assert "20 tokens (7.8%) occur fewer than 100 times" in said and "99 tokens" in said


def test_findings_do_not_judge_languages_of_few_documents() -> None:
    rows = [{"text": f"cat {i}", "language": "en"} for i in range(3)]
    said = findings(evaluate(vocabulary("a b"), [documents(rows)], yardsticks=[cutter("six", 6, [])], replicates=20))
    assert any("Too few documents to judge en" in one for one in said)
    assert not any("more tokens than six" in one for one in said)


def test_the_headline_names_overall_and_each_language() -> None:
    rows = [{"text": "the cat", "language": language} for language in ("en", "fr")]
    found = headline(evaluate(vocabulary("the"), [documents(rows)], yardsticks=[cutter("one", 1, [])], replicates=10))
    assert set(found["bytes_per_token"]) == {"all", "en", "fr"} and found["normalized_length"] == {"one": 0.714286}
    assert np.isfinite(found["bytes_per_token"]["all"]) and found["lossy_documents"] == 0


def test_a_directory_is_evaluated_from_files_and_its_manifest_gets_the_headline(tmp_path: Path) -> None:
    pytest.importorskip("tokenizer.encoding.encode")
    from tokenizer.evaluation.files import evaluate_directory
    from tokenizer.formats.export import export, load_vocabulary
    from tokenizer.formats.manifest import read_manifest

    made = vocabulary("the", " cat")
    directory = export(made, tmp_path / "mine")
    lines = [orjson.dumps({"id": str(i), "text": "the cat sat", "lang": "en"}) for i in range(40)]
    (tmp_path / "web.jsonl").write_bytes(b"\n".join(lines))
    whole = evaluate_directory(directory, [tmp_path / "web.jsonl"], yardsticks=[], replicates=20)
    assert whole.subjects == ["mine"] and whole.group("en", "web").documents == 40
    assert orjson.loads((directory / "evaluation.json").read_bytes())["subjects"] == ["mine"]
    assert "tokenizer evaluation" in (directory / "evaluation.html").read_text()
    assert read_manifest(directory)["metrics"]["lossy_documents"] == 0
    assert load_vocabulary(directory).hash == made.hash
    held = evaluate_directory(
        directory, [tmp_path / "web.jsonl"], tmp_path / "out", yardsticks=[], holdout=0.5, replicates=20
    )
    assert 5 < held.group().documents < 35 and (tmp_path / "out" / "evaluation.html").exists()
