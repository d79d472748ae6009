"""Quality tags: a rubric, labels by a judge, a tagger trained on them, and the tags of whole corpora.

The names a user needs, resolved when first used, so that importing one never loads the rest:

    from quality import open_labeler, tag
    rows = tag(open_labeler("default"), pyarrow.array(["some text"], pyarrow.large_string()))
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quality.analysis.action import agreement, validate
    from quality.datatrove_block import QualityTagger
    from quality.judge.action import label
    from quality.labels.table import read_labels, write_labels
    from quality.rubric.rubric import load_rubric
    from quality.student.action import evaluate, train
    from quality.student.files import load_model
    from quality.tagging.action import TagOptions, tag_files
    from quality.tagging.labeler import Labeler, Labels, open_labeler
    from quality.tagging.quantiles import vigintile
    from quality.tagging.tag import tag

_HOME = {
    "Labeler": "quality.tagging.labeler",
    "Labels": "quality.tagging.labeler",
    "QualityTagger": "quality.datatrove_block",
    "TagOptions": "quality.tagging.action",
    "agreement": "quality.analysis.action",
    "evaluate": "quality.student.action",
    "label": "quality.judge.action",
    "load_model": "quality.student.files",
    "load_rubric": "quality.rubric.rubric",
    "open_labeler": "quality.tagging.labeler",
    "read_labels": "quality.labels.table",
    "tag": "quality.tagging.tag",
    "tag_files": "quality.tagging.action",
    "train": "quality.student.action",
    "validate": "quality.analysis.action",
    "vigintile": "quality.tagging.quantiles",
    "write_labels": "quality.labels.table",
}

__all__ = [
    "Labeler",
    "Labels",
    "QualityTagger",
    "TagOptions",
    "agreement",
    "evaluate",
    "label",
    "load_model",
    "load_rubric",
    "open_labeler",
    "read_labels",
    "tag",
    "tag_files",
    "train",
    "validate",
    "vigintile",
    "write_labels",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'quality' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
