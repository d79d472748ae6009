"""A pipeline of datatrove with curate's blocks: language, rules, exact and verified near-duplicate removal.

Use: python examples/datatrove_pipeline.py [output folder]
"""

import sys
from pathlib import Path

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter

from curation.datatrove import DedupClusters, DedupFilter, DedupSignatures, LanguageIdFilter, RuleFilter

DATA = str(Path(__file__).parent / "data")


def main(out: str) -> None:
    read = JsonlReader(DATA, glob_pattern="*.jsonl.zst", compression="zstd")
    clean = [
        read,
        LanguageIdFilter(["en", "de", "fr", "es", "ja"], min_score=0.65),
        RuleFilter(["gopher-repetition", "gopher-quality"], {"gopher-quality.min_words": 30}),
        JsonlWriter(f"{out}/clean", compression=None),
    ]
    again = JsonlReader(f"{out}/clean")
    stages = [
        (clean, 1),
        ([again, DedupSignatures(f"{out}/dedup")], 1),
        ([DedupClusters(f"{out}/dedup")], 1),  # this stage always has one task; the others have any number
        ([again, DedupFilter(f"{out}/dedup"), JsonlWriter(f"{out}/unique", compression=None)], 1),
    ]
    for number, (pipeline, tasks) in enumerate(stages):
        LocalPipelineExecutor(pipeline, tasks=tasks, workers=1, logging_dir=f"{out}/logs/{number}").run()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "runs/datatrove")
