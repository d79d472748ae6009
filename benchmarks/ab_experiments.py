"""Three real experiments through `curate ab`: a planted difference, a screening of benchmarks, a question of the field.

    python benchmarks/ab_experiments.py FOLDER --data DIR [--part planted …] [--processes 2]

FOLDER keeps runs (a second call resumes them); DIR holds text/, web/ and benchmarks/.

planted   the documents of examples/web.yaml against the same with the words of every second document shuffled:
          4 + 4 runs of pico, items of examples/data/items, 200K tokens a run; the clean mix must be found superior
screen    the same planted difference over English texts of DIR, items of DIR's benchmarks: which of them tell the two
          arms apart at this scale, and which are noise
question  is a mix tilted towards quality better than the documents as they come?  DIR's pages and English texts, a mix
          of 8M tokens and of each arm an ablation of 600K that repeats documents as that mix does; 5 + 5 runs

Every part writes its configs into FOLDER and calls the commands that a user calls.  Writes
benchmarks/results/ab_experiments.json (parts that were not asked for are kept from before).
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import yaml
import zstandard
from results import write_result

ROOT = Path(__file__).resolve().parents[1]
ITEMS = ROOT / "examples" / "data" / "items" / "cloze.jsonl.zst"
TRAIN = {"model": {"preset": "pico", "vocab_size": 2112}, "tokens": "200K", "batch": "8K"}
PLAIN = {**TRAIN, "evaluate": {"holdout": "none"}}  # arms with a given tokenizer hold no documents out
ENGLISH = ("academic", "encyclopedia", "nonfiction", "qa_dialogue", "speeches", "tech_docs", "textbooks")
RESULT = ROOT / "benchmarks" / "results" / "ab_experiments.json"


def curate(*arguments: str, ok: tuple[int, ...] = (0,)) -> str:
    """Standard output of a command; raises RuntimeError with the last lines of both streams when it fails."""
    done = subprocess.run([sys.executable, "-m", "curation.cli", *arguments], capture_output=True, text=True)
    if done.returncode not in ok:
        raise RuntimeError(f"curate {' '.join(arguments)}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return done.stdout


def written(path: Path, config: dict[str, Any]) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return str(path)


def tokenizer_of(folder: Path, run: str) -> Path:
    return folder / "runs" / run / "tokenizer" / "tokenizer.json"


def two_corpora(folder: Path, texts: Iterator[tuple[str, str]], tokenizer: Path, budget: str) -> dict[str, Any]:
    """Configs of the texts and of the same with every second document's words shuffled, as arms."""
    files = {name: folder / f"{name}.jsonl" for name in ("shuffled", "clean")}
    folder.mkdir(parents=True, exist_ok=True)
    with open(files["shuffled"], "wb") as shuffled, open(files["clean"], "wb") as clean:
        for key, text in texts:
            draw, words = random.Random(key), text.split()
            clean.write(orjson.dumps({"id": key, "text": text}) + b"\n")
            if draw.random() < 0.5:
                draw.shuffle(words)
                text = " ".join(words)
            shuffled.write(orjson.dumps({"id": key, "text": text}) + b"\n")
    for name, file in files.items():
        source = {"read": "jsonl", "paths": [str(file)], "text": "text", "id": "id"}
        written(
            folder / f"{name}.yaml",
            {
                "run": f"{folder.name}-{name}", "workdir": str(folder.parent / "runs"), "seed": 17,
                "sources": {"docs": source}, "tokenizer": {"path": str(tokenizer)},
                "mix": {"budget": budget, "preset": "proportional"}, "pack": {"sequence_length": 256},
            },
        )  # fmt: skip
    return {"base": "shuffled.yaml", "arms": {"shuffled": {}, "clean": {"base": "clean.yaml"}}}


def documents(folder: Path, run: str) -> Iterator[tuple[str, str]]:
    rows = curate("sql", str(folder / "runs" / run), "select id, text from documents order by id", "--json")
    for row in json.loads(rows):
        yield row["id"], row["text"]


def planted(folder: Path, data: Path, processes: str) -> dict[str, Any]:
    example = [
        "--set", f"workdir={folder / 'runs'}", "--set", "run=planted-source", "--until", "tokenizer",
        "--set", "tokenizer.train.vocab_size=2048",
    ]  # fmt: skip
    curate("run", str(ROOT / "examples" / "web.yaml"), *example)
    here = folder / "planted"
    texts = documents(folder, "planted-source")
    arms = two_corpora(here, texts, tokenizer_of(folder, "planted-source"), "400K")
    experiment = {
        "ab": "planted", "workdir": str(folder / "runs"), "seed": 17, **arms, "train": PLAIN, "runs": 4,
        "primary": {"items": [str(ITEMS)], "metric": "norm_prob_byte", "weights": "equal"},
        "hypothesis": {"kind": "superiority", "alpha": 0.05, "power": 0.8, "mde": 0.0012},
        "guardrails": ["contamination", "loss_spikes"],
    }  # fmt: skip
    return decided(folder, here / "ab.yaml", experiment, processes)


def decided(folder: Path, path: Path, experiment: dict[str, Any], processes: str) -> dict[str, Any]:
    """Lock, run, read the verdict."""
    config = written(path, experiment)
    curate("ab", "lock", config)
    curate("ab", "run", config, "-p", processes, "--quiet", ok=(0, 1))
    verdict: dict[str, Any] = orjson.loads((folder / "runs" / "ab" / experiment["ab"] / "verdict.json").read_bytes())
    kept = ("name", "lock", "arms", "metric", "amended", "verdict", "mde", "health", "guardrails", "cost")
    return {name: verdict[name] for name in kept if name in verdict}


def english(data: Path) -> Iterator[tuple[str, str]]:
    """Documents of the English texts, 4 MB of each file, in the order of the files."""
    for name in ENGLISH:
        size = 0
        with open(data / "text" / f"{name}.jsonl.zst", "rb") as raw:
            for line in zstandard.ZstdDecompressor().stream_reader(raw).readall().splitlines():
                record = orjson.loads(line)
                if record["lang"] == "en" and size < 4_000_000:
                    size += len(record["text"])
                    yield f"{name}/{record['id']}", record["text"][:20_000]


def english_run(folder: Path, data: Path) -> None:
    """One run over pages and texts: the tokenizer, tags and documents that both other parts use."""
    texts = {
        name: {"read": "jsonl", "paths": [str(data / "text" / f"{name}.jsonl.zst")], "text": "text", "id": "id"}
        for name in ENGLISH
    }
    web = {"read": "warc", "paths": [str(data / "web" / "*.warc.gz")], "extract": "resiliparse"}
    rules: dict[str, Any] = {"presets": ["gopher-repetition", "curate-junk"], "sources": ["web"]}
    config = {
        "run": "english", "workdir": str(folder / "runs"), "seed": 17, "sources": {"web": web, **texts},
        "clean": [{"language": {"keep": ["en"], "min_score": 0.5}}, {"rules": rules}, {"pii": {}}],
        "dedup": {"exact": {}, "minhash": {}}, "quality": {"model": "default"},
        "tokenizer": {"train": {"vocab_size": 2048}, "evaluate": False},
    }  # fmt: skip
    curate("run", written(folder / "english.yaml", config))


def screen(folder: Path, data: Path, processes: str) -> dict[str, Any]:
    english_run(folder, data)
    here = folder / "screen"
    arms = two_corpora(here, english(data), tokenizer_of(folder, "english"), "1M")
    items = [str(ITEMS), str(data / "benchmarks" / "multiple_choice.jsonl.zst")]
    experiment = {
        "ab": "screen", "workdir": str(folder / "runs"), "seed": 17, **arms, "train": {**PLAIN, "tokens": "400K"},
        "runs": 4,
        "primary": {
            "items": items, "metric": "norm_prob_byte", "weights": "equal", "limit": 150,
            "unusable": "skip", "truncated": "drop",
        },
        "hypothesis": {"kind": "superiority", "alpha": 0.05, "power": 0.8, "mde": 0.001},
    }  # fmt: skip
    config = written(here / "ab.yaml", experiment)
    found: dict[str, Any] = orjson.loads(curate("ab", "screen", config, "--runs", "4", "-p", processes, "--json"))
    return found


def question(folder: Path, data: Path, processes: str) -> dict[str, Any]:
    english_run(folder, data)
    base = yaml.safe_load((folder / "english.yaml").read_text())
    base |= {"mix": {"budget": "8M", "ablation": {"tokens": "600K", "matched": True}}, "pack": {"sequence_length": 256}}
    here = folder / "question"
    written(here / "base.yaml", base)
    experiment = {
        "ab": "question", "workdir": str(folder / "runs"), "seed": 17, "base": "base.yaml",
        "arms": {
            "uniform": {"set": {"mix.preset": "proportional"}},
            "tilted": {"set": {"mix.preset": "tilted"}},
        },
        "train": {**TRAIN, "tokens": "500K"}, "runs": 5, "randomize": ["init", "order"],
        "primary": {"items": [str(ITEMS)], "metric": "norm_prob_byte", "weights": "equal"},
        "hypothesis": {"kind": "superiority", "alpha": 0.05, "power": 0.8, "mde": 0.001},
        "guardrails": [{"bpb": "all", "margin": 0.1}, "contamination", "loss_spikes"],
    }  # fmt: skip
    return decided(folder, here / "ab.yaml", experiment, processes)


PARTS: dict[str, Callable[[Path, Path, str], dict[str, Any]]] = {
    "planted": planted, "screen": screen, "question": question,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--part", action="append", choices=list(PARTS), help="repeatable; default: all")
    parser.add_argument("--processes", default="2", help="runs at a time")
    arguments = parser.parse_args()
    found = orjson.loads(RESULT.read_bytes())["results"] if RESULT.exists() else {}
    for part in arguments.part or list(PARTS):
        found[part] = PARTS[part](arguments.folder.resolve(), arguments.data.resolve(), arguments.processes)
        print(part, json.dumps(found[part])[:2000], flush=True)
        write_result("ab_experiments", found)


if __name__ == "__main__":
    main()
