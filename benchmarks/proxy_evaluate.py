"""Evaluation against lm-evaluation-harness: the same numbers, and how fast.

    python benchmarks/proxy_evaluate.py --items FOLDER --peer-python PYTHON [--tokenizer PATH] [--per-benchmark 10]

FOLDER holds multiple_choice.jsonl.zst, cloze_and_generative.jsonl.zst and xcopa_multilingual.jsonl.zst; PYTHON is an
environment with lm-eval, torch and transformers.  Models are random (nothing is downloaded): what is compared is
arithmetic, tokenisation and batching, not knowledge.  With --tokenizer (of this project) every item of every file is
also split in all modes, and the options on which the modes differ are counted.  Correctness first; a difference ends
the script.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from peer_process import Peer
from results import write_result
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from proxy_model.evaluate import Item, JsonTokenizer, evaluate, item_scores, read_items, subset
from proxy_model.evaluate.hf import HFScorer
from proxy_model.evaluate.metrics import estimates
from proxy_model.evaluate.models import open_model
from proxy_model.evaluate.split import tokenise
from proxy_model.evaluate.table import SCHEMA

FILES = ("multiple_choice", "cloze_and_generative", "xcopa_multilingual")
METRICS = ("acc", "acc_norm", "acc_bytes")
VOCABULARY, LENGTH, SEED = 8_192, 1_024, 5
TOLERANCE = 1e-4  # nats, of a whole continuation
SUM_ROUNDING = 2.0**-22  # of the value, beyond that: the harness adds up a continuation in float32, we in float64
ALONE = {"OMP_NUM_THREADS": "1", "PYTHONSAFEPATH": "1", "TOKENIZERS_PARALLELISM": "false"}  # one thread; see main
BATCH_SIZES = (1, 16, 64)  # of the harness; its best counts


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--items", type=Path, required=True)
    parser.add_argument("--peer-python", required=True)
    parser.add_argument("--tokenizer", type=Path)
    parser.add_argument("--per-benchmark", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    # transformers looks for a package called `kernels` and would find kernels.py of this folder
    os.environ.update(ALONE)
    sys.path[:] = [one for one in sys.path if one != str(Path(__file__).resolve().parent)]
    files = read_items([arguments.items / f"{name}.jsonl.zst" for name in FILES])
    all_items = [item for file in files for item in file.items]
    items = subset(all_items, arguments.per_benchmark, SEED)
    results: dict[str, Any] = {"items": len(items), "options": sum(item.options for item in items)}
    if arguments.tokenizer:
        results["splits"] = splits(all_items, arguments.tokenizer)
        print(json.dumps(results["splits"]), flush=True)
    versions: dict[str, str] = {}
    for kind in ("llama", "gpt2"):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            save(kind, folder / "model", items)
            asked(folder, items)
            peer = Peer(arguments.peer_python, "proxy_evaluate_peer.py", folder, environment=ALONE)
            versions = peer.versions
            results[kind] = {**parity(folder, items, peer), **metric_parity(folder, items, peer)}
            print(json.dumps(results[kind]), flush=True)
            results[kind]["speed"] = speed(folder, items, peer, arguments.rounds)
            print(json.dumps(results[kind]["speed"]), flush=True)
            peer.close()
    write_result("proxy_evaluate", results, peers=versions)


def save(kind: str, folder: Path, items: list[Item]) -> None:
    """A random model with weights large enough that options differ, and a byte-level BPE of the items' own texts."""
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, show_progress=False, special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    tokenizer.train_from_iterator((text for item in items for text in (*item.contexts, *item.choices)), trainer)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>").save_pretrained(folder)
    torch.manual_seed(SEED)
    vocabulary = tokenizer.get_vocab_size()
    ends = {"bos_token_id": 0, "eos_token_id": 0}
    if kind == "llama":
        model: Any = LlamaForCausalLM(
            LlamaConfig(vocab_size=vocabulary, hidden_size=128, intermediate_size=344, num_hidden_layers=2,
                        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=LENGTH,
                        initializer_range=0.06, **ends)
        )  # fmt: skip
    else:
        model = GPT2LMHeadModel(
            GPT2Config(vocab_size=vocabulary, n_embd=128, n_layer=2, n_head=4, n_positions=LENGTH,
                       initializer_range=0.06, **ends)
        )  # fmt: skip
    model.save_pretrained(folder)


def asked(folder: Path, items: list[Item]) -> None:
    """Files for the peer: items of tasks that are plain multiple choice, and every request."""
    tasks: dict[str, str] = {}
    for item in items:
        if item.kind != "multiple_choice":
            continue
        assert tasks.setdefault(item.benchmark, item.joining) == item.joining
        with open(folder / f"{item.benchmark}.jsonl", "a", encoding="utf-8") as file:
            one = {"id": item.id, "query": item.contexts[0], "choices": list(item.choices), "gold": item.gold}
            file.write(json.dumps(one) + "\n")
    requests = [item.pair(option) for item in items for option in range(item.options)]
    (folder / "asked.json").write_text(json.dumps({"tasks": tasks, "requests": requests}))


def splits(items: list[Item], path: Path) -> dict[str, Any]:
    """Where modes differ over all items, and what tokenisation costs with either engine."""
    tokenizer = JsonTokenizer(path)
    start = time.perf_counter()
    counts = tokenise(items, tokenizer).counts
    wall = time.perf_counter() - start
    moved = {n: [c.joint_not_separate, c.split_moved, c.options] for n, c in counts.items() if c.split_moved}
    agreeing = {n: c.options for n, c in counts.items() if not (c.split_moved or c.joint_not_separate)}
    return {
        "vocabulary": tokenizer.vocab_size, "items": len(items), "tokenise_wall_s": wall,
        "benchmarks_without_a_difference": len(agreeing), "their_options": sum(agreeing.values()),
        "joint_not_separate_split_moved_options": moved,
    }  # fmt: skip


def parity(folder: Path, items: list[Item], peer: Peer) -> dict[str, Any]:
    """Log-likelihoods of whole tasks and of every request; metrics per item."""
    opened = open_model(folder / "model", None, hf=True)
    table = evaluate(opened.scorer, opened.tokenizer, items, "lm_eval", too_long="left")
    theirs = peer.ask("tasks")
    ours = {
        (row["benchmark"], row["item"], row["choice"]): row["log_likelihood"] for row in table.to_pylist()
    }  # fmt: skip
    worst = 0.0
    compared = 0
    for name, samples in theirs["samples"].items():
        for sample in samples:
            for option, value in enumerate(sample["log_likelihoods"]):
                worst = max(worst, abs(value - ours[name, sample["id"], option]))
                compared += 1
    requests = peer.ask("speed 16")["scored"]
    by_item = [ours[i.benchmark, i.id, option] for i in items for option in range(i.options)]
    greedy = {(r["benchmark"], r["item"], r["choice"]): r["greedy"] for r in table.to_pylist()}
    same_greedy = sum(
        greedy[i.benchmark, i.id, option] == one[1]
        for (i, option), one in zip(((i, o) for i in items for o in range(i.options)), requests, strict=True)
    )
    worst_request = max(abs(mine - one[0]) for mine, one in zip(by_item, requests, strict=True))
    allowed = [max(TOLERANCE, SUM_ROUNDING * abs(one[0])) for one in requests]
    beyond = sum(abs(mine - one[0]) > most for mine, one, most in zip(by_item, requests, allowed, strict=True))
    assert worst <= TOLERANCE and beyond == 0, (worst, worst_request, beyond)
    assert same_greedy == len(requests), same_greedy
    means = {(e.benchmark, e.metric): e.value for e in estimates(item_scores(table), METRICS)}
    gaps = [
        abs(means[name, metric] - value) for name, all_ in theirs["means"].items() for metric, value in all_.items()
    ]
    fed = fed_with(items, theirs["samples"])
    scores = item_scores(fed)
    place = {(b, i): n for n, (b, i) in enumerate(zip(scores.benchmark, scores.item, strict=True))}
    unequal = sum(
        scores.values[metric][place[name, sample["id"]]] != sample[metric]
        for name, samples in theirs["samples"].items()
        for sample in samples
        for metric in METRICS
    )
    assert unequal == 0, unequal
    lcp = tokenise(items, opened.tokenizer, "lcp")
    return {
        "tasks": len(theirs["samples"]),
        "options_in_tasks": compared,
        "requests": len(requests),
        "largest_difference_nats": {"tasks": worst, "requests": worst_request},
        "requests_over_1e-4": sum(abs(mine - one[0]) > TOLERANCE for mine, one in zip(by_item, requests, strict=True)),
        "largest_log_likelihood": max(abs(one[0]) for one in requests),
        "greedy_equal": same_greedy,
        "contexts_cut": int(np.sum(table["truncated"].to_numpy())),
        "largest_difference_of_a_mean": max(gaps),
        "metrics_of_their_log_likelihoods_unequal": int(unequal),
        "options_split_elsewhere_by_lcp": {n: c.split_moved for n, c in lcp.counts.items() if c.split_moved},
    }


def fed_with(items: list[Item], samples: dict[str, list[dict[str, Any]]]) -> Any:
    """A ScoreTable with somebody else's log-likelihoods."""
    found = {(name, s["id"]): s for name, some in samples.items() for s in some}
    rows = []
    for item in items:
        sample = found.get((item.benchmark, item.id))
        if sample is None:
            continue
        for option, value in enumerate(sample["log_likelihoods"]):
            text = item.choice(option)
            rows.append(
                {
                    "benchmark": item.benchmark, "item": item.id, "cluster": item.id, "kind": item.kind,
                    "choice": option, "gold": option == item.gold, "log_likelihood": value,
                    "bytes": len(text.encode()), "chars": len(text), "tokens": 1, "greedy": sample["greedy"][option],
                    "truncated": False, "weight": 1.0,
                }
            )  # fmt: skip
    return pa.Table.from_pylist(rows, SCHEMA)


def metric_parity(folder: Path, items: list[Item], peer: Peer) -> dict[str, Any]:
    """Both metric codes on made-up log-likelihoods, a third of them rounded so that options tie."""
    random = np.random.default_rng(SEED)
    chosen = [item for item in items if item.kind == "multiple_choice"]
    made, samples = [], {}
    for repeat in range(20):
        for number, item in enumerate(chosen):
            lengths = np.array([len(one.encode()) for one in item.choices], float)
            values = -lengths * random.gamma(2.0, 1.0, len(lengths))
            if number % 3 == 0:  # ties by value, by byte or by character
                per = [np.ones(len(lengths)), lengths, np.array([len(one) for one in item.choices], float)][repeat % 3]
                values = -per * random.integers(1, 3, len(per))
            doc = {"query": item.contexts[0], "choices": list(item.choices), "gold": item.gold}
            made.append({"doc": doc, "log_likelihoods": values.tolist()})
            one = {"id": f"{item.id}/{repeat}", "log_likelihoods": values.tolist(), "greedy": [False] * len(values)}
            samples[item.benchmark, one["id"]] = (item, one)
    (folder / "made.json").write_text(json.dumps(made))
    theirs = peer.ask(f"metrics {folder / 'made.json'}")
    renamed = [replace(item, id=one["id"]) for item, one in samples.values()]
    by_name: dict[str, list[dict[str, Any]]] = {}
    for item, one in samples.values():
        by_name.setdefault(item.benchmark, []).append(one)
    scores = item_scores(fed_with(renamed, by_name))
    unequal = sum(scores.values[metric][n] != one[metric] for n, one in enumerate(theirs) for metric in METRICS)
    assert len(theirs) == len(scores.item) and unequal == 0, (len(theirs), len(scores.item), unequal)
    return {"made_up_items": len(theirs), "made_up_unequal": int(unequal)}


def speed(folder: Path, items: list[Item], peer: Peer, rounds: int) -> dict[str, Any]:
    """Tokenisation and scoring of every request, alternating; median CPU seconds of one thread."""
    opened = open_model(folder / "model", None, hf=True)
    assert isinstance(opened.scorer, HFScorer)
    ours: list[float] = []
    theirs: dict[int, list[float]] = {size: [] for size in BATCH_SIZES}
    for _ in range(rounds):
        start = time.process_time()
        evaluate(opened.scorer, opened.tokenizer, items, "lm_eval", too_long="left")
        ours.append(time.process_time() - start)
        for size in BATCH_SIZES:
            theirs[size].append(peer.ask(f"speed {size}")["cpu_s"])
    own = statistics.median(ours)
    best = min(BATCH_SIZES, key=lambda size: statistics.median(theirs[size]))
    other = statistics.median(theirs[best])
    return {
        "ours_cpu_s": ours, "theirs_cpu_s": theirs, "their_best_batch_size": best,
        "ours_items_per_s": len(items) / own, "theirs_items_per_s": len(items) / other, "ratio": other / own,
    }  # fmt: skip


if __name__ == "__main__":
    main()
