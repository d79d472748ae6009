"""A YAML file, overridden and validated: what `curate proxy` and `curate ab` read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from curation.pipeline.config import override_key
from curation.pipeline.config_errors import Located, problems_of, read_yaml
from curation.pipeline.errors import ConfigError, ConfigProblem
from proxy_model.numbers import not_finite

Model = TypeVar("Model", bound=BaseModel)


def read_config(path: Path, overrides: Sequence[str], model: type[Model]) -> tuple[Model, Located]:
    """Read, override (`dotted.key=value`, value in YAML) and validate.

    Raises ConfigError with every mistake found, each with file, line, key and the nearest valid one.
    """
    located = read_yaml(path)
    for text in overrides:
        override_key(located.value, text, "--set", list(model.model_fields))
    infinite = [
        ConfigProblem(str(path), located.line(keys), ".".join(map(str, keys)), "not a finite number")
        for keys in not_finite(located.value)  # orjson would write null: the default, without a word
    ]
    if infinite:
        raise ConfigError(infinite)
    try:
        encoded = orjson.dumps(located.value)
    except TypeError as error:  # dates, sets, binary: YAML types that JSON has not
        raise ConfigError([ConfigProblem(str(path), None, "", f"{error}", "put such values in quotes")]) from None
    try:
        return model.model_validate_json(encoded), located
    except ValidationError as error:
        raise ConfigError(problems_of(error, located, str(path), model.model_json_schema())) from None
