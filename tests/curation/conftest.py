"""Small corpora with something for every step to do, made of real sentences."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

# From the Universal Declaration of Human Rights (public domain), English.
SENTENCES = [
    "All human beings are born free and equal in dignity and rights.",
    "They are endowed with reason and conscience and should act towards one another in a spirit of brotherhood.",
    "Everyone has the right to life, liberty and security of person.",
    "No one shall be held in slavery or servitude; slavery and the slave trade shall be prohibited in all their forms.",
    "Everyone has the right to recognition everywhere as a person before the law.",
    "All are equal before the law and are entitled without any discrimination to equal protection of the law.",
    "No one shall be subjected to arbitrary arrest, detention or exile.",
    "Everyone has the right to freedom of movement and residence within the borders of each state.",
    "Everyone has the right to a nationality and no one shall be arbitrarily deprived of it.",
    "Everyone has the right to own property alone as well as in association with others.",
    "Everyone has the right to freedom of thought, conscience and religion.",
    "Everyone has the right to education, which shall be free, at least in the elementary stages.",
]


def prose(i: int, sentences: int = 9) -> str:
    """A distinct text that every filter keeps."""
    step = (1, 5, 7, 11)[i // 12 % 4]  # coprime with 12: all sentences differ
    chosen = [SENTENCES[(i + step * k) % len(SENTENCES)] for k in range(sentences)]
    return "\n".join([f"Paper number {i} of the collection speaks of these rights.", *chosen])


@pytest.fixture
def corpus(tmp_path: Path) -> Callable[..., Path]:
    """Writes `data/a.jsonl …` with prose, short documents, copies and one damaged line; returns the config path."""

    def make(files: int = 3, documents: int = 40, **keys: object) -> Path:
        data = tmp_path / "data"
        data.mkdir(exist_ok=True)
        for f in range(files):
            add_file(data / f"{chr(97 + f)}.jsonl", f, documents)
        config = {
            "run": "test",
            "workdir": str(tmp_path / "runs"),
            "executor": {"kind": "local", "workers": 2},
            "sources": {"web": {"read": "jsonl", "paths": ["data/*.jsonl"]}},
            "clean": [
                {"language": {"keep": ["en"], "min_score": 0.5}},
                {"rules": {"presets": ["gopher-quality"]}},
            ],
            "dedup": {"exact": {}},
            **keys,
        }
        path = tmp_path / "web.yaml"
        path.write_text(json.dumps(config))  # JSON is YAML
        return path

    return make


def add_file(path: Path, number: int, documents: int) -> None:
    """One JSONL file: mostly prose, every 10th too short, every 7th a copy within and across files, one bad line."""
    lines = []
    for i in range(documents):
        text = prose(number * 1000 + i)
        if i % 10 == 3:
            text = "This is the text of a paper that is much too short for the rules of quality."
        elif i % 7 == 5:
            text = prose(5)
        lines.append(json.dumps({"text": text, "topic": f"t{i % 3}"}))
    lines.insert(documents // 2, '{"text": "cut off')
    path.write_text("\n".join(lines) + "\n")
