"""A datatrove block named in a config: found, checked and built before a run starts.

Only subclasses of datatrove's PipelineStep that take documents one by one are built: filters, formatters,
counters, and the user's own.  A config file is trusted code all the same: naming a class imports it.
"""

from __future__ import annotations

import hashlib
import inspect
import pkgutil
from functools import lru_cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any

from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.filters.base_filter import BaseFilter
from datatrove.pipeline.formatters.base import BaseFormatter

from curation.pipeline.registry import suggest
from curation.pipeline.task import Json

IMPORT = "import"  # `{import: package.module.name}` as an argument is that object, e.g. a function
NEEDED_ELSEWHERE = {
    "datatrove.pipeline.readers": "documents are read by `sources:`",
    "datatrove.pipeline.writers": "documents are written by curate",
    "datatrove.pipeline.extractors": "HTML is extracted by `sources:`; datatrove's time-outs depend on the machine",
    "datatrove.pipeline.dedup": "it needs all documents at once; see `dedup:`",
    "datatrove.pipeline.decont": "it needs all documents at once; see `decontaminate:`",
    "datatrove.pipeline.stats": "it writes files of its own; statistics are columns here",
    "datatrove.pipeline.tokens": "it writes files of its own",
    "datatrove.pipeline.inference": "it calls servers",
    "datatrove.pipeline.media": "it does not look at texts",
}
COUNTERS = ("TokensCounter", "LengthCounter")  # of datatrove.pipeline.tokens: they only annotate


def find_class(name: str) -> type[PipelineStep]:
    """The class at an importable name; raises ValueError (message, newline, remedy) for anything else."""
    if not name.endswith(COUNTERS):
        _check_place(name, name)  # before the import: such modules need libraries that nothing here needs
    found = _find(name)
    if not (isinstance(found, type) and issubclass(found, PipelineStep)):
        raise ValueError(f"{name!r} is no subclass of datatrove.pipeline.base.PipelineStep")
    if not issubclass(found, BaseFilter | BaseFormatter) and found.__name__ not in COUNTERS:
        for base in found.__mro__:
            _check_place(name, f"{base.__module__}.")
    if inspect.isabstract(found):
        raise ValueError(f"{name!r} is an abstract class")
    return found


def _check_place(name: str, path: str) -> None:
    for package, reason in NEEDED_ELSEWHERE.items():
        if path.startswith(f"{package}."):
            raise ValueError(f"{name!r} cannot be a step here: {reason}")


def _find(name: str) -> Any:
    path, dot, last = name.rpartition(".")
    if not dot:
        raise ValueError(f"{name!r} has no module\n{_suggest(name, 'datatrove.pipeline.filters')}")
    module = _module(path, name)
    if not hasattr(module, last):
        steps = [key for key, value in vars(module).items() if isinstance(value, type)]
        raise ValueError(f"{path} has no {last!r}\n{suggest(last, steps)}")
    return getattr(module, last)


def _module(path: str, name: str) -> ModuleType:
    try:
        return import_module(path)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{path}.".startswith(f"{error.name}."):
            raise ValueError(f"{name!r} cannot be imported: {error}") from None  # something that it imports
        parent, _, last = error.name.rpartition(".")
        known = [one.name for one in pkgutil.iter_modules(import_module(parent).__path__)] if parent else []
        hint = suggest(last, known) if known else "install its package, or put its folder on PYTHONPATH"
        raise ValueError(f"{name!r} cannot be imported: there is no module {error.name!r}\n{hint}") from None
    except Exception as error:
        raise ValueError(f"{name!r} cannot be imported: {type(error).__name__}: {error}") from None


def _suggest(name: str, package: str) -> str:
    names = [key for key, value in vars(import_module(package)).items() if isinstance(value, type)]
    hint = suggest(name, names)
    return (
        hint.replace("'", f"'{package}.", 1) if hint.startswith("did") else f"write for example {package}.LambdaFilter"
    )


def check_arguments(cls: type[PipelineStep], arguments: dict[str, Json]) -> None:
    """Raise ValueError where the constructor does not take these arguments, or takes no seed where it wants one."""
    parameters = inspect.signature(cls).parameters
    open_ended = any(one.kind is one.VAR_KEYWORD for one in parameters.values())
    for name in arguments:
        if name not in parameters and not open_ended:
            raise ValueError(f"{cls.__name__} takes no argument {name!r}\n{suggest(name, list(parameters))}")
    if "exclusion_writer" in arguments:
        raise ValueError("exclusion_writer is not needed here: removed documents are kept in `removed/`")
    try:
        inspect.signature(cls).bind(**arguments)
    except TypeError as error:
        raise ValueError(f"{cls.__name__}: {error}") from None
    if "seed" in parameters and arguments.get("seed") is None:
        raise ValueError(f"{cls.__name__} draws at random: give it a `seed`, so that every run draws the same")


def build(block: str, arguments: dict[str, Json]) -> PipelineStep:
    """A new block; raises what its constructor raises."""
    return find_class(block)(**{name: _resolved(value) for name, value in arguments.items()})


def _resolved(value: Json) -> Any:
    if isinstance(value, dict):
        if list(value) == [IMPORT]:
            return _find(value[IMPORT])
        return {key: _resolved(one) for key, one in value.items()}
    return [_resolved(one) for one in value] if isinstance(value, list) else value


def versions(block: str, arguments: dict[str, Json]) -> dict[str, str]:
    """Everything outside the config that can change what the block does: libraries, own code, files it is given."""
    cls = find_class(block)
    found = {"datatrove": version("datatrove")}
    needed = [one for base in cls.__mro__ for one in getattr(base, "_requires_dependencies", [])]
    for one in needed:
        name = one[1] if isinstance(one, tuple) else one
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    for thing in (*cls.__mro__, *_imported(arguments)):
        module = getattr(thing, "__module__", None) or ""
        if module.partition(".")[0] not in ("builtins", "abc", "datatrove"):
            source = inspect.getsourcefile(import_module(module))
            if source is not None:
                found[f"code.{module}"] = _digest(source, *_state(Path(source)))
    for text in _strings(arguments):
        if len(text) < 4096 and "\0" not in text and Path(text).is_file():
            found[f"file.{Path(text).name}"] = _digest(text, *_state(Path(text)))
    return found


def _imported(value: Json) -> list[Any]:
    if isinstance(value, dict):
        return [_find(value[IMPORT])] if list(value) == [IMPORT] else _imported(list(value.values()))
    return [one for item in value for one in _imported(item)] if isinstance(value, list) else []


def _strings(value: Json) -> list[str]:
    if isinstance(value, dict | list):
        return [one for item in (value.values() if isinstance(value, dict) else value) for one in _strings(item)]
    return [value] if isinstance(value, str) else []


def _state(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size


@lru_cache(maxsize=64)
def _digest(path: str, mtime_ns: int, size: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
