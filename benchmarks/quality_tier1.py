"""Is the proxy model's tagger (tier 1) worth its price?  Both on the same labels and folds, by the adoption rule.

    python benchmarks/quality_tier1.py --labels JUDGEMENTS --texts TEXT … --backbone RUN --tokenizer TOKENIZER

Every document is predicted by taggers that did not see it: five folds of documents (the same for both tiers) with a
frozen backbone; with a trained backbone one of the folds, for it takes as long as the rest together.  Tier 1 is
adopted if it gains at least 0.03 within-category Spearman on every score and the paired bootstrap's interval lies
above 0 (`quality.student.evaluate.adopt`).  Speed: both label the same texts, one thread, CPU time.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import torch
from results import write_result

from proxy_model.config import params
from proxy_model.heads.fit import HeadsOptions, fit_tagger
from proxy_model.heads.metrics import figures
from proxy_model.heads.texts import Reader, check_vocabulary, strings
from proxy_model.heads.trainer import fresh, open_backbone
from quality.student.evaluate import adopt
from quality.student.fit import FitOptions, fit
from quality.student.measure import rounded
from quality.student.model import predict
from quality.student.training_set import TrainingSet, read_training_set

SEED = 1  # of both: the folds follow from it
SPEED_TEXTS = 200
VARIANTS: dict[str, dict[str, Any]] = {
    "frozen, last token (default)": {},
    "frozen, last token and mean": {"pooling": "both"},
    "trained, 2 epochs, 512 tokens, one fold": {"backbone": "train", "epochs": 2, "max_tokens": 512},
}


def cpu(work: Any) -> tuple[Any, float]:
    began = time.process_time()
    made = work()
    return made, time.process_time() - began


def compared(data: TrainingSet, fitted: Any, tier0: Any) -> dict[str, Any]:
    """Figures of tier 1 and the gain over tier 0 on the documents that both predict."""
    held = data.take(fitted.rows)
    gains = {
        name: adopt(tier0.value[name][fitted.rows], fitted.held_out.value[name], y, held.category)
        for name, y in held.scores.items()
    }
    return {
        "documents": len(held.ids),
        **figures(held, fitted.held_out),
        "gain_within_category_spearman": rounded(gains),
        "adopted": all(gain.adopted for gain in gains.values()),
    }


def speed(texts: pa.LargeStringArray, taggers: dict[str, Any]) -> dict[str, float]:
    """MB of UTF-8 a CPU second, after a first call."""
    megabytes = pc.sum(pc.binary_length(texts)).as_py() / 1e6
    made = {}
    for tier, label in taggers.items():
        label(texts.slice(0, 5))
        made[tier] = round(megabytes / cpu(lambda label=label: label(texts))[1], 3)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--texts", type=Path, nargs="+", required=True)
    parser.add_argument("--backbone", required=True, help="a run of `curate proxy train`, or a preset (untrained)")
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--no-tune", action="store_true", help="frozen backbones only")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data = read_training_set([arguments.labels], arguments.texts)
    (model0, found), seconds = cpu(lambda: fit(data, FitOptions(seed=SEED)))
    tier0 = found["documents"]
    results: dict[str, Any] = {
        "documents": len(data.ids),
        "tier0": {**figures(data, tier0), "train_cpu_s": round(seconds, 1)},
        "tier1": {},
    }
    backbone = open_backbone(arguments.backbone)
    for name, settings in VARIANTS.items():
        options = HeadsOptions(seed=SEED, **settings)
        if options.backbone == "train" and arguments.no_tune:
            continue
        reader = Reader(arguments.tokenizer, options.max_tokens)
        model = backbone.model or fresh(arguments.backbone, reader.vocab_size, SEED)
        check_vocabulary(reader, model.config.vocab_size, backbone.trained_with, arguments.backbone)
        fitted, seconds = cpu(
            lambda model=model, reader=reader, options=options: fit_tagger(data, model, reader, options, note=print)
        )
        results["tier1"][name] = {**compared(data, fitted, tier0), "train_cpu_s": round(seconds, 1)}
        print(name, results["tier1"][name]["gain_within_category_spearman"], flush=True)
        if not settings:
            size = params(model.config)
            results["backbone"] = {
                "active_parameters": size.active, "parameters": size.total, "trained": backbone.origin.get("trained"),
            }  # fmt: skip
            results["labelling_mb_per_cpu_s"] = speed(
                data.texts.slice(0, SPEED_TEXTS),
                {"tier0": lambda some: predict(model0, some),
                 "tier1": lambda some, tagger=fitted.tagger: tagger.predict(strings(some))},
            )  # fmt: skip
    results["verdict"] = {
        name: "adopted" if one["adopted"] else "not adopted" for name, one in results["tier1"].items()
    }
    print(results["verdict"])
    write_result("quality_tier1", results)


if __name__ == "__main__":
    main()
