"""The report is one harmless file that shows everything the run has to say."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest
from markupsafe import Markup

from curation import report
from curation.catalog import open_run
from curation.pipeline.errors import UsageError
from curation.report import counts, figures, page
from tests.curation.finished_run import EVIL, write_run

VOID = {"meta", "br", "img", "link", "hr", "input"}


class Structure(HTMLParser):
    """Tags, attributes and visible text, and whether every tag is closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.texts).split())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("work") / "runs" / "demo")


@pytest.fixture(scope="module")
def html(run: Path) -> str:
    return report.write(run).read_text("utf-8")


@pytest.fixture(scope="module")
def structure(html: str) -> Structure:
    return Structure(html)


def test_it_is_one_file_without_scripts_or_outside_resources(html: str, structure: Structure) -> None:
    assert not {"script", "link", "img", "iframe", "object", "embed", "base", "form", "foreignobject"} & set(
        structure.tags
    )
    assert structure.open == []
    for name, value in structure.attributes:
        assert not name.startswith("on")
        if name in ("href", "src", "xlink:href"):
            assert (value or "").startswith("#")
    assert "default-src 'none'" in html
    assert not re.search(r"@import|url\(", html)


def test_hostile_text_is_shown_as_text(html: str, structure: Structure) -> None:
    assert "<script" not in html and "onerror=alert(2)>" not in html
    assert f"{EVIL}<img src=x onerror=alert(2)>{{{{ 7*7 }}}}" in structure.text
    assert "␛[31mred" in structure.text and "user⟨U+202E⟩gnp.exe" in structure.text
    assert not set(html) & set("\x00\x07\x08\x1b\x9b\u202e\u2066\u200b\ufeff\u061c")


def test_a_line_of_10_mb_is_clipped_and_personal_data_masked(html: str, structure: Structure) -> None:
    assert len(html) < 3_000_000
    assert "mail me at <email> xxx" in structure.text
    assert "(+9,999,000 characters)" in structure.text
    assert "jane" not in html


def test_the_summary_closes_and_agrees_with_the_run(run: Path, structure: Structure) -> None:
    totals = json.loads((run / "run.json").read_text())["totals"]
    assert (
        f"{totals['records']} records in = {totals['documents']} kept + {totals['removed']} removed "
        f"+ {totals['quarantined']} quarantined."
    ) in structure.text
    assert "Every record is accounted for" in structure.text


def test_counts_that_do_not_close_raise_the_alarm(run: Path, tmp_path: Path) -> None:
    lost = write_run(tmp_path / "runs" / "lost", records=60)
    info = json.loads((lost / "run.json").read_text())
    info["totals"]["records"] += 1
    (lost / "run.json").write_text(json.dumps(info))
    text = Structure(report.write(lost).read_text("utf-8")).text
    assert "The counts do not close" in text and "accounted for" not in text


def test_every_chapter_is_there_and_in_the_contents(html: str) -> None:
    titles = re.findall(r"<h2>([^<]+)</h2>\n", html)
    expected = ["Funnel", "Thresholds", "Rules", "Languages", "Sources", "Extractors", "Removed documents"]
    expected += ["Duplicates", "Quarantine", "Steps", "Configuration"]
    assert [title for title in titles if "warning" not in title] == expected
    for anchor in re.findall(r'href="#([^"]+)"', html):
        assert f'id="{anchor}"' in html


def test_warnings_come_before_everything_else(structure: Structure) -> None:
    assert structure.text.index("in quarantine <script>") < structure.text.index("records in =")


def test_every_rule_has_its_numbers_and_samples(run: Path, structure: Structure) -> None:
    info = json.loads((run / "run.json").read_text())
    for rule in info["removed_by"]:
        assert rule in structure.text
    assert re.search(r"\d+ < 50", structure.text)
    assert "removes duplicate_lines / lines > 0.3" in structure.text


def test_rules_stand_in_the_order_in_which_they_act(run: Path) -> None:
    acting = ["warc.http_status", "extract.no_text", "language.other", "gopher-repetition.dup_line_frac"]
    acting += ["gopher-quality.min_words", "dedup.exact"]
    with open_run(run) as catalog:
        assert counts.rule_order(catalog, set(acting)) == acting


def test_damaged_records_are_listed_with_file_and_offset(structure: Structure) -> None:
    assert f"crawl/{EVIL}.warc.gz" in structure.text and "48,213" in structure.text


def test_without_samples_no_text_is_left(run: Path) -> None:
    with open_run(run) as catalog:
        text = Structure(page.page(catalog, samples=False)).text
        assert "Removed documents" not in text and "The river carries" not in text and "mail me" not in text
        assert "Funnel" in text and "Written without documents" in text


def test_the_same_run_gives_the_same_report(run: Path, html: str) -> None:
    assert report.write(run).read_text("utf-8") == html


def test_a_run_without_rules_languages_or_duplicates_has_a_report_too(run: Path, tmp_path: Path) -> None:
    info = json.loads((run / "run.json").read_text())
    zero = dict.fromkeys(info["totals"], 0)
    info |= {"totals": zero, "sources": {"web": zero}, "removed_by": {}, "quarantine": {}, "thresholds": [],
             "warnings": [], "steps": [], "wall_s": 0.0, "config": {"run": "empty"}}  # fmt: skip
    del info["thresholds"], info["seed"], info["workers"]
    (tmp_path / "run.json").write_text(json.dumps(info))
    html = report.write(tmp_path).read_text("utf-8")
    assert "0 records in = 0 kept" in Structure(html).text
    assert re.findall(r'<section id="([^"]+)"', html) == ["funnel", "sources", "steps", "configuration"]


def test_nothing_is_written_for_an_unfinished_run(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text("{}")
    with pytest.raises(UsageError, match="not finished"):
        report.write(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["plan.json"]


def test_other_parts_add_chapters_and_text_ones_obey_samples(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = [
        report.Section("Epochs", Markup("<p>3 <b>epochs</b></p>"), 15),
        report.Section("Judged <texts>", "<p>plain</p>", 200, has_text=True),
    ]
    points = {str(i): SimpleNamespace(load=lambda one=one: lambda catalog: one) for i, one in enumerate(made)}
    monkeypatch.setattr(page, "door", lambda group: points)
    with open_run(run) as catalog:
        html = page.page(catalog)
        assert html.index('id="funnel"') < html.index('id="epochs"') < html.index('id="thresholds"')
        assert "<b>epochs</b>" in html and "&lt;p&gt;plain" in html and "Judged &lt;texts&gt;" in html
        assert "Judged" not in page.page(catalog, samples=False)
        twice = {name: SimpleNamespace(load=lambda: lambda catalog: made[0]) for name in "xy"}
        monkeypatch.setattr(page, "door", lambda group: twice)
        with pytest.raises(UsageError, match="called 'epochs'"):
            page.page(catalog)


def drawn(svg: Markup) -> Any:
    return ElementTree.fromstring(str(svg))


def test_charts_are_labelled_images_in_the_pages_colours() -> None:
    bars = [
        figures.Bar(EVIL, [(figures.KEPT, 0, 5), (figures.REMOVED, 5, 8)]),
        figures.Bar("b", [(figures.KEPT, 0, 1)]),
    ]
    svg = figures.bars(bars, f"Title {EVIL}", "What it shows", axis="records")
    root = drawn(svg)
    assert root.get("role") == "img"
    assert [child.text for child in root[:2]] == [f"Title {EVIL}", "What it shows"]
    assert "var(--kept)" in svg and "var(--removed)" in svg and "<script" not in svg
    assert EVIL in [element.text for element in root.iter()]


def test_equal_labels_keep_their_own_bars() -> None:
    bars = [figures.Bar("same", [(figures.KEPT, 0, n)]) for n in (1, 2, 3)]
    root = drawn(figures.bars(bars, "t", "d", axis="n"))
    assert [element.text for element in root.iter() if element.text == "same"] == ["same"] * 3
    assert sum(element.get("fill") == figures.KEPT for element in root.iter()) == 3


def test_a_chart_that_would_carry_a_link_is_refused() -> None:
    link = {"mark": "point", "data": {"values": [{"u": "https://example.org"}]}, "encoding": {"href": {"field": "u"}}}
    with pytest.raises(ValueError, match="may not hold"):
        figures.draw(link, "t", "d")
