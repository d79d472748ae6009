"""A small backbone, a tokenizer and made-up labelled texts for the tests of the heads."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import torch
from torch import Tensor

from proxy_model.heads.fit import Fitted, HeadsOptions, fit_tagger
from proxy_model.heads.texts import Reader
from proxy_model.model import ProxyLM
from quality.rubric.rubric import load_rubric
from quality.student.training_set import TrainingSet, make_training_set
from tests.proxy_model.evaluate.examples import VOCABULARY, saved_tokenizer
from tests.proxy_model.model.small import small
from tests.quality.student.examples import labelled_rows

MAX_TOKENS = 64
OPTIONS = HeadsOptions(max_tokens=MAX_TOKENS, pooling="both", folds=2)
CATEGORIES = ("food", "natural_science", "law_crime")


@cache
def tokenizer() -> Path:
    return saved_tokenizer(Path(mkdtemp(prefix="heads-")))


@cache
def reader(max_tokens: int = MAX_TOKENS) -> Reader:
    return Reader(tokenizer(), max_tokens)


def backbone(seed: int = 0, **changes: object) -> ProxyLM:
    """Two layers, one of each kind, untrained."""
    return ProxyLM(small(vocab_size=VOCABULARY, layers=2, pattern=("lightning", "softmax"), **changes), seed).eval()


@cache
def rows(n: int = 120, seed: int = 0) -> tuple[list[str], list[str], list[float], list[str]]:
    """ids, texts, levels, categories of the rubric: texts of a level have so many telling words."""
    ids, texts, levels, categories = labelled_rows(n, seed)
    names = dict(zip(dict.fromkeys(categories), CATEGORIES, strict=False))
    return ids, texts, [float(one) for one in levels], [names[one] for one in categories]


@cache
def training_set(n: int = 120, seed: int = 0) -> TrainingSet:
    """Practicality is the opposite of depth."""
    import numpy as np

    ids, texts, levels, categories = rows(n, seed)
    depth = np.array(levels)
    return make_training_set(
        ids, texts, {"knowledge_depth": depth, "practicality": 5 - depth},
        names=load_rubric().category_names, category=categories,
    )  # fmt: skip


@cache
def fitted() -> Fitted:
    return fit_tagger(training_set(), backbone(), reader(), OPTIONS)


def sequences(*lengths: int, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(1, VOCABULARY, (length,), generator=generator) for length in lengths]
