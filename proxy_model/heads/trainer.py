"""The door `curate.trainers`: `curate quality train … --model proxy:PRESET_OR_CHECKPOINT`.

Settings (`--set key=value`): the fields of `HeadsOptions`, `tokenizer` (a path), `pairs` (a file, see `read_pairs`)
and `pair_weight`.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curation.pipeline.errors import UsageError
from curation.pipeline.registry import suggest
from proxy_model.actions import need_torch
from quality.student.action import Note, Trained

if TYPE_CHECKING:
    from proxy_model.heads.fit import Fitted, HeadsOptions
    from proxy_model.heads.linear import Pairs
    from proxy_model.model import ProxyLM
    from quality.student.training_set import TrainingSet

OWN = ("tokenizer", "pairs", "pair_weight")


@dataclass(frozen=True)
class Backbone:
    """`origin`: what the card says of it; `trained_with`: hash of its tokenizer where the checkpoint tells it."""

    spec: str
    model: ProxyLM | None  # None: a preset, made once the vocabulary is known
    trained_with: str | None
    tokenizer: Path | None
    origin: dict[str, Any]


def train_proxy(
    argument: str, labels: Sequence[Path], documents: Sequence[Path], out: Path, *,
    rubric: str, calibrate: str, settings: Mapping[str, str], note: Note,
) -> Trained:  # fmt: skip
    """Train heads on label files and write the tagger to the folder `out`; see `quality.trainers.Trainer`."""
    need_torch()
    import torch

    from proxy_model.heads.files import load_tagger, save_tagger
    from proxy_model.heads.fit import fit_tagger, with_card
    from proxy_model.heads.texts import Reader, check_vocabulary
    from proxy_model.train.devices import reproducible
    from quality.student.training_set import read_training_set

    if calibrate != "documents":
        raise UsageError("heads of a proxy model are calibrated on documents only", "leave --calibrate out")
    options, own = options_of(settings)
    backbone = open_backbone(argument)
    tokenizer = Path(own["tokenizer"]) if "tokenizer" in own else backbone.tokenizer
    if tokenizer is None:
        raise UsageError(f"no tokenizer lies beside {argument}", "name it: --set tokenizer=runs/NAME/tokenizer")
    reader = Reader(tokenizer, options.max_tokens)
    data = read_training_set(labels, documents, rubric)
    note(f"{len(data.ids)} labelled documents")
    pairs = read_pairs(Path(own["pairs"]), data, float(own.get("pair_weight", "1"))) if "pairs" in own else {}
    with reproducible(torch.device("cpu"), threads=1):
        model = backbone.model or fresh(argument, reader.vocab_size, options.seed)
        check_vocabulary(reader, model.config.vocab_size, backbone.trained_with, argument)
        fitted = fit_tagger(data, model, reader, options, pairs=pairs, note=note)
        tagger = with_card(fitted.tagger, card_of(data, fitted, backbone.origin, options, rubric, labels, documents))
        save_tagger(tagger, out)
    note(f"written: {out}")
    return Trained(str(out), tagger.hash, len(data.ids), load_tagger(out).card)


def options_of(settings: Mapping[str, str]) -> tuple[HeadsOptions, dict[str, str]]:
    """(options, the rest of OWN); UsageError for unknown keys and for values of another type."""
    from proxy_model.heads.fit import HeadsOptions

    kinds = {field.name: type(getattr(HeadsOptions(), field.name)) for field in fields(HeadsOptions)}
    found: dict[str, Any] = {}
    for key, value in settings.items():
        if key in OWN:
            continue
        if key not in kinds:
            raise UsageError(f"--set {key}: no such setting of proxy heads", suggest(key, [*kinds, *OWN]))
        try:
            found[key] = kinds[key](value)
        except ValueError:
            raise UsageError(f"--set {key}={value}", f"a {kinds[key].__name__} is expected") from None
    own = {key: value for key, value in settings.items() if key in OWN}
    try:
        weight = float(own.get("pair_weight", "1"))
    except ValueError:
        weight = -1.0
    if not 0.0 < weight < 1e6:
        raise UsageError(f"--set pair_weight={own['pair_weight']}", "a positive number is expected")
    return HeadsOptions(**found), own


def open_backbone(argument: str) -> Backbone:
    """A finished training run, a saved model, or the name of a preset."""
    from proxy_model.config import PRESETS
    from proxy_model.evaluate.models import files_digest
    from proxy_model.files import CONFIG, load_model, read_extra
    from proxy_model.own_tokenizer import own_tokenizer

    path = Path(argument)
    folder = path / "final" if (path / "final" / CONFIG).is_file() else path
    if (folder / CONFIG).is_file():
        extra = read_extra(folder)
        origin = {"checkpoint": path.name, "sha256": files_digest(folder), "trained": extra}
        return Backbone(
            argument, load_model(folder), extra.get("tokenizer"), own_tokenizer(folder, extra.get("tokenizer")), origin
        )
    if argument in PRESETS:
        return Backbone(argument, None, None, None, {"preset": argument})
    raise UsageError(
        f"{argument or 'nothing'!r} is neither a checkpoint nor a preset",
        f"give a run of `curate proxy train`, or one of: {', '.join(PRESETS)}",
    )


def fresh(name: str, vocab_size: int, seed: int) -> ProxyLM:
    """A preset with untrained weights."""
    from proxy_model.config import preset
    from proxy_model.model import ProxyLM

    return ProxyLM(preset(name, vocab_size=vocab_size), seed)


def read_pairs(path: Path, data: TrainingSet, weight: float) -> dict[int, Pairs]:
    """Comparisons of labelled documents, one a record: {"dimension", "better", "worse"} (ids), by number of the score.

    UsageError names the record: an unknown score, a document that is not among the labelled ones, one with itself.
    """
    import torch

    from proxy_model.heads.linear import Pairs
    from quality.labels.files import check_file, read_rows

    place = {name: i for i, name in enumerate(data.ids)}
    names = list(data.scores)
    found: dict[int, tuple[list[int], list[int]]] = {}
    for number, row in read_rows(check_file(path, "pairs"), ["dimension", "better", "worse"]):
        name, better, worse = (row.get(key) for key in ("dimension", "better", "worse"))
        if name not in names:
            raise UsageError(f"{path}:{number}: unknown score {name!r:.80}", f"scores: {', '.join(names)}")
        sides = found.setdefault(names.index(name), ([], []))
        for one, side in zip((better, worse), sides, strict=True):
            if not isinstance(one, str) or one not in place:
                raise UsageError(f"{path}:{number}: {one!r:.80} is no labelled document", "pairs are of labelled ones")
            side.append(place[one])
        if better == worse:
            raise UsageError(f"{path}:{number}: {better!r:.80} is compared with itself")
    return {score: Pairs(torch.tensor(a), torch.tensor(b), weight) for score, (a, b) in found.items()}


def card_of(
    data: TrainingSet, fitted: Fitted, origin: dict[str, Any], options: HeadsOptions, rubric: str,
    labels: Sequence[Path], documents: Sequence[Path],
) -> dict[str, Any]:  # fmt: skip
    """No date, host or version: the same data give the same card."""
    from proxy_model.heads.metrics import figures
    from quality.rubric.rubric import load_rubric

    by = load_rubric(rubric)
    frozen = options.backbone == "frozen"
    split = f"{options.folds} folds of documents, each predicted by heads that did not see it"
    if not frozen:
        split = f"one document in {options.folds}, predicted by a model that did not see it"
    return {
        "name": f"tier 1: proxy model with reward heads, {'frozen' if frozen else 'trained'} backbone",
        "rubric": {"version": by.version, "hash": by.hash},
        "backbone": origin,
        "data": {
            "documents": len(data.ids),
            "labels": {path.name: _sha256(path) for path in labels},
            "texts": {path.name: _sha256(path) for path in documents},
            "sources": dict(sorted(Counter(data.sources).items())),
            "licences": dict(sorted(Counter(data.licences).items())),
        },
        "options": asdict(options),
        "metrics": {"split": split, **figures(data.take(fitted.rows), fitted.held_out)},
    }


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
