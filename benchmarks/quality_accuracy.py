"""How well does the tier-0 tagger learn?  Human-labelled sets, preference pairs, and labels by the rubric.

    python benchmarks/quality_accuracy.py human --data DIR         CLEAR, OneStopEnglish, UKPConvArg
    python benchmarks/quality_accuracy.py labels --labels JUDGEMENTS --texts TEXT … [--curve]
    python benchmarks/quality_accuracy.py shipped --labels JUDGEMENTS --texts TEXT …

`human`: every figure is cross-validated through the whole procedure (features, stack, calibration).  CLEAR: 5 folds
of excerpts, six levels cut at the training part's quantiles.  OneStopEnglish: 5 folds of articles.  UKPConvArg: five
folds of debates (both sides of a debate together); a training argument's score is its share of won
comparisons, a held-out pair is right when the better argument gets the higher value.
`labels`: all labels, folds of documents and of whole sources; the latter also calibrated on sources.  `shipped`: the
tagger that ships, on the labelled documents that it was not trained on (web pages: another distribution).
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from results import write_result

from quality.analysis.metrics import bootstrap, ece, ece_interval, qwk, spearman
from quality.features.scoring import style_features
from quality.labels.files import read_rows
from quality.student.action import evaluate
from quality.student.baselines import baseline
from quality.student.fit import fit
from quality.student.folds import folds_of, group_folds
from quality.student.measure import rounded
from quality.student.model import Prediction, predict
from quality.student.training_set import make_training_set

FOLDS = 5
NAME = "label"


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [row for _, row in read_rows(path)]


def cross_validate(texts: list[str], ids: list[str], groups: list[str], fold: np.ndarray, targets: Any, levels: int):
    """Held-out Prediction of tagger, style and length for every text; `targets(rest)` gives the labels of a part."""
    style = style_features(pa.array(texts, pa.large_string()))
    found: dict[str, dict[str, np.ndarray]] = defaultdict(lambda: defaultdict(lambda: np.zeros(len(texts))))
    for number in range(int(fold.max()) + 1):
        rest, held = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        y = targets(rest)
        train = make_training_set(
            [ids[i] for i in rest], [texts[i] for i in rest], {NAME: y[rest]}, levels=levels,
            groups=[groups[i] for i in rest],
        )  # fmt: skip
        model, _ = fit(train)
        order = np.array([ids.index(name) for name in train.ids])
        parts = {"tagger": predict(model, pa.array([texts[i] for i in held], pa.large_string()))}
        parts |= {name: baseline(name, train, style[order], style[held]) for name in ("style", "length")}
        for name, part in parts.items():
            keep(found[name], held, part)
        print(f"  fold {number + 1}: {len(rest)} train, {len(held)} held out", flush=True)
    return found


def keep(into: dict[str, np.ndarray], held: np.ndarray, part: Prediction) -> None:
    into["value"][held], into["level"][held] = part.value[NAME], part.level[NAME]
    into["p"][held] = part.p_solid[NAME]
    into["lo"][held], into["hi"][held] = part.lo[NAME], part.hi[NAME]


def clear(folder: Path) -> dict[str, Any]:
    rows = rows_of(folder / "readability_clear.jsonl.zst")
    y = np.array([row["label"] for row in rows])
    ids, texts = [row["id"] for row in rows], [row["text"] for row in rows]
    fold = folds_of(ids, FOLDS, 0)
    levels = np.zeros(len(y))

    def targets(rest: np.ndarray) -> np.ndarray:
        edges = np.quantile(y[rest], np.arange(1, 6) / 6)
        made = np.searchsorted(edges, y, side="right").astype(np.float64)
        held = np.setdiff1d(np.arange(len(y)), rest)
        levels[held] = made[held]
        return made

    found = cross_validate(texts, ids, ids, fold, targets, 6)
    formula = spearman(y, -np.array([row["flesch_kincaid"] for row in rows]))
    return {"n": len(rows), "flesch_kincaid_spearman": formula, **figures(found, y, levels, 6, 3)}


def onestop(folder: Path) -> dict[str, Any]:
    rows = rows_of(folder / "reading_level_onestop.jsonl.zst")
    y = np.array([float(row["label"]) for row in rows])
    ids, texts, groups = ([row[key] for row in rows] for key in ("id", "text", "group"))
    found = cross_validate(texts, ids, groups, folds_of(groups, FOLDS, 0), lambda rest: y, 3)
    return {"n": len(rows), "articles": len(set(groups)), **figures(found, y, y, 3, 2, groups)}


def figures(found: Any, y: np.ndarray, levels: np.ndarray, size: int, solid: int, groups: Any = None) -> dict[str, Any]:
    """Spearman with the label, QWK and ECE of P(level ≥ solid) with the levels."""
    made = {}
    for name, part in found.items():
        event = (levels >= solid).astype(float)
        p = np.clip(part["p"], 0.0, 1.0)
        calibration = ece_interval(p, event, seed=0, n=500, groups=groups)
        made[name] = {
            "spearman": bootstrap(spearman, y, part["value"], seed=0, n=500, groups=groups),
            "qwk": bootstrap(lambda a, b: qwk(a, b, size), levels, part["level"], seed=0, n=500, groups=groups),
            "accuracy": float(np.mean(levels == part["level"])),
            "ece": calibration.value, "ece_95": [calibration.lo, calibration.hi], "ece_chance": calibration.chance,
            "value_ece": ece(part["value"], levels),
        }  # fmt: skip
        if name == "tagger":  # the baselines have no intervals
            made[name]["coverage"] = float(np.mean((levels >= part["lo"]) & (levels <= part["hi"])))
    return made


def preferences(folder: Path) -> dict[str, Any]:
    rows = rows_of(folder / "preference_pairs_ukpconvarg.jsonl.zst")
    texts = sorted({row[side] for row in rows for side in ("text", "text_b")})
    place = {text: i for i, text in enumerate(texts)}
    a, b = (np.array([place[row[side]] for row in rows]) for side in ("text", "text_b"))
    better, worse = np.where([row["label"] == 0 for row in rows], (a, b), (b, a))
    debate = {i: row["topic"].partition("_")[0] for row in rows for i in (place[row["text"]], place[row["text_b"]])}
    groups = [debate[i] for i in range(len(texts))]
    fold = group_folds(groups, FOLDS)

    def targets(rest: np.ndarray) -> np.ndarray:
        inside = np.isin(better, rest) & np.isin(worse, rest)
        wins = np.bincount(better[inside], minlength=len(texts))
        games = wins + np.bincount(worse[inside], minlength=len(texts))
        return np.floor(5.0 * (wins + 1) / (games + 2) + 0.5)

    ids = [f"{i:05d}" for i in range(len(texts))]
    found = cross_validate(texts, ids, groups, fold, targets, 6)
    one_fold = fold[better] == fold[worse]
    topic = np.array([groups[i] for i in better])
    made: dict[str, Any] = {
        "pairs": int(one_fold.sum()), "arguments": len(texts), "debates": len(set(groups)),
        "longer_wins": accuracy(np.array([len(t) for t in texts], float), better, worse, topic),
    }  # fmt: skip
    for name, part in found.items():
        made[name] = accuracy(part["value"], better, worse, topic)

    for name in ("style", "length"):

        def gain(good: np.ndarray, bad: np.ndarray, other: np.ndarray = found[name]["value"]) -> float:
            return won(found["tagger"]["value"], good, bad) - won(other, good, bad)

        made[f"gain_over_{name}"] = bootstrap(gain, better, worse, seed=0, n=500, groups=topic)
    return made


def accuracy(value: np.ndarray, better: np.ndarray, worse: np.ndarray, topic: np.ndarray) -> Any:
    """Share of pairs in the right order, a tie half; interval over debates."""
    return bootstrap(lambda good, bad: won(value, good, bad), better, worse, seed=0, n=500, groups=topic)


def won(value: np.ndarray, good: np.ndarray, bad: np.ndarray) -> float:
    return float(np.mean((value[good] > value[bad]) + 0.5 * (value[good] == value[bad])))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["human", "labels", "shipped"])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--texts", type=Path, nargs="+", default=[])
    parser.add_argument("--curve", action="store_true")
    arguments = parser.parse_args()
    if arguments.part == "human":
        sets = {"clear": clear, "onestop": onestop, "ukpconvarg": preferences}
        results = {}
        for name, run in sets.items():
            print(name)
            results[name] = rounded(run(arguments.data))
            print(results[name])
        write_result("quality_accuracy_human", results)
        return
    given = [arguments.labels], arguments.texts
    if arguments.part == "shipped":
        write_result("quality_accuracy_shipped", rounded(evaluate("default", *given, splits=["model"], note=print)))
        return
    found = evaluate(None, *given, curve=arguments.curve, note=print)
    wide = evaluate(None, *given, splits=["source"], calibrate="sources", note=print)
    found.splits["source, calibrated on sources"] = wide.splits["source"]
    write_result("quality_accuracy_labels", rounded(found))


if __name__ == "__main__":
    main()
