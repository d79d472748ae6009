"""Line and substring dedup: time and memory, exactness beside a suffix array, what is found in made duplicates.

    python benchmarks/substring.py --data DIR --peer-python PATH

DIR holds text/*.jsonl.zst and duplicates/controlled_docs.jsonl.zst; PATH is the interpreter of an environment with
`pip install pydivsufsort`.  Runs the real steps; time and memory are those of one process a step.
"""

from __future__ import annotations

import argparse
import difflib
import io
import json
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import zstandard
from results import write_result

from curation.pipeline.config import load
from curation.pipeline.plan import State, build
from curation.pipeline.run import link_outputs

LENGTH = 100
EXECUTE = """
import sys
from pathlib import Path
from curation.pipeline.config import load
from curation.pipeline.execute import execute
from curation.pipeline.plan import State, build
state = State(build(load(Path(sys.argv[1]), [])))
for task in state.plan.tasks:
    if task.step == sys.argv[2]:
        execute(state, task.name)
status = Path("/proc/self/status").read_text()  # not ru_maxrss: that begins with the memory of the parent
print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
"""
STEPS = (
    "line_hashes", "repeated_lines", "line_cuts",
    "substring_anchors", "repeated_passages", "substring_cuts",
)  # fmt: skip


def execute(
    folder: Path, name: str, paths: list[str], dedup: dict[str, Any], times: int = 1
) -> tuple[State, dict[str, int]]:
    """A finished run, and the peak memory (MB) of each step, all of its tasks in one process, `times` over."""
    peaks = {}
    config = folder / f"{name}.yaml"
    content = {
        "run": name,
        "workdir": str(folder / "runs"),
        "executor": {"kind": "local", "workers": 1},
        "sources": {f"x{i}": {"read": "jsonl", "paths": paths, "text": "text", "id": "id"} for i in range(times)},
        "dedup": dedup,
    }
    config.write_text(json.dumps(content))
    plan = build(load(config, []))
    for step in dict.fromkeys(task.step for task in plan.tasks):
        command = [sys.executable, "-c", EXECUTE, str(config), step]
        peaks[step] = int(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout) >> 10
    state = State(plan)
    link_outputs(state)
    return state, peaks


def costs(state: State, peaks: dict[str, int], megabytes: float) -> dict[str, Any]:
    """CPU time and peak memory of each step, and what it counted."""
    found: dict[str, Any] = {}
    for task in state.plan.tasks:
        manifest = state.manifest(task.name)
        if task.step in STEPS and manifest is not None:
            step = found.setdefault(task.step, {"cpu_s": 0.0, "peak_mb": peaks[task.step], "counts": defaultdict(int)})
            step["cpu_s"] += manifest.cpu_s
            for key, value in manifest.counts.items():
                step["counts"][key] += value
    for step in found.values():
        step["ms_per_mb"] = round(1000 * step["cpu_s"] / megabytes, 2)
        step["cpu_s"] = round(step["cpu_s"], 2)
    return found


def beside_suffix_array(folder: Path, state: State, python: str) -> dict[str, Any]:
    """Whether the barrier's passages are those of a suffix array over the same documents; its time and memory."""
    cuts: dict[tuple[str, int], list[int]] = {}
    slices = pq.read_table(state.output("repeated_passages", "slices"))
    for row in slices.to_pylist():
        cuts[row["shard"], row["row"]] = row["substring_cuts"]
    ours, base = [], 0
    joined = folder / "joined"
    with open(joined, "wb") as file:
        for shard in state.plan.shards:
            table = pq.read_table(state.output(shard.read, "documents"), columns=["text", "removed_by"])
            for row, one in enumerate(table.to_pylist()):
                if one["text"] is None or one["removed_by"] is not None:
                    continue
                data = one["text"].encode()
                ours += [base + byte for byte in cuts.get((shard.name, row), [])]
                file.write(data + b"\xff")
                base += len(data) + 1
    peer = Path(__file__).with_name("substring_peer.py")
    out = folder / "ranges"
    answer = subprocess.run(
        [python, str(peer), str(joined), str(LENGTH), str(out)], check=True, capture_output=True, text=True
    )
    theirs = np.fromfile(out, np.int64)
    return {
        **json.loads(answer.stdout),
        "same_passages": bool(np.array_equal(np.array(ours, np.int64), theirs)),
        "bytes_repeated": int(theirs[1::2].sum() - theirs[::2].sum()),
        "passages": len(theirs) // 2,
    }


def records(path: Path) -> list[dict[str, Any]]:
    with open(path, "rb") as file:
        return [
            json.loads(line) for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), "utf-8")
        ]


def inserted(parent: str, child: str) -> list[tuple[int, int]]:
    """Stretches of the child (bytes) that its parent does not have, by words."""
    words = [(m.group(), m.start(), m.end()) for m in re.finditer(r"\S+", child)]
    matcher = difflib.SequenceMatcher(None, parent.split(), [word for word, *_ in words], autojunk=False)
    found = []
    for kind, _, _, first, last in matcher.get_opcodes():
        if kind in ("insert", "replace"):
            start = len(child[: words[first][1]].encode())
            found.append((start, start + len(child[words[first][1] : words[last - 1][2]].encode())))
    return found


def controlled(folder: Path, path: Path) -> dict[str, Any]:
    """Shares of inserted foreign text that are cut, by kind of edit and by step."""
    documents = records(path)
    by_id = {one["id"]: one for one in documents}
    texts = folder / "controlled.jsonl"
    texts.write_text("".join(json.dumps({"id": one["id"], "text": one["text"]}) + "\n" for one in documents))
    first: dict[bytes, str] = {}  # by window: the first document that has it
    spans = {
        one["id"]: inserted(by_id[one["parent"]]["text"], one["text"])
        for one in documents
        if one["edit"] in ("append_other", "header_footer", "replace_block")
    }
    wanted = {
        by_id[id]["text"].encode()[i : i + LENGTH]
        for id, ranges in spans.items()
        for a, b in ranges
        for i in range(a, b - LENGTH + 1)
    }
    for one in documents:
        data = one["text"].encode()
        for i in range(len(data) - LENGTH + 1):
            if (window := data[i : i + LENGTH]) in wanted:
                first.setdefault(window, one["id"])
    results: dict[str, Any] = {}
    for name, dedup in (
        ("substring", {"substring": {"min_bytes": LENGTH}}),
        ("lines", {"lines": {}}),
        ("paragraphs", {"lines": {"unit": "paragraph"}}),
    ):
        state, _ = execute(folder, f"controlled-{name}", [str(texts)], dedup)
        edits = pq.read_table(state.plan.directory / "edits", columns=["id", "start", "length"]).to_pylist()
        gone: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for edit in edits:
            gone[edit["id"].partition("/")[2]].append((edit["start"], edit["start"] + edit["length"]))
        removed = set(pq.read_table(state.plan.directory / "removed", columns=["id"])["id"].to_pylist())
        results[name] = by_edit(by_id, spans, first, gone, {id.partition("/")[2] for id in removed})
    return results


def by_edit(
    documents: dict[str, Any],
    spans: dict[str, list[tuple[int, int]]],
    first: dict[bytes, str],
    gone: dict[str, list[tuple[int, int]]],
    removed: set[str],
) -> dict[str, Any]:
    """Bytes inserted, of these in passages of LENGTH bytes that an earlier document has, and what of both is cut."""
    totals: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for id, ranges in spans.items():
        data = documents[id]["text"].encode()
        foreign, twice, cut = (np.zeros(len(data), np.bool_) for _ in range(3))
        for a, b in ranges:
            foreign[a:b] = True
            for i in range(a, b - LENGTH + 1):
                if first[data[i : i + LENGTH]] != id:
                    twice[i : i + LENGTH] = True
        for a, b in gone[id]:
            cut[a:b] = True
        if id in removed:
            cut[:] = True
        total = totals[documents[id]["edit"]]
        total["documents"] += 1
        for key, mask in (
            ("inserted", foreign), ("inserted_cut", foreign & cut),
            ("inserted_earlier", twice), ("inserted_earlier_cut", twice & cut),
            ("own", ~foreign), ("own_cut", ~foreign & cut),
        ):  # fmt: skip
            total[key] += int(mask.sum())
    return {edit: dict(total) for edit, total in sorted(totals.items())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--peer-python", required=True)
    parser.add_argument("--files", default="*", help="which of text/, without the ending")
    arguments = parser.parse_args()
    paths = sorted(str(path) for path in arguments.data.glob(f"text/{arguments.files}.jsonl.zst"))
    results: dict[str, Any] = {"files": [Path(path).name for path in paths]}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        results["controlled"] = controlled(folder, arguments.data / "duplicates" / "controlled_docs.jsonl.zst")
        state, peaks = execute(folder, "text", paths, {"lines": {}})
        size = sum(manifest.counts["text_bytes_in"] for task in state.plan.tasks if task.step == "documents"
                   and (manifest := state.manifest(task.name)) is not None) / 1e6  # fmt: skip
        results["megabytes"] = round(size, 1)
        results["steps"] = costs(state, peaks, size)
        results["lines_bytes_cut"] = {}
        for characters in (1, 20, 40):
            state, peaks = execute(folder, f"lines-{characters}", paths, {"lines": {"min_chars": characters}})
            results["lines_bytes_cut"][f"min_chars {characters}"] = costs(state, peaks, size)["line_cuts"]["counts"][
                "bytes_cut"
            ]
        state, peaks = execute(folder, "words", paths, {"substring": {"min_tokens": 50}})
        results["steps_50_words"] = costs(state, peaks, size)
        state, peaks = execute(folder, "substring", paths, {"substring": {"min_bytes": LENGTH}})
        results["steps"] |= costs(state, peaks, size)
        results["suffix_array"] = beside_suffix_array(folder, state, arguments.peer_python)
        state, peaks = execute(folder, "twice", paths, {"substring": {"min_bytes": LENGTH}}, times=2)
        results["everything_twice"] = costs(state, peaks, 2 * size)
    versions = {"pydivsufsort": results["suffix_array"].pop("version")}
    print(json.dumps(results, indent=1))
    write_result("substring", results, versions)


if __name__ == "__main__":
    main()
