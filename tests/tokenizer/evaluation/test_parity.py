"""What parity promises: identical sets of pages, or a refusal that says what is missing."""

from __future__ import annotations

import pytest

from curation.pipeline.errors import UsageError
from tests.tokenizer.evaluation_examples import cutter, documents
from tokenizer.evaluation.evaluate import evaluate
from tokenizer.evaluation.parity import Parity, common_pages, count_pages, parity


def pages(rows: list[tuple[str, str, str]]) -> list[dict[str, object]]:
    return [{"page": page, "language": language, "text": text} for page, language, text in rows]


ROWS = pages(
    [("p1", "en", "aaaa"), ("p2", "en", "aaaaaaaa"), ("p1", "el", "éééé"), ("p2", "el", "éééééééé"),
     ("p1", "de", "aaaaaa"), ("p2", "de", "aaaaaaaa")]
)  # fmt: skip


def measured(rows: list[dict[str, object]], **options: object) -> Parity:
    subjects = [cutter("four", 4, ["a" * 8]), cutter("one", 1, [])]
    return parity(subjects, count_pages(subjects, [documents(rows)]), replicates=200, **options)  # type: ignore[arg-type]


def test_parity_premium_and_correction_are_those_worked_out_by_hand() -> None:
    made = measured(ROWS)
    greek = next(one for one in made.languages if one.language == "el")
    # en: 12 bytes, 3 tokens of four bytes.  el: 24 bytes; "éé" is unknown to `four`, so 24 tokens.
    assert greek.premium.value == 2 and greek.parity["four"].value == 8 and greek.corrected["four"].value == 4
    assert greek.parity["one"].value == 2 and greek.corrected["one"].value == 1
    assert greek.corrected["one"].low == greek.corrected["one"].high == 1  # in every draw
    german = next(one for one in made.languages if one.language == "de")
    assert german.parity["four"].value == (3 + 2) / 3  # "aaaa" "a" "a" | "aaaa" "aaaa"
    summary = made.summary["four"]
    assert (summary.max, summary.max_language) == (8, "el") and summary.mean == (8 + 5 / 3) / 2
    costs = [1, 8, 5 / 3]
    assert summary.gini == pytest.approx(sum(abs(a - b) for a in costs for b in costs) / (2 * 3 * sum(costs)))
    assert made.pages == 2 and made.pivot == "en"


def test_languages_with_other_pages_are_refused() -> None:
    with pytest.raises(UsageError, match="el and en do not hold the same pages: 1 missing, 0 more"):
        measured([row for row in ROWS if (row["page"], row["language"]) != ("p2", "el")])
    with pytest.raises(UsageError, match="de and en"):
        measured([*ROWS, {"page": "p3", "language": "de", "text": "a"}])
    with pytest.raises(UsageError, match="do not hold the same pages"):  # the same pages, but one twice
        measured([*ROWS, {"page": "p1", "language": "de", "text": "a"}])


def test_a_missing_pivot_page_or_text_is_refused() -> None:
    with pytest.raises(UsageError, match="'fr'"):
        measured(ROWS, pivot="fr")
    with pytest.raises(UsageError, match="need a `page`"):
        measured([{"language": "en", "text": "a"}])
    with pytest.raises(UsageError, match="pages of xx are empty"):
        measured([*ROWS, *pages([("p1", "xx", ""), ("p2", "xx", "")])])


def test_common_pages_are_those_that_all_languages_have() -> None:
    rows = [*ROWS, *pages([("p3", "en", "a"), ("p3", "el", "a"), ("p1", "fr", "a")])]
    kept = [row for batch in common_pages([documents(rows)], ["en", "el", "de"]) for row in batch.to_pylist()]
    assert {(row["page"], row["language"]) for row in kept} == {(r["page"], r["language"]) for r in ROWS}
    subjects = [cutter("one", 1, [])]
    assert parity(subjects, count_pages(subjects, common_pages([documents(rows)], ["en", "el", "de"]))).pages == 2


def test_documents_of_one_page_are_summed_and_drawn_together() -> None:
    halves = pages(
        [(p, language, "a" * n) for p in ("p1", "p2") for language, n in (("en", 2), ("de", 3)) for _ in (0, 1)]
    )
    made = measured(halves)
    assert made.pages == 2 and made.languages[0].language == "de" and made.languages[0].premium.value == 1.5


def test_the_order_of_documents_does_not_matter() -> None:
    assert measured(ROWS) == measured(list(reversed(ROWS)))


def test_evaluate_reports_parity_of_parallel_documents() -> None:
    made = evaluate(cutter("one", 1, []), [documents(ROWS)], parallel=[documents(ROWS)], replicates=50)
    assert made.parity is not None and made.parity.summary["one"].max == 2
