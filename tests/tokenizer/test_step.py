"""Promises of the `tokenizer:` section: a tokenizer that others load, every kept document counted."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from curation.catalog import open_run
from curation.pipeline.config import load
from curation.pipeline.errors import CurateError, UsageError
from curation.pipeline.plan import build
from curation.pipeline.run import run
from tokenizer.counting.splits import split_of
from tokenizer.formats.export import load_vocabulary
from tokenizer.run_report import tokens

WORDS = ["river", "sand", "hills", "towns", "records", "floods", "sea", "along", "kept", "carries", "from", "and"]
TRAIN = {"vocab_size": 400, "holdout": 0.2, "dev": 0.1}


def write(folder: Path, name: str, *, workers: int = 1, **section: Any) -> Path:
    """A config over two files of 60 documents with exact copies."""
    for f in range(0 if (folder / "data").exists() else 2):
        (folder / "data").mkdir(exist_ok=True)
        with open(folder / "data" / f"{f}.jsonl", "w") as file:
            for i in range(60):
                words = [WORDS[(i * (k + 1) + f * 5 + k * k) % len(WORDS)] for k in range(40)]
                text = f"Note {i if i % 9 else 0} of {f}: " + " ".join(words if i % 9 else WORDS)
                file.write(json.dumps({"id": f"{f}-{i}", "text": text}) + "\n")
    config = {
        "run": name,
        "workdir": str(folder / f"runs-{name}"),
        "seed": 0,
        "executor": {"kind": "local", "workers": workers},
        "sources": {"notes": {"read": "jsonl", "paths": ["data/*.jsonl"], "text": "text", "id": "id"}},
        "dedup": {"exact": {}},
        "tokenizer": section or {"train": TRAIN},
    }
    path = folder / f"{name}.yaml"
    path.write_text(json.dumps(config))
    return path


def executed(path: Path, *changes: str) -> tuple[dict[str, Any], Path]:
    config = load(path, list(changes))
    return run(config, quiet=True), Path(config.core.workdir) / config.core.run


@dataclass(frozen=True)
class Trained:
    """A finished run with one worker."""

    base: Path
    config: Path
    summary: dict[str, Any]
    folder: Path

    def rows(self, query: str) -> list[dict[str, Any]]:
        return open_run(self.folder).rows(query)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    base = tmp_path_factory.mktemp("trained")
    config = write(base, "one")
    return Trained(base, config, *executed(config))


def test_it_is_trained_on_the_kept_documents_that_are_not_held_out(trained: Trained) -> None:
    vocabulary = load_vocabulary(trained.folder / "tokenizer")
    assert 256 < vocabulary.vocab_size <= 400
    kept = [row["id"] for row in trained.rows("select id from documents")]
    wanted = sum(split_of(one, 0, holdout=0.2, dev=0.1) == "train" for one in kept)
    assert vocabulary.provenance["text"]["documents"] == wanted < trained.summary["totals"]["documents"] == len(kept)


def test_token_count_is_what_hugging_face_counts_for_every_kept_document(trained: Trained) -> None:
    theirs = Tokenizer.from_file(str(trained.folder / "tokenizer" / "tokenizer.json"))
    rows = trained.rows("select text, token_count from documents")
    assert rows and all(row["token_count"] == len(theirs.encode(row["text"]).ids) for row in rows)
    removed = trained.rows("select token_count from removed")
    assert removed and all(row["token_count"] is None for row in removed)


def test_the_result_does_not_depend_on_workers_or_on_a_second_run(trained: Trained) -> None:
    second, _ = executed(write(trained.base, "two", workers=2))
    assert second["digest"] == trained.summary["digest"]
    again, _ = executed(trained.config)
    assert again["digest"] == second["digest"] and all(step["reused"] == step["tasks"] for step in again["steps"])


def test_the_evaluation_is_of_the_held_out_documents(trained: Trained) -> None:
    made = json.loads((trained.folder / "tokenizer_evaluation" / "evaluation.json").read_bytes())
    kept = [row["id"] for row in trained.rows("select id from documents")]
    assert made["groups"][0]["documents"] == sum(split_of(one, 0, holdout=0.2) == "holdout" for one in kept) > 0
    assert made["measured"] == {}  # speeds would differ from run to run


def test_the_report_has_a_chapter_on_tokens(trained: Trained) -> None:
    chapter = tokens(open_run(trained.folder))
    assert chapter is not None and "o200k" in chapter.body and "tokenizer_evaluation/evaluation.html" in chapter.body
    total = sum(row["token_count"] for row in trained.rows("select token_count from documents"))
    assert f"{total:,} tokens" in chapter.body


@pytest.mark.parametrize("given", ["tokenizer", "tokenizer/tokenizer.json", "other.json"])
def test_a_trained_tokenizer_serves_another_run(trained: Trained, given: str) -> None:
    path = trained.folder / given
    if given == "other.json":  # alone, as others hand it on
        path = trained.base / given
        path.write_bytes((trained.folder / "tokenizer" / "tokenizer.json").read_bytes())
    _, folder = executed(write(trained.base, "given", path=str(path)))
    counts = [
        open_run(one).rows("select id, token_count from documents order by id") for one in (trained.folder, folder)
    ]
    assert counts[0] == counts[1]


def test_a_changed_size_counts_no_word_again_and_too_few_pairs_are_told(trained: Trained) -> None:
    summary, folder = executed(trained.config, "tokenizer.train.vocab_size=100000", "run=more")
    ran = {step["step"] for step in summary["steps"] if step["reused"] < step["tasks"]}
    assert ran == {"tokenizer", "token_count", "tokenizer_evaluation", "documents"}
    size = load_vocabulary(folder / "tokenizer").vocab_size
    assert size < 100_000 and any("tokenizer" in line and f"{size:,}" in line for line in summary["warnings"])


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ({"evaluate": True}, "path"),
        ({"path": "nowhere"}, "nowhere"),
        ({"train": {"pattern": "o200"}}, "o200k"),
        ({"train": {"vocab_size": 100}}, "256"),
        ({"train": {"special_tokens": ["<|a|>", "<|a|>"]}}, "distinct"),
        ({"train": {"special_tokens": ["<|reserved_3|>"]}}, "padding names"),
        ({"train": {"max_token_length": 1}}, "max_token_length"),
        ({"train": {"languages": 2.0}}, "languages"),
    ],
)
def test_bad_sections_are_refused_before_anything_runs(tmp_path: Path, section: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        build(load(write(tmp_path, "bad", **section), []))


def test_nothing_to_train_on_is_told(tmp_path: Path) -> None:
    path = write(tmp_path, "empty", train={"holdout": 0.0, "dev": 0.0})
    for file in (tmp_path / "data").iterdir():
        file.write_text('{"id": "x", "text": ""}\n' if file.name == "0.jsonl" else "")
    with pytest.raises(CurateError, match="empty"):
        executed(path)
