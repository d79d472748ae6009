"""Promises of the report's chapter on the mix: its numbers are those of plan.json, and hostile names stay text."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mixing.config import MixConfig
from mixing.run_report import body, mixed
from mixing.sample.make import make_mix
from mixing.summary import at_cap, by, dots, repeats, squares

HOSTILE = "<script>alert(1)</script>"


def made(folder: Path, tagged: bool = True, **config: Any) -> dict[str, Any]:
    """plan.json of a mix of 2,000 documents."""
    draws = np.random.Generator(np.random.PCG64(3))
    n = 2_000
    columns: dict[str, Any] = {
        "id": [f"d{i}" for i in range(n)],
        "doc_key": pa.array(np.arange(n, dtype=np.uint64)),
        "source": draws.choice(["web", HOSTILE], n).tolist(),
        "token_count": draws.integers(20, 400, n),
    }
    if tagged:
        score = draws.standard_normal(n)
        columns |= {
            "category": draws.choice(["food", "travel", HOSTILE], n, p=[0.6, 0.3, 0.1]).tolist(),
            "bucket": pa.array(np.searchsorted(np.quantile(score, [0.2, 0.4, 0.6, 0.8]), score), pa.int8()),
            "mix_score": score,
            "split": ["train"] * n,
        }
    for name in ("documents", "mix", "scratch"):
        (folder / name).mkdir()
    pq.write_table(pa.table(columns), folder / "documents" / "0.parquet")
    asked = MixConfig.model_validate_json(orjson.dumps({"budget": 500_000, **config}))
    make_mix([folder / "documents" / "0.parquet"], asked, folder / "mix", seed=1, scratch=folder / "scratch")
    return dict(orjson.loads((folder / "mix" / "plan.json").read_bytes()))


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("mix")
    return made(folder, kl=0.5, floors={HOSTILE: 0.3}, ceilings={"web": 0.4}, ablation={"share": 0.1})


def test_the_chapter_shows_what_the_plan_decided(record: dict[str, Any]) -> None:
    html = body(record)
    for text in (
        f"{record['tokens']:,} tokens",
        f"{record['lambda']:.3f}",
        f"{100 * record['ess']:.1f} %",
        f"TV {record['repeats']['distance']['matched']:.4f} from final",
        f"TV {record['repeats']['distance']['ordinary']:.4f}",
        "Floors that bind",
        "Ceilings that bind",
    ):
        assert text in html
    assert html.count("<svg") == 5


def test_names_are_text(record: dict[str, Any]) -> None:
    html = body(record)
    assert "<script" not in html
    assert "&lt;script&gt;" in html


def test_fields_add_to_the_whole(record: dict[str, Any]) -> None:
    rows, columns, fields = squares(record["cells"], 32)
    assert rows == ["food", "travel", HOSTILE]
    assert columns == ["0", "1", "2", "3", "4"]
    assert sum(one.before for one in fields) == pytest.approx(1)
    assert sum(one.after for one in fields) == pytest.approx(1)
    few, _, some = squares(record["cells"], 2)
    assert few == ["food", "2 others"]
    assert sum(one.after for one in some) == pytest.approx(1)


def test_tables_count_sampled_tokens_and_cells_at_their_cap(record: dict[str, Any]) -> None:
    rows = by(record["cells"], "source")
    assert sum(row["mix"] for row in rows) == record["tokens"]
    assert sum(row["clipped"] for row in rows) == sum(at_cap(cell) for cell in record["cells"])
    web = next(row for row in rows if row["name"] == "web")
    assert web["after"] == pytest.approx(0.4, abs=0.01)
    for cell in record["cells"]:
        assert at_cap(cell) == (cell["epochs"] > cell["cap"] * 0.999)


def test_every_cell_that_gives_has_a_dot_and_every_bucket_its_cap(record: dict[str, Any]) -> None:
    rows, points, caps = dots(record["cells"])
    assert len(points) == sum(cell["planned"] > 0 for cell in record["cells"])
    assert [(rows[one["row"]], one["cap"]) for one in caps] == [("0", 2), ("1", 2), ("2", 3), ("3", 4), ("4", 4)]


def test_repeats_are_shares_of_one_whole(record: dict[str, Any]) -> None:
    rows = repeats(record)
    for way in ("final", "matched", "ordinary"):
        assert sum(row[way] for row in rows) == pytest.approx(1)


def test_a_mix_without_tags_caps_or_ablation_has_a_chapter(tmp_path: Path) -> None:
    html = body(made(tmp_path, tagged=False, caps="none", preset="proportional"))
    assert "no bucket" in html
    assert "untagged" in html
    assert "ablation" not in html
    assert "Not tilted" in html


def test_a_budget_above_the_caps_says_what_was_done(tmp_path: Path) -> None:
    html = body(made(tmp_path, budget=2_000_000, on_deficit="shrink"))
    assert "on_deficit: shrink" in html
    assert re.search(r"The caps as asked allow [\d,]+ tokens", html)


def test_stages_show_the_epochs_that_they_need(tmp_path: Path) -> None:
    stages = [{"name": "a", "tokens": 4_000_000, "lengths": {"short": 1.0}}]
    record = made(tmp_path, stages=stages)
    (short,) = [one for one in record["stage_needs"]["classes"] if one["wanted"]]
    html = body(record)
    assert not short["fits"]
    assert f"{short['epochs']:,.4g}" in html
    assert "above the cap" in html


def test_a_run_without_a_mix_has_no_chapter(tmp_path: Path, record: dict[str, Any]) -> None:
    catalog: Any = SimpleNamespace(directory=tmp_path)
    assert mixed(catalog) is None
    (tmp_path / "mix").mkdir()
    (tmp_path / "mix" / "plan.json").write_bytes(orjson.dumps(record))
    section = mixed(catalog)
    assert section is not None
    assert section.title == "Mix"
