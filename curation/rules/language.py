"""Language identification and the rule on it, offline, by fastText models.

`identify` runs once a document; `decide` needs only its two columns, so another list of languages or
another threshold never touches the text.  Default model: lid.176.ftz (176 languages, bundled; Joulin et
al. 2016, https://fasttext.cc/docs/en/language-identification.html); default threshold: FineWeb's 0.65.
"""

from __future__ import annotations

from difflib import get_close_matches
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from curation.pipeline.config import Frozen
from curation.text.fasttext_model import FastText, read_model

# Raised whenever `identify` can give another result for some text and model; part of the step's fingerprint.
KERNEL_VERSION = 1
BUNDLED = "lid.176.ftz"
PREFIX = "__label__"
KEEP_RULE, SCORE_RULE = "language.keep", "language.min_score"


class LanguageConfig(Frozen):
    """Which languages to keep, and how sure the model must be."""

    keep: list[str] | None = Field(None, min_length=1, description="language codes of the model; default all")
    min_score: float = Field(0.65, ge=0, le=1, description="least score of the best language")
    model: str | None = Field(None, description="path of a fastText .bin or .ftz model; default lid.176, bundled")

    @model_validator(mode="after")
    def _known(self) -> Self:
        known = _codes(None) if self.keep and self.model is None else []
        for code in (self.keep or []) if known else []:
            if code not in known:
                shorter = [name for name in known if code.lower().startswith(name)]  # eng, english: en
                close = shorter or get_close_matches(code, known, 1, 0.4)
                hint = f"; did you mean {close[0]}?" if close else ""
                raise ValueError(f"{self.model or BUNDLED} knows no language `{code}`{hint}")
        return self


def load_model(path: str | None) -> FastText:
    """The fastText model in a local file, or the bundled lid.176; read once a process while the file stays the same.

    Raises OSError when it cannot be opened, ValueError when it is no supervised fastText model.
    """
    if path is None:
        with resources.as_file(resources.files("curation.rules").joinpath(f"data/{BUNDLED}")) as bundled:
            return _load(str(bundled), 0, 0)
    state = Path(path).stat()
    return _load(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=4)
def _load(path: str, mtime_ns: int, size: int) -> FastText:
    return read_model(path)


def _codes(model: str | None) -> list[str]:
    try:
        return [label.removeprefix(PREFIX) for label in load_model(model).labels]
    except OSError as error:
        raise ValueError(f"cannot open the language model: {error}") from None


def identify(text: pa.LargeStringArray, model: FastText) -> tuple[pa.StringArray, pa.FloatArray]:
    """(language, score as float32) of every text, labels without `__label__`.

    A null text gives nulls.  A text in which the model finds nothing to go by has no language and score 0.
    """
    labels, scores = model.predict(text)
    languages = pc.if_else(pc.starts_with(labels, PREFIX), pc.utf8_slice_codeunits(labels, len(PREFIX)), labels)
    zero = pa.scalar(0, pa.float32())
    return languages, pc.if_else(text.is_valid(), pc.fill_null(scores, zero), scores)


def decide(
    language: pa.StringArray, score: pa.FloatArray, keep: list[str] | None, min_score: float
) -> tuple[pa.StringArray, pa.StringArray]:
    """(removed_by, removed_detail), both null for a document that is kept or was not identified (null score).

    `language.keep` with the language (`none` if it has none), else `language.min_score` with e.g. `0.41 < 0.65`.
    The float32 score is compared as float64, as by everybody who reads it from the table.
    """
    wide = score.cast(pa.float64())
    foreign = pc.invert(pc.is_in(language, pa.array(keep, pa.string()))) if keep is not None else pa.scalar(False)
    unsure = pc.less(wide, min_score)
    removed = pc.if_else(foreign, KEEP_RULE, pc.if_else(unsure, SCORE_RULE, pa.scalar(None, pa.string())))
    rule = pc.if_else(score.is_valid(), removed, pa.scalar(None, pa.string()))
    details = [
        None if name is None else (code or "none") if name == KEEP_RULE else _comparison(value, min_score)
        for name, code, value in zip(rule.to_pylist(), language.to_pylist(), wide.to_pylist(), strict=True)
    ]
    return rule, pa.array(details, pa.string())


def _comparison(score: float, min_score: float) -> str:
    """`0.41 < 0.65`, the score with as many digits as it takes to see it."""
    for digits in range(2, 17):
        if round(score, digits) < min_score:
            return f"{score:.{digits}f} < {min_score}"
    return f"{score} < {min_score}"
