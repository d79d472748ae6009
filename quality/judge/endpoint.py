"""Which judge, and the exact request it gets: everything a reply depends on is in `request_key`.

The address is not in the key: replies stay good when the same judge is served elsewhere.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
from dataclasses import dataclass, field
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from curation.pipeline.errors import UsageError
from curation.pipeline.hashing import canonical_json
from quality.rubric.expectation import TOP
from quality.rubric.prompt import PROMPT_VERSION, Excerpt, messages
from quality.rubric.reply import NAME, json_schema
from quality.rubric.rubric import Rubric

RETRIES = 2  # after an invalid reply, each with other sampling
RETRY_TEMPERATURE = (0.5, 0.9)  # added, to a sum of at most 1
OVERHEAD_TOKENS = 256  # of the chat template, for the bound

TokensField = Literal["max_tokens", "max_completion_tokens"]
Structured = Literal["json_schema", "json_object", "none"]


@dataclass(frozen=True)
class Endpoint:
    """An OpenAI-compatible chat endpoint and how it is asked."""

    base_url: str  # up to and without /chat/completions, e.g. http://localhost:8000/v1
    model: str
    judge: str = ""  # name in the labels; default the model
    api_key_env: str | None = None  # name of the environment variable that holds the key
    temperature: float | None = 0.0  # None: not sent (some models refuse it)
    reply_tokens: int = 400
    tokens_field: TokensField = "max_tokens"
    structured: Structured = "json_schema"
    logprobs: bool = False
    secondary: bool = True  # ask for the secondary dimensions too
    repeat: int = 1  # which judgement of the same document: 2 is a second one, under the name `judge#2`
    timeout_s: float = 120.0
    extra: dict[str, Any] = field(default_factory=dict)  # further fields of the request body

    def __post_init__(self) -> None:
        try:
            url = urlsplit(self.base_url)
            port_is_right = url.port != 0
        except ValueError:  # half an IPv6 address, a port that is no number
            port_is_right = False
        if not port_is_right or not self.base_url.isascii() or not self.base_url.isprintable():
            raise UsageError(f"{self.base_url!r:.200} is no address", "give one such as http://localhost:8000/v1")
        if url.scheme not in ("http", "https") or not url.hostname:
            raise UsageError(f"{self.base_url!r:.200} is no address", "give one such as http://localhost:8000/v1")
        if url.username or url.password or url.query or url.fragment:
            raise UsageError(
                "the address holds a user, a password or a query", "give the key in an environment variable"
            )
        if self.structured not in get_args(Structured):
            raise UsageError(f"structured is {self.structured!r}", f"give {', '.join(get_args(Structured))}")
        if self.tokens_field not in get_args(TokensField):
            raise UsageError(f"tokens_field is {self.tokens_field!r}", f"give {', '.join(get_args(TokensField))}")
        if not self.model:
            raise UsageError("no model is named", "give the name the endpoint serves it under")
        if self.repeat < 1 or self.reply_tokens < 1 or self.timeout_s <= 0:
            raise UsageError("repeat, reply_tokens and timeout_s must be above 0")
        reserved = {"model", "messages", "stream", "n", "max_tokens", "max_completion_tokens"} & self.extra.keys()
        if reserved:
            raise UsageError(f"extra: {', '.join(sorted(reserved))} cannot be set there", "the caps depend on it")

    @property
    def name(self) -> str:
        """The judge's name in the labels."""
        return (self.judge or self.model) + (f"#{self.repeat}" if self.repeat > 1 else "")

    @property
    def host(self) -> str:
        """Host name or address."""
        return urlsplit(self.base_url).hostname or ""

    @property
    def is_local(self) -> bool:
        """Whether it is this machine or a private network: a loopback or private address, or a name without a dot."""
        try:
            address = ipaddress.ip_address(self.host)
        except ValueError:
            return "." not in self.host
        return address.is_loopback or address.is_private

    def headers(self) -> dict[str, str]:
        """With the key, read here and kept nowhere else.  UsageError where it is missing or would go unencrypted."""
        if self.api_key_env is None:
            return {}
        key = os.environ.get(self.api_key_env, "")
        if not key:
            raise UsageError(f"the environment variable {self.api_key_env} is empty", "put the endpoint's key into it")
        if not (key.isascii() and key.isprintable()) or " " in key:
            raise UsageError(f"{self.api_key_env} holds characters that no key has", "look for a line end or a quote")
        if urlsplit(self.base_url).scheme == "http" and not self.is_local:
            raise UsageError(f"the key would go to {self.host} unencrypted", "use https")
        return {"Authorization": f"Bearer {key}"}


def request_body(endpoint: Endpoint, rubric: Rubric, excerpt: Excerpt, attempt: int) -> dict[str, Any]:
    """The JSON body of one attempt; attempt 0 as configured, later ones with other sampling."""
    body: dict[str, Any] = {
        **endpoint.extra,
        "model": endpoint.model,
        "messages": list(messages(rubric, excerpt, secondary=endpoint.secondary)),
        endpoint.tokens_field: endpoint.reply_tokens,
    }
    if endpoint.structured == "json_schema":
        schema = json_schema(rubric, secondary=endpoint.secondary)
        body["response_format"] = {
            "type": "json_schema", "json_schema": {"name": NAME, "strict": True, "schema": schema}
        }  # fmt: skip
    elif endpoint.structured == "json_object":
        body["response_format"] = {"type": "json_object"}
    if endpoint.logprobs:
        body |= {"logprobs": True, "top_logprobs": TOP}
    if endpoint.temperature is not None:
        more = 0.0 if attempt == 0 else RETRY_TEMPERATURE[attempt - 1]
        body["temperature"] = max(endpoint.temperature, min(1.0, endpoint.temperature + more))
    if attempt:
        body["seed"] = attempt
    return body


def request_key(endpoint: Endpoint, rubric: Rubric, body: dict[str, Any]) -> str:
    """SHA-256 (hex) of judge, repeat, versions and the whole body."""
    told = [endpoint.judge, endpoint.repeat, PROMPT_VERSION, rubric.version, body]
    return hashlib.sha256(canonical_json(told)).hexdigest()


def token_bound(body: dict[str, Any], endpoint: Endpoint) -> tuple[int, int]:
    """(input, output) tokens that a request cannot exceed: a token is at least one byte of what is sent.

    The schema counts too, since some servers show it to the model.
    """
    return len(canonical_json(body)) + OVERHEAD_TOKENS, endpoint.reply_tokens
