"""Promises of verified MinHash, through real runs: what is removed, what stays, and what the ledger says."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from curation.commands.whatif import compare
from curation.dedup import band_buckets, components, pairs
from curation.dedup.presets import PRESETS
from curation.pipeline.config import load
from curation.pipeline.errors import ConfigError
from curation.pipeline.execute import execute
from curation.pipeline.hashing import hash64
from curation.pipeline.plan import State, build
from curation.pipeline.run import link_outputs, run
from curation.text.shingles import shingles_reference

Run = Callable[..., dict[str, Any]]
WORDS = [f"word{i}" for i in range(3000)]


def prose(seed: int, words: int = 200) -> list[str]:
    return random.Random(seed).choices(WORDS, k=words)


def changed(words: list[str], count: int, seed: int = 0) -> list[str]:
    """`count` words replaced, spread evenly: Jaccard of about (n − 5c) / (n + 5c)."""
    other = list(words)
    for i in range(count):
        other[(i * len(words)) // count + 2] = f"other{seed}x{i}"
    return other


class Outcome:
    """A finished run, by document id without the source's name."""

    def __init__(self, folder: Path) -> None:
        self.kept = {row["id"]: row for row in pq.read_table(folder / "documents").to_pylist()}
        self.removed = {row["id"]: row for row in pq.read_table(folder / "removed").to_pylist()}
        self.ledger = pq.read_table(folder / "clusters").to_pylist()

    def ids(self) -> set[str]:
        return {id.partition("/")[2] for id in self.kept}


@pytest.fixture
def dedup(tmp_path: Path) -> Callable[..., Outcome]:
    def execute(
        documents: dict[str, str] | dict[str, dict[str, str]],
        minhash: dict[str, Any] | None = None,
        *,
        exact: bool = True,
        name: str = "test",
    ) -> Outcome:
        config = write_config(tmp_path, documents, minhash, exact=exact, name=name)
        return Outcome(in_this_process(config))

    return execute


def write_config(
    folder: Path,
    documents: Any,
    minhash: dict[str, Any] | None = None,
    *,
    exact: bool = True,
    workers: int = 1,
    name: str = "test",
) -> Path:
    """Sources of two files each, so that duplicates lie in different shards."""
    sources = documents if isinstance(next(iter(documents.values())), dict) else {"web": documents}
    for source, texts in sources.items():
        lines = [json.dumps({"id": id, "text": text}) + "\n" for id, text in texts.items()]
        (folder / source).mkdir(exist_ok=True)
        half = (len(lines) + 1) // 2
        (folder / source / "a.jsonl").write_text("".join(lines[:half]))
        (folder / source / "b.jsonl").write_text("".join(lines[half:]))
    config = {
        "run": name,
        "workdir": str(folder / "runs"),
        "executor": {"kind": "local", "workers": workers},
        "sources": {s: {"read": "jsonl", "paths": [f"{s}/*.jsonl"], "id": "id", "text": "text"} for s in sources},
        "dedup": {**({"exact": {}} if exact else {}), "minhash": minhash or {}},
    }
    path = folder / f"{name}.yaml"
    path.write_text(json.dumps(config))
    return path


def in_this_process(config: Path) -> Path:
    """Execute a config's tasks one after the other; returns the run's folder."""
    state = State(build(load(config, [])))
    for task in state.plan.tasks:
        execute(state, task.name)
    link_outputs(state)
    return state.plan.directory


def join(words: list[str]) -> str:
    return " ".join(words)


def test_near_duplicates_keep_the_longest_and_point_to_it(dedup: Callable[..., Outcome]) -> None:
    base = prose(1)
    texts = {
        "short": join(base[:-6]),  # contained
        "base": join(base),
        "edited": join(changed(base, 2)),
        "different": join(prose(2)),
        "half": join(base[:100] + prose(3, 100)),
    }
    found = dedup(texts)
    assert found.ids() == {"base", "different", "half"}
    assert {row["removed_by"] for row in found.removed.values()} == {"dedup.minhash"}
    kept = found.kept["web/base"]
    assert kept["duplicate_count"] == 3 and kept["cluster"] == hash64("web/base")
    assert found.kept["web/half"]["duplicate_count"] == 1
    sets = {id: set(shingles_reference(text)) for id, text in texts.items()}
    assert len(found.ledger) == 2
    for row in found.ledger:
        a, b = (sets[row[key].partition("/")[2]] for key in ("removed_id", "kept_id"))
        assert row["kept_id"] == "web/base" and row["rule"] == "dedup.minhash"
        assert row["jaccard"] == len(a & b) / len(a | b)
        assert row["containment"] == len(a & b) / min(len(a), len(b))
        assert 1 <= row["bands"] <= PRESETS["wide-32x8"].bands
        removed = found.removed[row["removed_id"]]
        assert removed["removed_detail"] == row["kept_id"] and removed["cluster"] == kept["cluster"]


def test_exact_copies_follow_their_representative_to_the_kept_document(dedup: Callable[..., Outcome]) -> None:
    base = prose(1)
    shorter, longer = join(base[:-4]), join(base)
    found = dedup({"s1": shorter, "s2": " " + shorter, "long": longer, "s3": shorter + "\n", "long2": longer})
    assert found.ids() == {"long"}
    assert found.kept["web/long"]["duplicate_count"] == 5
    assert {row["cluster"] for row in found.removed.values()} == {hash64("web/long")}
    ledger = {(r["removed_id"], r["kept_id"]): r for r in found.ledger}
    assert {r["removed_by"] for r in found.removed.values()} == {"dedup.exact", "dedup.minhash"}
    for id in ("web/s1", "web/s2", "web/s3"):
        assert ledger[id, "web/long"]["rule"] == "dedup.minhash"
        assert ledger[id, "web/long"]["jaccard"] == ledger["web/s1", "web/long"]["jaccard"] < 1
    assert ledger["web/s2", "web/s1"]["rule"] == "dedup.exact"
    to_kept = {row["removed_id"] for row in found.ledger if row["kept_id"] in found.kept}
    assert to_kept == set(found.removed), "every removed document has a row that leads to a kept one"


def test_documents_of_zero_to_four_words(dedup: Callable[..., Outcome]) -> None:
    texts = {f"three{i}": f"{'=' * i} the same words" for i in range(50)}
    texts |= {"other": "the other words", "four": "the same words again", "one": "the", "one2": "THE."}
    texts |= {f"punctuation{i}": "!" * (i + 1) for i in range(5)} | {"empty": ""}
    found = dedup(texts)
    assert found.ids() == {"three0", "other", "four", "one", "empty", *(f"punctuation{i}" for i in range(5))}
    assert found.kept["web/three0"]["duplicate_count"] == 50


def test_only_digits_and_tables_that_differ_in_numbers_stay_apart(dedup: Callable[..., Outcome]) -> None:
    chance = random.Random(5)
    tables = {
        f"table{i}": "\n".join(f"row {k} value {chance.randint(0, 10**9)} unit" for k in range(40)) for i in range(30)
    }
    digits = {f"digits{i}": join([str(chance.randint(0, 10**6)) for _ in range(50)]) for i in range(5)}
    assert dedup(tables | digits).ids() == set(tables | digits)


def test_scripts_without_spaces(dedup: Callable[..., Outcome]) -> None:
    chance = random.Random(6)
    chinese = [chr(chance.randint(0x4E00, 0x9FA5)) for _ in range(400)]
    thai = [chr(chance.randint(0x0E01, 0x0E2E)) for _ in range(400)]
    texts = {}
    for name, letters in (("zh", chinese), ("th", thai)):
        texts[name] = "".join(letters)
        texts[f"{name}-part"] = "".join(letters[:370]) + "。"
        texts[f"{name}-other"] = "".join(chance.sample(letters, len(letters)))
    assert dedup(texts).ids() == {"zh", "zh-other", "th", "th-other"}


def test_a_scope_of_source_compares_within_sources_only(dedup: Callable[..., Outcome]) -> None:
    base = prose(1)
    sources = {s: {f"{s}1": join(base), f"{s}2": join(changed(base, 1, i))} for i, s in enumerate(("x", "y"))}
    assert len(dedup(sources, exact=False).kept) == 1
    within = dedup(sources, {"scope": "source"}, exact=False, name="within")
    assert [sorted(id.partition("/")[0] for id in within.kept)] == [["x", "y"]]


def test_edit_similarity_keeps_what_is_only_reordered(dedup: Callable[..., Outcome]) -> None:
    blocks = [prose(i, 60) for i in range(8)]
    words, reordered = (list(chain.from_iterable(order)) for order in (blocks, reversed(blocks)))
    texts = {"a": join(words), "b": join(reordered), "c": join(changed(words, 4))}  # a and b: Jaccard of about 0.88
    assert len(dedup(texts).kept) == 1
    strict = dedup(texts, {"edit_similarity": 0.8}, name="strict")
    assert strict.ids() == {"a", "b"}


def test_digests_are_the_same_for_any_worker_count(tmp_path: Path) -> None:
    texts = {}
    for i in range(120):
        words = prose(i // 3)
        texts[f"d{i}"] = join(changed(words, i % 3, i)) if i % 3 else join(words)
    seen = []
    for workers in (1, 3):
        config = write_config(tmp_path, texts, workers=workers)
        summary = run(load(config, [f"workdir={tmp_path / str(workers)}"]), quiet=True, yes=True)
        seen.append((summary["digest"], summary["removed_by"]))
    assert seen[0] == seen[1] and seen[0][1] == {"dedup.minhash": 80}


def test_a_longer_document_in_a_new_file_changes_only_what_it_concerns(tmp_path: Path) -> None:
    texts = {f"d{i}": join(prose(i)) for i in range(20)}
    config = write_config(tmp_path, texts)
    run(load(config, []), quiet=True, yes=True)
    (tmp_path / "web" / "c.jsonl").write_text(json.dumps({"id": "new", "text": join([*prose(3), "more", "words"])}))
    after = run(load(config, []), quiet=True, yes=True)
    ran = {step["step"]: step["tasks"] - step["reused"] for step in after["steps"]}
    assert (ran["signatures"], ran["minhash"], ran["documents"]) == (1, 1, 2)  # the new shard, and that of d3
    assert after["removed_by"] == {"dedup.minhash": 1}


def test_whatif_decides_again_without_reading_texts(tmp_path: Path) -> None:
    base = prose(1)
    config = write_config(tmp_path, {"a": join(base), "b": join(changed(base, 6))})  # Jaccard of about 0.73
    in_this_process(config)
    answer = compare(build(load(config, [])), build(load(config, ["dedup.minhash.jaccard=0.6"])), 5)
    assert answer["rules"] == {"(kept)": [2, 1], "dedup.minhash": [0, 1]}
    assert len(list((tmp_path / "runs" / "signatures").iterdir())) == 2  # those of the run's two shards


def test_the_limits_are_in_no_fingerprint_and_the_thresholds_are(tmp_path: Path) -> None:
    config = write_config(tmp_path, {"a": "x", "b": "y"})
    fingerprint = build(load(config, [])).fingerprint
    assert build(load(config, ["dedup.minhash.max_cluster=7"])).fingerprint == fingerprint
    assert build(load(config, ["dedup.minhash.containment=0.9"])).fingerprint != fingerprint


def test_errors_name_the_nearest_preset_and_key(tmp_path: Path) -> None:
    config = write_config(tmp_path, {"a": "x"})
    with pytest.raises(ConfigError, match="wide-32x8"):
        load(config, ["dedup.minhash.preset=wide-32x9"])
    with pytest.raises(ConfigError, match="jaccard"):
        load(config, ["dedup.minhash.jacard=0.9"])
    with pytest.raises(ConfigError):
        load(config, ["dedup.minhash.jaccard=1.2"])


def test_no_documents_and_none_with_words(dedup: Callable[..., Outcome]) -> None:
    assert dedup({"a": "!", "b": "?"}).ids() == {"a", "b"}
    assert dedup({"a": "one lonely document of some words"}, name="one").ids() == {"a"}


def templated(pages: int) -> dict[str, str]:
    """Pages of one template (Jaccard of about 0.4 to each other), every fifth followed by a near-duplicate of it."""
    template, texts = prose(1, 120), {}
    for i in range(pages):
        own = [f"own{i}x{k}" for k in range(40)]
        texts[f"p{i}"] = join(template + own)
        if i % 5 == 0:
            texts[f"q{i}"] = join(template + own[:-1] + ["changed"])
    return texts


@pytest.mark.parametrize("groups", [1, 4, 32])
def test_how_the_work_is_split_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, groups: int, dedup: Callable[..., Outcome]
) -> None:
    texts = templated(60)
    whole = dedup(texts, name="whole")
    monkeypatch.setattr(pairs, "MEMORY", 1000)
    monkeypatch.setattr(pairs, "PARTITION_BYTES", 2000)
    monkeypatch.setattr(components, "PARTITION", 1000)
    config = write_config(tmp_path, texts, {"groups": groups}, name="split")
    (tmp_path / str(groups)).mkdir()
    config.write_text(config.read_text().replace(str(tmp_path / "runs"), str(tmp_path / str(groups))))
    split = Outcome(in_this_process(config))
    assert (split.kept, split.removed, split.ledger) == (whole.kept, whole.removed, whole.ledger)
    assert len(whole.removed) == 12


def test_pages_of_a_hot_bucket_get_longer_bands_and_their_duplicates_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(band_buckets, "HOT", 8)
    folder = in_this_process(write_config(tmp_path, templated(60)))
    counts = json.loads(next((tmp_path / "runs" / "minhash_rebanded").glob("*/_manifest.json")).read_text())["counts"]
    assert counts["hot_documents"] > 30
    found = Outcome(folder)
    assert set(found.removed) == {f"web/q{i}" for i in range(0, 60, 5)}
    assert all(row["kept_id"] == row["removed_id"].replace("q", "p") for row in found.ledger)
