"""lm-evaluation-harness in its own process: loads one model, answers `tasks`, `metrics` and `speed N` on stdin."""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from lm_eval import evaluator
from lm_eval.api.instance import Instance
from lm_eval.api.task import ConfigurableTask
from lm_eval.models.huggingface import HFLM

METRICS = ("acc", "acc_norm", "acc_bytes")


def task_of(folder: Path, name: str, delimiter: str) -> ConfigurableTask:
    """A multiple-choice task over a file of items, by nothing but its own configuration."""
    return ConfigurableTask(
        config={
            "task": name,
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": str(folder / f"{name}.jsonl"), "cache_dir": str(folder / "cache")},
            "test_split": "train",
            "output_type": "multiple_choice",
            "doc_to_text": "{{query}}",
            "doc_to_choice": "{{choices}}",
            "doc_to_target": "gold",
            "target_delimiter": delimiter,
            "metric_list": [{"metric": metric, "aggregation": "mean", "higher_is_better": True} for metric in METRICS],
        }
    )


def main() -> None:
    folder = Path(sys.argv[1])
    torch.set_num_threads(1)
    out, sys.stdout = sys.stdout, sys.stderr  # the harness prints
    asked = json.loads((folder / "asked.json").read_text())
    tasks = {name: task_of(folder, name, delimiter) for name, delimiter in asked["tasks"].items()}

    def lm(batch_size: int) -> HFLM:
        model = str(folder / "model")
        return HFLM(pretrained=model, tokenizer=model, device="cpu", dtype="float32", batch_size=batch_size)

    def reply(value: Any) -> None:
        out.write(json.dumps(value) + "\n")
        out.flush()

    reply({name: version(name) for name in ("lm_eval", "torch", "transformers", "tokenizers")})
    for line in sys.stdin:
        command, _, argument = line.strip().partition(" ")
        if command == "tasks":  # the whole way: documents in, metrics of every item out
            found = evaluator.evaluate(lm(16), tasks, bootstrap_iters=0, log_samples=True)
            samples = {
                name: [
                    {
                        "id": sample["doc"]["id"],
                        "log_likelihoods": [float(one[0]) for one in sample["filtered_resps"]],
                        "greedy": [bool(one[1]) for one in sample["filtered_resps"]],
                        **{metric: sample[metric] for metric in METRICS},
                    }
                    for sample in some
                ]
                for name, some in found["samples"].items()
            }
            means = {name: {m: found["results"][name][f"{m},none"] for m in METRICS} for name in tasks}
            reply({"samples": samples, "means": means})
        elif command == "metrics":  # its metric code alone, on log-likelihoods that we made
            given = json.loads(Path(argument).read_text())
            task = next(iter(tasks.values()))
            answers = [task.process_results(one["doc"], [(x, False) for x in one["log_likelihoods"]]) for one in given]
            reply([{metric: one[metric] for metric in METRICS} for one in answers])
        elif command == "speed":
            model = lm(int(argument))
            requests = [
                Instance("loglikelihood", {}, tuple(pair), number) for number, pair in enumerate(asked["requests"])
            ]
            wall, cpu = time.perf_counter(), time.process_time()
            scored = model.loglikelihood(requests, disable_tqdm=True)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            reply({"wall_s": wall, "cpu_s": cpu, "scored": [[float(a), bool(b)] for a, b in scored]})


if __name__ == "__main__":
    main()
