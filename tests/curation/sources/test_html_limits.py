"""What the limits promise: hostile pages are refused unparsed, legal ones pass, the parser is not underestimated."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from resiliparse.parse.html import HTMLTree, traverse_dom

from curation.sources import html_elements
from curation.sources.html_limits import HtmlLimits, refuse
from curation.sources.html_shape import Shape, measure
from curation.sources.pages import Refusal

LIMITS = HtmlLimits()
UNBOUNDED = {"nodes": 10**9, "depth": 5_000, "work": 10**12}


def tree_shape(html: str) -> tuple[int, int]:
    """(nodes, depth) of the parser's own tree: the slow reference."""
    nodes, depth = 0, 0

    def visit(context: object) -> None:
        nonlocal nodes, depth
        nodes += 1
        if context.node.type == 1:  # type: ignore[attr-defined]
            depth = max(depth, context.depth)  # type: ignore[attr-defined]

    traverse_dom(HTMLTree.parse(html).document, visit, lambda context: None, elements_only=False)
    return nodes, depth


DEEP = {
    "div": "<div>" * 100_000 + "x",
    "closed div": "<div>" * 100_000 + "</div>" * 100_000,
    "span": "<span>" * 100_000,
    "bold with div": "<b><div>" * 50_000,
    "table": "<table><tr><td>" * 50_000,
    "list": "<ul><li>" * 50_000,
    "svg": "<svg><g>" * 50_000,
    "div in svg": "<svg><foreignObject>" + "<div>" * 50_000,
    "end tags out of scope": "<div><table><td></div></table>" * 50_000,
    "end tags behind a block": "<span><div></span>" * 50_000,
    "quoted bracket": '<div title=">">' * 50_000,
    "no raw text in svg": "<svg><title>" + "<div>" * 50_000,
    "an attribute that begins with =": '<p a=1 =">' + "<div>" * 50_000,
    "a script in a script": "<script><!--<script></script><textarea></script>-->" + "<div>" * 50_000,
    "attributes of an end tag": "<style></style a='><textarea>'>" + "<div>" * 50_000,
    "CDATA that is none": "<![CDATA[>" + "<div>" * 50_000 + "]]>",
    "framesets": "<frameset><textarea>" + "<frameset>" * 50_000,
    "HTML in math": "<math><annotation-xml encoding='text/html'><p>" + "<div>" * 50_000,
    "CDATA in svg": "<svg><![CDATA[ ><p><textarea>]]></svg>" + "<div>" * 50_000,
}


@pytest.mark.parametrize("html", DEEP.values(), ids=DEEP.keys())
def test_deep_nesting_is_refused(html: str) -> None:
    refusal = refuse(html, LIMITS)
    assert refusal == Refusal("html_over_limit", "depth: more than 512")


COSTLY = {
    "reopened formatting elements": "<p>" + "".join(f"<font a={i}>" for i in range(500)) + "<p>x" * 100_000,
    "adoption agency": "<a><b><i>" * 100_000 + "</a>" * 100_000,
    "attributes of one tag": "<p " + " ".join(f"a{i}=1" for i in range(100_000)) + ">",
    "options of one list": "<select>" + "<option>x" * 100_000,
    "a wide tree at depth": "<div>" * 500 + "<li>x</li>" * 100_000,
    "millions of nodes": "<br>" * 2_000_000,
    "end tags that search in vain": "<div>" * 500 + "</span></table>" * 500_000,
}


@pytest.mark.parametrize("html", COSTLY.values(), ids=COSTLY.keys())
def test_what_costs_more_than_its_length_is_refused(html: str) -> None:
    refuse("", LIMITS)  # compiles the kernel
    begin = time.process_time()
    refusal = refuse(html, LIMITS)
    assert refusal is not None and refusal.reason == "html_over_limit"
    assert time.process_time() - begin < 5


LEGAL = {
    "a formula": "<math><mi>x</mi><annotation-xml encoding='MathML-Content'><ci>x</ci></annotation-xml></math>" * 500,
    "unclosed paragraphs": "<p>text" * 20_000,
    "unclosed list items": "<ul>" + "<li>text" * 20_000 + "</ul>",
    "line breaks": "text<br>" * 20_000,
    "unclosed cells": "<table>" + "<tr><td>a<td>b" * 10_000,
    "unclosed definitions": "<dl>" + "<dt>a<dd>b" * 10_000,
    "the same formatting never closed": "<p><b><font color=red>text" * 10_000,
    "links never closed": "".join(f"<a href={i}>text" for i in range(10_000)),
    "options": "<select>" + "<option>x" * 5_000 + "</select>",
    "icons": "<svg><path d='M0 0'/></svg>" * 10_000,
    "markup in a script": "<script>" + "'<div>'+" * 10_000 + "</script>",
    "markup in a comment": "<!--" + "<div>" * 10_000 + "-->",
    "a giant attribute": '<p title="' + "x" * 5_000_000 + '">text',
    "a giant text": "x" * 10_000_000,
    "cells outside a table": "<div><td>text</div>" * 10_000,
    "headings never closed": "<h2>text" * 10_000,
}


@pytest.mark.parametrize("html", LEGAL.values(), ids=LEGAL.keys())
def test_legal_pages_with_thousands_of_unclosed_tags_pass(html: str) -> None:
    assert refuse(html, LIMITS) is None


# fmt: off
NAMES = [
    "a", "b", "font", "nobr", "p", "div", "span", "ul", "li", "dl", "dd", "table", "tr", "td", "th", "tbody",
    "caption", "button", "form", "h1", "h2", "select", "option", "ruby", "rt", "svg", "path", "foreignObject",
    "title", "math", "mi", "br", "img", "style", "script", "textarea", "template", "object", "center", "pre",
    "address", "x-y",
]
# fmt: on
TOKENS = st.sampled_from(
    [f"<{name}>" for name in NAMES]
    + [f"</{name}>" for name in NAMES]
    + ["<a href=1>", "<font size=1>", "<font size=2>", "<path d=1 />", "text", " ", "<!-- <div> -->", "<p title='>'>"]
    + ["<!--", "-->", "<![CDATA[", "]]>", '="', "'", ">", "<", "</", "<p a=", '<p a=1 ="', "</ x>", "<annotation-xml>"]
)


@settings(max_examples=400, deadline=None)
@given(st.lists(TOKENS, max_size=60))
@example(["<span>", "<div>", "</span>"] * 10)
@example(["<div>", "<table>", "<td>", "</div>", "</table>"] * 10)
@example(["<b>", "<div>", "</b>"] * 10)
@example(["<p>", "<font size=1>", "<p>", "text"] * 10)
def test_the_parsers_tree_is_never_deeper_or_larger_than_measured(tokens: list[str]) -> None:
    html = "<body>" + "".join(tokens) + "<div>" * 40  # what the tokens may not hide
    shape = measure(html, **UNBOUNDED)
    nodes, depth = tree_shape(html)
    assert shape.depth >= depth - 3
    assert 1.5 * shape.nodes + 5 >= nodes


def test_what_only_a_parser_could_tell_is_refused() -> None:
    refusal = refuse('<math><annotation-xml encoding="text&#47;html">', LIMITS)
    assert refusal is not None and refusal.reason == "html_over_limit"


def test_an_ordinary_page_is_measured_exactly() -> None:
    html = "<html><head></head><body><div><p>one<p>two <b>bold</b><ul><li>a<li>b</ul></div></body></html>"
    shape = measure(html, **UNBOUNDED)
    nodes, depth = tree_shape(html)
    assert shape.depth == depth
    assert abs(shape.nodes - nodes) <= 1


def test_measuring_stops_where_a_bound_is_passed() -> None:
    shape = measure("<div>" * 1_000, nodes=100, depth=512, work=10**6)
    assert 100 < shape.nodes < 110
    assert isinstance(shape, Shape)


@given(st.text(alphabet="<>/!-='\" \nabpdivsgsript&;", max_size=300))
def test_any_text_can_be_measured(html: str) -> None:
    assert measure(html, **UNBOUNDED).nodes >= 0


def test_the_table_of_elements_is_sorted_and_without_collisions() -> None:
    hashes, _ = html_elements.element_table()
    assert len(set(hashes.tolist())) == len(hashes)
    assert hashes.tolist() == sorted(hashes.tolist())  # searched by halves
