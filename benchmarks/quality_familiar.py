"""Does the known share of a text's n-grams tell texts in a language that training has not seen?

    python benchmarks/quality_familiar.py

On the training set of the tagger that ships (examples/quality): each text that is neither English nor code gets the
share of a model without its language, each English text and program that of a model without its origin.  AUROC of
the share between the two, for occurrences (what `low_confidence` uses), distinct n-grams, and occurrences of words
and of 4-grams alone; and the quantiles of shares in folds of documents and of whole origins.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from results import write_result

from quality.analysis.metrics import auroc
from quality.features.hashing import Csr, hashed_features, known_share
from quality.student.fit import DEFAULTS
from quality.student.folds import folds_of, group_folds
from quality.student.training_set import read_training_set

EXAMPLES = Path(__file__).parents[1] / "examples" / "quality"
PLAIN = ("en", "code")
SPACE = DEFAULTS.space
QUANTILES = (0.01, 0.02, 0.05, 0.1, 0.5)


def held_out(counts: Csr, fold: np.ndarray, count: Csr) -> np.ndarray:
    """Share of each text, with the rows that the other folds give; `count` is what is counted of it."""
    document = np.repeat(np.arange(len(fold)), np.diff(counts.indptr))
    shares = np.zeros(len(fold))
    for number in range(int(fold.max()) + 1):
        seen = np.bincount(counts.indices[fold[document] != number], minlength=SPACE.buckets)
        shares[fold == number] = known_share(count, seen >= DEFAULTS.fewest)[fold == number]
    return shares


def numbered(names: list[str]) -> np.ndarray:
    return np.unique(names, return_inverse=True)[1]


def main() -> None:
    documents = EXAMPLES / "documents.parquet"
    data = read_training_set([EXAMPLES / "labels.parquet"], [documents])
    table = pq.read_table(documents, columns=["id", "lang"])
    language_of = dict(zip(table["id"].to_pylist(), table["lang"].to_pylist(), strict=True))
    language = [language_of[name] for name in data.ids]
    plain = np.isin(language, PLAIN)
    counts = hashed_features(data.texts, SPACE)
    word = counts.indices < SPACE.word_buckets
    kinds = {
        "occurrences": counts,
        "distinct": counts._replace(counts=np.ones_like(counts.counts)),
        "words": counts._replace(counts=counts.counts * word),
        "characters": counts._replace(counts=counts.counts * ~word),
    }
    made = {}
    for kind, count in kinds.items():
        share = np.where(
            plain, held_out(counts, numbered(list(data.origins)), count), held_out(counts, numbered(language), count)
        )
        folds = {
            "documents": folds_of(data.groups, DEFAULTS.folds, DEFAULTS.seed),
            "origins": group_folds(data.origins, DEFAULTS.folds),
        }
        quantiles = {
            name: np.quantile(held_out(counts, fold, count), QUANTILES).round(3).tolist()
            for name, fold in folds.items()
        }
        made[kind] = {"auroc": round(auroc(plain.astype(float), share), 4), "quantiles": quantiles}
    texts = {"other_languages": int((~plain).sum()), "english_and_code": int(plain.sum())}
    write_result("quality_familiar", {**texts, "at": QUANTILES, "kinds": made})
    print(made)


if __name__ == "__main__":
    main()
