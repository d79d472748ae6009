"""From a stored page to its text: charset, limits, extractors, union, in that order.

Readers open one extractor a task and hand it pages in batches; every page comes
back as an Extraction (its text may be empty) or as a Refusal.  Which extractor
gives what, and why, is measured in docs/extraction.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from typing import Any, Literal, Self

from pydantic import Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from curation.pipeline.config import Frozen
from curation.sources import resiliparse_extractor, trafilatura_guard
from curation.sources.charset import decode
from curation.sources.html_limits import HtmlLimits, refuse
from curation.sources.pages import Extraction, Page, Refusal
from curation.sources.union import UNIONS, UnionPolicy

EXTRACTION_VERSION = 1  # raised when this package's own part of a text changes: charset, limits, options, union

ExtractorName = Literal["resiliparse", "trafilatura"]
Extract = Callable[[Sequence[Page]], list[Extraction | Refusal]]
_ExtractOne = Callable[[str], str | Refusal]


class TrafilaturaConfig(Frozen):
    """trafilatura and the guard around its process."""

    focus: trafilatura_guard.Focus = Field("balanced", description="what trafilatura favours")
    timeout_seconds: float = Field(60.0, gt=0, description="wall clock of one page, before it is tried alone")
    memory_mib: int = Field(2048, ge=256, description="address space of the process")


class ExtractConfig(Frozen):
    """How HTML becomes text: `resiliparse`, `[resiliparse, trafilatura]`, or a mapping with options."""

    extractors: tuple[ExtractorName, ...] = Field(
        ("resiliparse",), min_length=1, strict=False, description="one, or both for a union"
    )
    union: UnionPolicy = Field("complement", description="how the texts of two extractors become one")
    limits: HtmlLimits = Field(HtmlLimits(), description="pages beyond these are quarantined unparsed")
    trafilatura: TrafilaturaConfig = TrafilaturaConfig()

    @model_validator(mode="before")
    @classmethod
    def _from_names(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"extractors": (value,)}
        return {"extractors": tuple(value)} if isinstance(value, list | tuple) else value

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len(set(self.extractors)) != len(self.extractors):
            raise ValueError(f"an extractor stands here twice: {', '.join(self.extractors)}")
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """A name and a list of names stand beside the mapping, so that editors accept all three."""
        mapping = handler(core)
        properties = handler.resolve_ref_schema(mapping)["properties"]
        names = properties["extractors"]
        return {"anyOf": [mapping, {"type": "array", "items": names["items"]}, names["items"]]}

    def check(self) -> str | None:
        """What is missing and how to install it; None when every extractor can run."""
        return trafilatura_guard.missing() if "trafilatura" in self.extractors else None

    def versions(self) -> dict[str, str]:
        """Versions of everything that can change an extracted text: part of a task's fingerprint."""
        libraries = {"resiliparse": ("resiliparse",), "trafilatura": ("trafilatura", "lxml", "jusText")}
        names = {"resiliparse", *(library for name in self.extractors for library in libraries[name])}
        return {"extraction": str(EXTRACTION_VERSION)} | {name: version(name) for name in sorted(names)}


@contextmanager
def open_extractor(config: ExtractConfig) -> Iterator[Extract]:
    """The configured extractor; its processes end with the `with` block.

    The callable gives one result a page, in the order of the pages.  A page costs bounded time and
    memory (`HtmlLimits`).  Raises GuardError when trafilatura's process cannot be started.
    """
    with ExitStack() as stack:
        extractors = {name: _open(name, config, stack) for name in config.extractors}

        def extract(pages: Sequence[Page]) -> list[Extraction | Refusal]:
            return [_extract_page(page, config, extractors) for page in pages]

        yield extract


def _open(name: ExtractorName, config: ExtractConfig, stack: ExitStack) -> _ExtractOne:
    if name == "resiliparse":
        return resiliparse_extractor.extract
    options = config.trafilatura
    guard = trafilatura_guard.TrafilaturaGuard(
        focus=options.focus, timeout_seconds=options.timeout_seconds, memory_bytes=options.memory_mib * 2**20
    )
    return stack.enter_context(guard).extract


def _extract_page(
    page: Page, config: ExtractConfig, extractors: dict[ExtractorName, _ExtractOne]
) -> Extraction | Refusal:
    if len(page.html) > config.limits.html_bytes:
        return Refusal("html_over_limit", f"{len(page.html)} bytes > {config.limits.html_bytes}")
    html, charset = decode(page.html, page.http_charset)
    refusal = refuse(html, config.limits)
    if refusal is not None:
        return refusal
    texts: dict[ExtractorName, str] = {}
    for name, extract in extractors.items():
        text = extract(html)
        if isinstance(text, Refusal):
            return text
        texts[name] = text
    if len(texts) == 1:
        [(only, text)] = texts.items()
        return Extraction(text, only, charset)
    text, provenance = UNIONS[config.union](texts["resiliparse"], texts["trafilatura"])
    return Extraction(text, provenance, charset)
