"""Config mistakes told as a person needs them: file, line, key and the nearest valid one.

PyYAML's node tree gives the lines, pydantic the verdicts, the JSON Schema the valid
keys; this module only brings the three together.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from curation.pipeline.errors import ConfigError, ConfigProblem, UsageError
from curation.pipeline.registry import suggest

MAX_CONFIG_BYTES = 1 << 20
MAX_VALUES = 100_000  # after aliases; more is an expansion bomb

Place = Sequence[str | int]


@dataclass(frozen=True)
class Located:
    """Plain values of a YAML file together with its nodes, which know their lines."""

    value: dict[str, Any]
    root: yaml.Node | None

    def line(self, place: Place) -> int | None:
        """Line (from 1) of the deepest node on the way to `place`; None for values not in the file."""
        node, line = self.root, None
        for step in place:
            if isinstance(node, yaml.MappingNode):
                for key, value in node.value:
                    if key.value == str(step):
                        node, line = value, key.start_mark.line + 1
                        break
            elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
                node = node.value[step]
                line = node.start_mark.line + 1
        return line


def read_yaml(path: Path) -> Located:
    """Parse a YAML mapping with the safe loader; raises ConfigError with the line of a syntax error."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        beside = [p.name for p in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
        raise UsageError(f"config file not found: {path}", suggest(path.name, beside)) from None
    except IsADirectoryError:
        raise UsageError(f"{path} is a directory", "name the YAML file in it") from None
    if len(data) > MAX_CONFIG_BYTES:
        raise UsageError(f"{path} has {len(data):,} bytes: no config is larger than {MAX_CONFIG_BYTES:,}")
    try:
        root = yaml.compose(data, yaml.SafeLoader)
        if _expanded(root, {}) > MAX_VALUES:
            raise UsageError(f"{path} expands to more than {MAX_VALUES:,} values", "a config needs no nested aliases")
        value = yaml.safe_load(data)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        message = getattr(error, "problem", None) or str(error)
        if "'\\t'" in message:
            message += " (a tab: YAML indents with spaces)"
        line = None if mark is None else mark.line + 1
        raise ConfigError([ConfigProblem(str(path), line, "", f"not valid YAML: {message}")]) from None
    if not isinstance(value, dict):
        raise ConfigError([ConfigProblem(str(path), 1, "", "a config is a mapping of keys such as `sources:`")])
    repeated = list(_repeated_keys(root))
    if repeated:
        raise ConfigError(
            [
                ConfigProblem(str(path), key.start_mark.line + 1, key.value, "this key stands here twice")
                for key in repeated
            ]
        )
    return Located(value, root)


def _expanded(node: yaml.Node | None, known: dict[int, int]) -> int:
    """Number of values that a node stands for once its aliases are expanded; a node inside itself is refused."""
    if node is None or isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) not in known:
        known[id(node)] = MAX_VALUES + 1  # while it is open: meeting it again means it contains itself
        parts = [part for pair in node.value for part in (pair if isinstance(pair, tuple) else (pair,))]
        known[id(node)] = 1 + sum(_expanded(part, known) for part in parts)
    return known[id(node)]


def _repeated_keys(node: yaml.Node | None) -> list[yaml.ScalarNode]:
    """Keys that YAML would silently overwrite."""
    found: list[yaml.ScalarNode] = []
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    found.append(key)
                seen.add(key.value)
            found += _repeated_keys(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            found += _repeated_keys(value)
    return found


def problems_of(error: ValidationError, located: Located, file: str, schema: dict[str, Any]) -> list[ConfigProblem]:
    """One problem per mistake; the several branches of a union give one problem, not one each."""
    found: dict[tuple[str | int, ...], ConfigProblem] = {}
    for one in error.errors(include_url=False):
        place = _in_file(one["loc"], located.value, one["type"])
        message, hint = one["msg"], None
        context = one.get("ctx") or {}
        given = one.get("input")
        if one["type"] == "extra_forbidden":
            message = "unknown key"
            hint = suggest(str(place[-1]), _valid_keys(schema, schema, located.value, place[:-1]))
        elif expected := context.get("expected_tags") or context.get("expected"):
            valid = re.findall(r"'([^']+)'", str(expected))
            tag = context.get("tag", given)
            message = f"{tag!r} is not valid here"
            hint = suggest(str(tag), valid)
            if discriminator := context.get("discriminator"):
                place = (*place, discriminator.strip("'"))
        elif one["type"] == "union_tag_not_found":
            key = str(context["discriminator"]).strip("'")
            message, given_keys = f"needs the key {key!r}", list(given) if isinstance(given, dict) else []
            near = [k for k in given_keys if difflib.get_close_matches(str(k), [key], cutoff=0.5)]
            hint = f"{near[0]!r} stands there: did you mean {key!r}?" if near else None
        elif one["type"] in ("list_type", "tuple_type"):
            message, hint = "a list is needed", f"write [{given}]" if isinstance(given, str) else "write [ … ]"
        elif one["type"] in ("model_type", "model_attributes_type", "dict_type"):
            message, hint = "a mapping is needed", "write {} for all defaults" if isinstance(given, bool) else None
        elif one["type"] == "string_pattern_mismatch":
            message = (
                f"{given!r} may hold letters, digits, dot, dash and underscore only, and starts with a letter or digit"
            )
        elif one["type"] == "missing":
            message = "this key is required"
        elif one["type"] == "value_error":
            message, _, hint = message.removeprefix("Value error, ").partition("\n")
            hint = hint.strip().removeprefix("→ ") or None
        elif isinstance(given, bool) and "string" in one["type"]:
            hint = f"YAML reads no, off, yes and on as {str(given).lower()}: write them in quotes"
        elif given is not None and not isinstance(given, dict | list):
            message = f"{message}, not {given!r}"
        found.setdefault(
            place, ConfigProblem(file, located.line(place), ".".join(map(str, place)), message, hint or None)
        )
    return list(found.values())


def _in_file(location: Place, value: Any, kind: str) -> tuple[str | int, ...]:
    """A pydantic location without the tags of unions, which stand in no file."""
    place: list[str | int] = []
    for i, step in enumerate(location):
        last = i == len(location) - 1
        if isinstance(value, dict) and (step in value or str(step) in value or (last and kind == "missing")):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            continue
        place.append(step)
    return tuple(place)


def _valid_keys(schema: Any, root: dict[str, Any], value: Any, place: Place) -> list[str]:
    """Property names that the JSON Schema allows at `place`."""
    nodes = _branches(schema, root, value)
    for step in place:
        value = value[step] if isinstance(value, dict) else value[int(step)] if isinstance(value, list) else None
        following: list[dict[str, Any]] = []
        for node in nodes:
            if isinstance(step, int):
                candidates = [node.get("items")]
            else:
                named = node.get("properties", {}).get(step, node.get("additionalProperties"))
                candidates = [named, *node.get("patternProperties", {}).values()]
            for candidate in candidates:
                if isinstance(candidate, dict):
                    following += _branches(candidate, root, value)
        nodes = following
    return sorted({key for node in nodes for key in node.get("properties", {})})


def _branches(node: dict[str, Any], root: dict[str, Any], value: Any) -> list[dict[str, Any]]:
    """Follow `$ref` and unions; a discriminated union is narrowed by the value that is there."""
    if "$ref" in node:
        return _branches(root["$defs"][node["$ref"].rsplit("/", 1)[-1]], root, value)
    union = node.get("anyOf") or node.get("oneOf")
    if not union:
        return [node]
    discriminator = node.get("discriminator")
    if discriminator and isinstance(value, dict):
        target = discriminator.get("mapping", {}).get(value.get(discriminator["propertyName"]))
        if target:
            return _branches({"$ref": target}, root, value)
    return [branch for option in union for branch in _branches(option, root, value)]
