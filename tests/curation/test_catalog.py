"""The catalog answers from a finished run's files, and its SQL can touch nothing else."""

from __future__ import annotations

import itertools
import json
import math
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation import catalog as catalog_module
from curation.catalog import Catalog, open_run
from curation.catalog_views import VIEWS
from curation.histogram import Histogram, StoredThreshold, choose_scale
from curation.pipeline.errors import UsageError
from tests.curation.finished_run import write_run


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("work") / "runs" / "demo")


@pytest.fixture
def catalog(finished_run: Path) -> Any:
    with open_run(finished_run) as opened:
        yield opened


def value(catalog: Catalog, query: str) -> Any:
    return catalog.sql(query).column(0)[0].as_py()


def test_views_hold_every_record_once(catalog: Catalog) -> None:
    totals = catalog.info["totals"]
    assert value(catalog, "select count(*) from documents") == totals["documents"]
    assert value(catalog, "select count(*) from removed") == totals["removed"]
    assert sum(catalog.funnel()["records"].to_pylist()) == totals["records"]


def test_funnel_counts_each_rule_per_source(catalog: Catalog) -> None:
    counts: dict[str, int] = {}
    for row in catalog.funnel().to_pylist():
        if row["outcome"] == "removed":
            counts[row["rule"]] = counts.get(row["rule"], 0) + row["records"]
    assert counts == catalog.info["removed_by"]


def test_cluster_columns_are_those_that_dedup_writes() -> None:
    from curation.dedup.exact import CLUSTER_SCHEMA

    assert CLUSTER_SCHEMA.names == VIEWS["clusters"].names
    assert CLUSTER_SCHEMA.types == VIEWS["clusters"].types


def test_missing_folders_and_columns_give_empty_views_and_nulls(finished_run: Path, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_bytes((finished_run / "run.json").read_bytes())
    (tmp_path / "documents").mkdir()
    only = pa.table({"id": ["web/a#0"], "text": pa.array(["hello"], pa.large_string())})
    pq.write_table(only, tmp_path / "documents" / "a.parquet")
    with open_run(tmp_path) as catalog:
        for view, columns in VIEWS.items():
            assert set(columns.names) <= set(catalog.sql(f"select * from {view}").column_names)
        assert catalog.rows("select id, language, cluster from documents") == [
            {"id": "web/a#0", "language": None, "cluster": None}
        ]
        assert value(catalog, "select count(*) from removed") == 0
        assert catalog.rule_counts() == []
        assert catalog.histogram(catalog.thresholds[0]) is None


def test_a_folder_with_pattern_characters_opens(finished_run: Path, tmp_path: Path) -> None:
    odd = tmp_path / "it's [a] *run?"
    shutil.copytree(finished_run, odd)
    with open_run(odd) as catalog:
        assert value(catalog, "select count(*) from documents") == catalog.info["totals"]["documents"]


# --- safety -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    [
        "select * from read_csv('/etc/passwd')",
        "select * from read_text('/etc/passwd')",
        "select * from '/etc/passwd'",
        "select * from glob('/etc/*')",
        "select * from read_parquet('https://example.org/a.parquet')",
        "select * from read_parquet('s3://bucket/a.parquet')",
        "select * from query('select * from read_text(''/etc/passwd'')')",
        "copy documents to '{outside}'",
        "copy (select 1) to '{data}' (use_tmp_file false)",
        "explain analyze copy (select 1) to '{data}' (use_tmp_file false)",
        "attach '{outside}' as other",
        "export database '{outside}'",
        "install httpfs",
        "load httpfs",
        "set enable_external_access = true",
        "set allowed_directories = ['/']",
        "pragma memory_limit = '100GB'",
        "drop view documents",
        "create table t as select 1",
        "select 1; drop view documents",
        "select * from secret_of_the_process",
        "",
        "selec 1",
    ],
)
def test_sql_reads_nothing_and_writes_nothing_outside(catalog: Catalog, query: str, tmp_path: Path) -> None:
    secret_of_the_process = pa.table({"a": [1]})  # DuckDB would find it by its Python name
    data, outside = catalog.files["documents"][0], tmp_path / "out"
    before = data.read_bytes()
    with pytest.raises(UsageError):
        catalog.sql(query.format(data=data, outside=outside))
    assert not outside.exists()
    assert data.read_bytes() == before
    assert value(catalog, "select count(*) from documents") > 0
    assert secret_of_the_process.num_rows == 1


def test_memory_is_bounded(finished_run: Path) -> None:
    with open_run(finished_run, memory="64MB") as catalog, pytest.raises(UsageError, match="memory"):
        catalog.sql("select list(i order by hash(i)) from range(30000000) t(i)")


def test_an_unfinished_or_missing_run_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no run here"):
        open_run(tmp_path / "nothing")
    (tmp_path / "plan.json").write_text("{}")
    with pytest.raises(UsageError, match=r"not finished(.|\n)*curate run"):
        open_run(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(UsageError, match="damaged"):
        open_run(tmp_path)


def test_a_run_whose_step_outputs_are_gone_says_so(finished_run: Path, tmp_path: Path) -> None:
    shutil.copytree(finished_run, tmp_path / "copy", symlinks=True)
    with pytest.raises(UsageError, match="gone"):
        open_run(tmp_path / "copy")


# --- samples and fates --------------------------------------------------------------------------


def test_samples_are_the_same_every_time_and_others_with_another_seed(catalog: Catalog) -> None:
    rule = "gopher-quality.min_words"
    first = catalog.samples(rule, 5, seed=1)
    assert first.num_rows == 5
    assert first.equals(catalog.samples(rule, 5, seed=1))
    assert first["id"] != catalog.samples(rule, 5, seed=2)["id"]
    assert set(first["removed_by"].to_pylist()) == {rule}
    everything = catalog.samples(None, 5, seed=1).filter(pa.compute.field("removed_by") == rule)
    assert everything.equals(first)


def test_sampled_texts_are_prefixes(catalog: Catalog) -> None:
    for row in catalog.samples(None, 1_000).to_pylist():
        assert row["text"] is None or len(row["text"]) <= catalog_module.SAMPLE_CHARACTERS
    longest = max(catalog.samples(None, 1_000)["characters"].to_pylist())
    assert longest == 10_000_000


def test_the_fate_of_a_kept_a_removed_a_duplicate_and_a_quarantined_record(catalog: Catalog) -> None:
    pair = catalog.rows("select * from clusters order by removed_id limit 1")[0]
    kept, copy = catalog.document(pair["kept_id"]), catalog.document(pair["removed_id"])
    assert kept.outcome == "kept" and pair in kept.ledger
    assert copy.outcome == "removed" and copy.row["removed_by"] == "dedup.exact" and copy.ledger == [pair]
    short = catalog.samples("gopher-quality.min_words", 1)["id"][0].as_py()
    assert catalog.document(short).row["removed_detail"].endswith("< 50")
    assert catalog.document("web/crawl/<script>alert(1)</script>.warc.gz#17").row["offset"] == 48_213
    assert catalog.document("books/books.jsonl").outcome == "quarantined"


def test_an_unknown_id_is_answered_with_a_near_one(catalog: Catalog) -> None:
    with pytest.raises(UsageError, match=r"did you mean 'web/part-"):
        catalog.document("web/part-")


# --- histograms and rule counts -----------------------------------------------------------------


def measured(catalog: Catalog) -> list[dict[str, Any]]:
    return catalog.rows(
        "select stats, true as kept from documents union all select stats, false from removed where stats is not null"
    )


def value_of(threshold: StoredThreshold, stats: dict[str, int]) -> float | None:
    if threshold.denominator is None:
        return float(stats[threshold.numerator])
    over = stats[threshold.denominator]
    return stats[threshold.numerator] / over if over else None


def removes(threshold: StoredThreshold, number: float | None) -> bool:
    if number is None:
        return False
    return {"<": number < threshold.value, ">": number > threshold.value, "<=": number <= threshold.value,
            ">=": number >= threshold.value}[threshold.remove_if]  # fmt: skip


def test_rule_counts_agree_with_a_plain_count(catalog: Catalog) -> None:
    fails = [[removes(t, value_of(t, row["stats"])) for t in catalog.thresholds] for row in measured(catalog)]
    for i, count in enumerate(catalog.rule_counts()):
        assert count.first == catalog.info["removed_by"].get(count.threshold.key, 0)
        assert count.fails == sum(row[i] for row in fails)
        assert count.only == sum(row[i] and sum(row) == 1 for row in fails)


@pytest.mark.parametrize("remove_if", ["<", "<=", ">", ">="])
@pytest.mark.parametrize(
    ("numerator", "denominator", "limit"),
    [("words", None, 50), ("words", None, 2.5), ("words", None, 0), ("stop_words", None, 2), ("words", "lines", 9.5),
     ("duplicate_lines", "lines", 0.3), ("duplicate_lines", "lines", 0.0), ("lines", "duplicate_lines", 4)],
)  # fmt: skip
def test_histogram_loses_nobody_and_never_mixes_the_sides_of_a_threshold(
    catalog: Catalog, remove_if: str, numerator: str, denominator: str | None, limit: float
) -> None:
    threshold = StoredThreshold("p.t", numerator, denominator, remove_if, limit)
    rows = [(value_of(threshold, row["stats"]), row["kept"]) for row in measured(catalog)]
    histogram = catalog.histogram(threshold)
    assert isinstance(histogram, Histogram)
    assert histogram.undefined == sum(number is None for number, _ in rows)
    assert sum(b.fails for b in histogram.bins) == sum(removes(threshold, number) for number, _ in rows)
    passing = [kept for number, kept in rows if number is not None and not removes(threshold, number)]
    assert sum(b.kept for b in histogram.bins) == sum(passing)
    assert sum(b.elsewhere for b in histogram.bins) == len(passing) - sum(passing)
    assert not any(b.fails and (b.kept or b.elsewhere) for b in histogram.bins)
    assert len(histogram.bins) <= 70


magnitudes = st.just(0.0) | st.floats(1e-9, 1e9)  # of ratios and counts of int64 statistics


@given(
    magnitudes | magnitudes.map(lambda x: -x),
    st.sampled_from([None, "lines"]),
    magnitudes,
    st.sampled_from(["<", "<=", ">", ">="]),
)
def test_scales_are_finite_ascending_and_bounded(
    limit: float, denominator: str | None, largest: float, remove_if: str
) -> None:
    scale = choose_scale(StoredThreshold("p.t", "words", denominator, remove_if, limit), largest)
    assert 0 <= scale.last - scale.first < 120
    edges = [scale.edge(k) for k in range(scale.first, scale.last + 2)]
    assert all(math.isfinite(edge) for edge in edges)
    assert all(a < b for a, b in itertools.pairwise(edges))


def test_a_rule_limited_to_sources_counts_only_those(catalog: Catalog) -> None:
    threshold = StoredThreshold("p.t", "words", None, "<", 50, sources=("books",))
    histogram = catalog.histogram(threshold)
    assert histogram is not None
    counted = sum(b.kept + b.elsewhere + b.fails for b in histogram.bins)
    everything = "(select source, stats from documents union all by name select source, stats from removed)"
    assert counted == value(catalog, f"select count(*) from {everything} where source = 'books' and stats is not null")


def test_run_json_is_read_once_and_whole(finished_run: Path, catalog: Catalog) -> None:
    assert catalog.info == json.loads((finished_run / "run.json").read_text())


class View:
    """An extension's entry point, as importlib.metadata would give it."""

    def __init__(self, find: Any) -> None:
        self.load = lambda: find


def test_extensions_add_views_but_never_replace_one(
    finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pq.write_table(pa.table({"bucket": [0, 4]}), tmp_path / "tags.parquet")
    monkeypatch.setattr(
        catalog_module, "door", lambda _: {"quality": View(lambda _: {"tags": [tmp_path / "tags.parquet"]})}
    )
    with open_run(finished_run) as catalog:
        assert value(catalog, "select max(bucket) from tags") == 4
    monkeypatch.setattr(catalog_module, "door", lambda _: {"bad": View(lambda _: {"documents": []})})
    with pytest.raises(UsageError, match="exists"):
        open_run(finished_run)


def test_a_rule_with_other_values_for_other_sources_is_counted_for_each(finished_run: Path, tmp_path: Path) -> None:
    shutil.copytree(finished_run, tmp_path / "run")
    info = json.loads((tmp_path / "run" / "run.json").read_text())
    row = info["thresholds"][1]
    info["thresholds"][1:2] = [row | {"sources": ["web"]}, row | {"sources": ["books", "wiki"]}]
    (tmp_path / "run" / "run.json").write_text(json.dumps(info))
    with open_run(tmp_path / "run") as catalog:
        web, others = (one for one in catalog.rule_counts() if one.threshold.key == row["key"])
        assert 0 < web.first < others.first
        assert web.first + others.first == info["removed_by"][row["key"]]
