"""Builds `labels.parquet` and `documents.parquet`: the training set of the tagger that ships.

    python examples/quality/build_data.py JUDGEMENTS.jsonl.zst --texts TEXT.jsonl.zst …

Takes the judged documents that the text files hold under a free licence (LICENCES, by record), cuts each to
the windows that a judge sees (personal data masked) and leaves out those in which a mask was needed.
The GFDL is left out: an excerpt under it must carry the whole licence.  Judged
documents that are not in the text files (web pages) are not copied.
"""

from __future__ import annotations

import argparse
import collections
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from curation.pipeline.errors import UsageError
from quality.judge.windows import excerpt
from quality.labels.files import read_rows
from quality.labels.table import read_labels, write_labels
from quality.rubric.rubric import load_rubric
from quality.student.training_set import WINDOW_BREAK

LICENCES = (
    "MIT", "Apache-2.0", "Apache-2.0 OR MIT", "CC0-1.0", "CC0-1.0 (US federal government work)",
    "public domain (US federal government)", "Public Domain Mark 1.0", "CC-BY-3.0", "CC-BY-4.0",
    "CC-BY-4.0 (collection)", "CC-BY (PLOS)", "CC-BY-SA-3.0", "CC-BY-SA-4.0",
)  # fmt: skip
FOLDER = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("judgements", type=Path)
    parser.add_argument("--texts", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    labels = read_labels(arguments.judgements, load_rubric())
    wanted = set(labels["doc_id"].to_pylist())
    found: dict[str, dict[str, str]] = {}
    left_out: collections.Counter[str] = collections.Counter()
    for path in arguments.texts:
        for number, row in read_rows(path):
            if row["id"] not in wanted:
                continue
            if row["id"] in found:
                raise UsageError(f"{path}:{number}: the id {row['id']!r} stands twice")
            windows = excerpt(row["text"]).windows
            if row["license"] not in LICENCES:
                left_out[f"licence {row['license']}"] += 1
            elif windows != excerpt(row["text"], mask=False).windows:
                left_out["personal data"] += 1
            else:
                fields = {name: row[name] for name in ("id", "source", "license", "lang")}
                found[row["id"]] = fields | {"text": WINDOW_BREAK.join(windows)}
    rows = [found[key] for key in sorted(found)]
    schema = pa.schema(
        [(name, pa.string()) for name in ("id", "source", "license", "lang")] + [("text", pa.large_string())]
    )
    pq.write_table(
        pa.Table.from_pylist(rows, schema),
        arguments.out / "documents.parquet",
        compression="zstd",
        compression_level=19,
    )
    keep = pa.array([key in found for key in labels["doc_id"].to_pylist()])
    write_labels(
        labels.filter(keep).sort_by([("doc_id", "ascending"), ("judge", "ascending")]), arguments.out / "labels.parquet"
    )
    for (source, licence), count in sorted(collections.Counter((r["source"], r["license"]) for r in rows).items()):
        print(f"{count:5d}  {source}  {licence}")
    without = len(wanted) - len(found) - left_out.total()
    print(f"{len(rows)} documents; left out: {dict(left_out)}; without text: {without}")


if __name__ == "__main__":
    main()
