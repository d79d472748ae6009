"""A tagger on disk: `model.safetensors` (arrays) and `card.json` (names, data, figures), both with the same bytes
for the same model.  Arrays are checked before anything is computed with them: a file may come from anywhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from curation.pipeline.errors import UsageError
from curation.pipeline.shards import write_atomic
from quality.features.space import FEATURE_VERSION, FeatureSpace
from quality.features.style import STYLE_NAMES
from quality.student.arithmetic import Array
from quality.student.model import FORMAT, CategoryHead, ScoreHead, StudentModel

MODEL, CARD = "model.safetensors", "card.json"
DEFAULT = Path(__file__).parents[1] / "data" / "default"
MAX_CARD_BYTES = 4 << 20
REMEDY = "train it again with `curate quality train`"


def save_model(model: StudentModel, folder: Path | str) -> None:
    """Write both files, the card last; each appears whole or not at all."""
    from safetensors.numpy import save

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / MODEL, save(model.arrays))
    write_atomic(folder / CARD, json.dumps(_card(model), indent=1, ensure_ascii=False).encode() + b"\n")


def load_model(name_or_path: str | Path = "default") -> StudentModel:
    """`default`, or a folder with the two files; UsageError names the file and what is wrong with it."""
    folder = DEFAULT if name_or_path == "default" else Path(name_or_path)
    if not folder.is_dir():
        raise UsageError(f"{folder}: there is no such model", "give `default` or the folder of a trained model")
    card, arrays = _read_card(folder / CARD), _read_arrays(folder / MODEL)
    try:
        model = _assemble(card, arrays)
        _check(model)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        told = f"no entry {error}" if isinstance(error, KeyError) else str(error)
        raise UsageError(f"{folder}: this is no model of this program: {told}", REMEDY) from None
    if card.get("hash") != model.hash:
        raise UsageError(f"{folder}: {MODEL} and {CARD} do not belong together", REMEDY)
    return model


def _card(model: StudentModel) -> dict[str, Any]:
    space = model.space
    made = {
        "format": FORMAT,
        "hash": model.hash,
        "features": {"version": space.version, "word_bits": space.word_bits, "char_bits": space.char_bits},
        "style": list(STYLE_NAMES),
        "scores": [{"name": head.name, "levels": head.levels} for head in model.scores],
        "categories": list(model.categories),
    }
    return made | {key: value for key, value in model.card.items() if key not in made}


def _assemble(card: dict[str, Any], arrays: dict[str, Array]) -> StudentModel:
    if card["format"] != FORMAT:
        raise ValueError(f"format {card['format']!r}, not {FORMAT}")
    features = card["features"]
    if features["version"] != FEATURE_VERSION or card["style"] != list(STYLE_NAMES):
        raise ValueError(f"features of version {features['version']!r}; this program computes {FEATURE_VERSION}")
    scores = []
    for one in card["scores"]:
        bias, slope, radius = (float(x) for x in arrays[f"{one['name']}.numbers"])
        stack, offsets, cuts = (arrays[f"{one['name']}.{part}"] for part in ("stack", "offsets", "cuts"))
        scores.append(ScoreHead(one["name"], int(one["levels"]), bias, stack, offsets, slope, cuts, radius))
    category = None
    if card["categories"]:
        names = tuple(map(str, card["categories"]))
        category = CategoryHead(names, arrays["category.bias"], float(arrays["category.temperature"][0]))
    return StudentModel(
        FeatureSpace(int(features["word_bits"]), int(features["char_bits"]), int(features["version"])),
        arrays["kept"], arrays["weights"], arrays["idf"], arrays["style_mean"], arrays["style_scale"],
        tuple(scores), category, float(arrays["least_known"][0]), arrays["trained"], card,
    )  # fmt: skip


def _check(model: StudentModel) -> None:
    """ValueError for arrays that do not fit together, or a number that is not finite."""
    rows, styles, count = len(model.kept), len(STYLE_NAMES), len(model.categories)
    expected: dict[str, tuple[tuple[int, ...], str]] = {
        "kept": ((rows,), "int32"),
        "weights": ((rows, len(model.scores) + count), "float16"),
        "idf": ((rows,), "float32"),
        "style_mean": ((styles,), "float64"),
        "style_scale": ((styles,), "float64"),
        "least_known": ((1,), "float64"),
        "trained": (model.trained.shape[:1], "uint64"),
    }
    for head in model.scores:
        expected[f"{head.name}.stack"] = ((2 + styles,), "float64")
        expected[f"{head.name}.offsets"] = ((count,), "float64")
        expected[f"{head.name}.cuts"] = ((head.levels - 1,), "float64")
    if model.category is not None:
        expected["category.bias"] = ((count,), "float64")
    arrays = model.arrays
    for name, (shape, kind) in expected.items():
        if arrays[name].shape != shape or arrays[name].dtype != kind:
            raise ValueError(f"{name} is {arrays[name].dtype}{arrays[name].shape}, expected {kind}{shape}")
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{name} has a value that is not finite")
    kept = model.kept
    if rows and (kept[0] < 0 or kept[-1] >= model.space.buckets or (np.diff(kept) <= 0).any()):
        raise ValueError("kept is not a rising list of buckets")
    if not 0.0 <= model.least_known <= 1.0:
        raise ValueError("least_known is no share")
    if (model.style_scale <= 0).any():
        raise ValueError("style_scale has a value that is not positive")


def _read_card(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_CARD_BYTES:
            raise UsageError(f"{path}: too large for a card", REMEDY)
        card = orjson.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}", REMEDY) from None
    except orjson.JSONDecodeError as error:
        raise UsageError(f"{path}: no JSON: {error}", REMEDY) from None
    if not isinstance(card, dict):
        raise UsageError(f"{path}: not an object", REMEDY)
    return card


def _read_arrays(path: Path) -> dict[str, Array]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return dict(load(path.read_bytes()))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}", REMEDY) from None
    except (SafetensorError, ValueError, KeyError) as error:
        raise UsageError(f"{path}: no safetensors file: {error}", REMEDY) from None
