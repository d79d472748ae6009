"""Main text of an HTML page with resiliparse: the default extractor, in this process.

About 25 MB of HTML a second and core, and it keeps tables and code.  The options
were judged on the ground truth over all page types (docs/extraction.md); pages
have passed `html_limits` before they come here, so a page's cost is bounded.
"""

from __future__ import annotations

from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLParserException

from curation.sources.pages import Refusal


def extract(html: str) -> str | Refusal:
    """The page's main text, one block a line; empty when the page has none."""
    try:
        text: str = extract_plain_text(
            html,
            main_content=True,
            preserve_formatting=True,
            list_bullets=True,
            alt_texts=False,  # buttons and logos: 0.8 points of F1
            comments=True,  # a forum page consists of them: 10 points of F1 there, 1 the other way on articles
            links=False,
            form_fields=False,
            noscript=False,
        )
    except HTMLParserException as error:
        return Refusal("extractor_failed", f"resiliparse: {error}")
    return text.strip()
