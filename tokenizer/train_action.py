"""What `curate tokenizer train` does: options into a checked config, counts into a tokenizer directory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import yaml
from pydantic import ValidationError

from curation.commands.output import print_json, print_line
from curation.pipeline.errors import UsageError
from tokenizer.config import TrainConfig
from tokenizer.counting.splits import DEV, TRAIN
from tokenizer.notes import explained
from tokenizer.vocabulary import DEFAULT_SPECIALS


def train_from_counts(
    counts: Path, out: Path, *, vocab_size: int, languages: str, most_loss: float, quotas: str | None,
    thin: str | None, longest_word: int | None, special: Sequence[str] | None, min_frequency: int,
    max_token_length: int | None, extend: Path | None, check: bool, quiet: bool, as_json: bool,
) -> None:  # fmt: skip
    """Train, export to `out`, and say what came out."""
    from tokenizer.formats.export import check_target, export, load_vocabulary
    from tokenizer.training.build import build
    from tokenizer.training.merge_bar import MergeBar

    check_target(out)
    values = {
        "vocab_size": vocab_size, "languages": _yaml("languages", languages), "most_loss": most_loss,
        "quotas": _yaml("quotas", quotas or "{}"), "thin": _yaml("thin", thin or "null"), "longest_word": longest_word,
        "special_tokens": list(special or DEFAULT_SPECIALS), "min_frequency": min_frequency,
        "max_token_length": max_token_length,
    }  # fmt: skip
    try:
        config = TrainConfig.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        if name == "languages":
            raise _unreadable(name, languages) from None
        option = "--" + ("special" if name == "special_tokens" else name.replace("_", "-"))
        told = first["msg"].removeprefix("Value error, ")
        raise UsageError(f"{option}: {told}", "see curate tokenizer train --help") from None
    train_table, dev_table = counts / f"{TRAIN}.parquet", counts / f"{DEV}.parquet"
    if not train_table.is_file():
        raise UsageError(f"{counts} holds no counts", "make them with `curate tokenizer count FILES --out COUNTS`")
    start = load_vocabulary(extend) if extend else None
    checkpoint = out.with_name(out.name + ".checkpoint")
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    with MergeBar(quiet=quiet) as bar, explained(bar.note):

        def on_round(number: int, one: Any) -> None:
            bar.note(f"language weights, round {number}: worst regret {one.worst:.3f}, mix {one.mix_loss:+.2%} tokens")

        built = build(
            train_table, dev_table if dev_table.is_file() else None, config, provenance=_account(counts), start=start,
            checkpoint=checkpoint, on_progress=bar.update, on_round=on_round,
        )  # fmt: skip
    export(built.vocabulary, out)
    checkpoint.unlink(missing_ok=True)
    summary: dict[str, Any] = {
        "tokenizer": str(out), "hash": built.vocabulary.hash, "vocab_size": built.vocabulary.vocab_size,
        "rows": built.vocabulary.rows, "warning": built.training.warning, "languages": built.weighing.account,
    }  # fmt: skip
    if check:
        summary["hugging_face_merges_equal"] = _same_as_hugging_face(built, config)
    if as_json:
        print_json(summary)
        return
    print_line(f"{summary['vocab_size']:,} tokens and {summary['rows'] - summary['vocab_size']} special rows in {out}")
    print_line(f"languages: {built.weighing.account['mode']}" + _why(built.weighing.account))
    if without := built.weighing.account.get("without_text"):
        print_line(f"warning: no document is in {', '.join(without)}: the other shares were scaled up")
    if check:
        print_line(f"merges equal to Hugging Face's: {summary['hugging_face_merges_equal']}")
    if built.training.warning:
        print_line(f"warning: {built.training.warning}")


WAYS = {
    "languages": "give auto, text, a temperature from 0 to 1, or shares such as '{en: 0.6, de: 0.4}'",
    "quotas": "give least shares such as '{ka: 0.01}'",
    "thin": "give it as '{below: 3, keep_one_in: 4}'",
}


def _yaml(option: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise _unreadable(option, text) from None


def _unreadable(option: str, text: str) -> UsageError:
    return UsageError(f"--{option}: {text!r} cannot be understood", WAYS[option])


def _account(counts: Path) -> dict[str, Any]:
    """How the table was counted, for the manifest."""
    from tokenizer.counting.files import ACCOUNT

    path = counts / ACCOUNT
    try:
        return {"counts": orjson.loads(path.read_bytes())}
    except FileNotFoundError:
        return {}
    except orjson.JSONDecodeError as error:
        raise UsageError(
            f"{path}: damaged ({error})", "run `curate tokenizer count` again: it is written anew"
        ) from None


def _why(account: dict[str, Any]) -> str:
    return f" (auto was asked for: {account['why']})" if "why" in account else ""


def _same_as_hugging_face(built: Any, config: TrainConfig) -> bool:
    from tokenizer.training.hf_train import hf_train

    theirs = hf_train(
        built.words, built.vocabulary.vocab_size, min_frequency=config.min_frequency,
        max_token_length=config.max_token_length,
    )  # fmt: skip
    return np.array_equal(theirs, built.vocabulary.merges)
