"""One document's judgement: up to three attempts, each paid at most once, each read strictly.

An invalid reply is asked again with other sampling, at most twice; the same invalid reply again ends it, since a
third would cost as much and say the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from quality.judge.budget import Budget, Spending
from quality.judge.cache import ReplyCache
from quality.judge.endpoint import RETRIES, Endpoint, request_body, request_key, token_bound
from quality.judge.failures import Refused, Retryable
from quality.rubric.expectation import expectations, slim
from quality.rubric.prompt import Excerpt
from quality.rubric.reply import InvalidReply, Judgement, parse_reply
from quality.rubric.rubric import Rubric

if TYPE_CHECKING:  # needs the extra `[judge]`; an estimate does not
    from quality.judge.client import Client


@dataclass(frozen=True)
class Outcome:
    """A judgement, or why there is none; how many attempts it took and how many of them were in the cache."""

    judgement: Judgement | None
    raw: str | None
    expected: dict[str, float | None]
    reason: str | None  # of the last invalid reply: "invalid: …", "refused: …", "unreachable: …"
    attempts: int
    cached: int


class Asker:
    """Everything a thread needs to ask."""

    def __init__(
        self, endpoint: Endpoint, rubric: Rubric, cache: ReplyCache, budget: Budget, client: Client | None
    ) -> None:
        self.endpoint, self.rubric, self.cache, self.budget, self.client = endpoint, rubric, cache, budget, client

    def ask(self, excerpt: Excerpt) -> Outcome:
        """Raises CapReached, Stopped, UsageError and CurateError (all end the run)."""
        wrong: list[str] = []
        contents: list[str] = []
        cached = 0
        for attempt in range(1 + RETRIES):
            body = request_body(self.endpoint, self.rubric, excerpt, attempt)
            key = request_key(self.endpoint, self.rubric, body)
            text = self.cache.get(key)
            cached += text is not None
            if text is None:
                try:
                    text = self._paid(key, body)
                except Refused as error:
                    return Outcome(None, None, {}, f"refused: {error}", attempt + 1, cached)
                except Retryable as error:
                    return Outcome(None, None, {}, f"unreachable: {error}", attempt + 1, cached)
            content: Any = None
            try:
                content, logprobs = _content(text)
                judged = parse_reply(content, self.rubric, secondary=self.endpoint.secondary)
                expected = expectations(content, logprobs, judged.scores)
                return Outcome(judged, content, expected, None, attempt + 1, cached)
            except InvalidReply as error:
                wrong.append(str(error))
            bad = content if isinstance(content, str) else text
            if bad in contents:
                return Outcome(None, bad, {}, f"invalid: {wrong[-1]} (the same reply twice)", attempt + 1, cached)
            contents.append(bad)
        return Outcome(None, contents[-1], {}, f"invalid: {wrong[-1]}", 1 + RETRIES, cached)

    def _paid(self, key: str, body: dict[str, Any]) -> str:
        """A reply from the endpoint, in the cache before it is returned."""
        client = self.client
        if client is None:
            raise AssertionError("nothing may be asked here")
        return client.retrying(lambda: self._once(client, key, body))

    def _once(self, client: Client, key: str, body: dict[str, Any]) -> str:
        client.wait_turn()
        caps = self.budget.caps
        bound_in, bound_out = token_bound(body, self.endpoint)
        bound = caps.cost(bound_in, bound_out)
        self.budget.reserve(bound)
        paid = bound  # whatever happens below, until it is known better
        number = None
        try:
            number = self.cache.sent(key, bound)
            try:
                text = client.post(body, key)
            except Retryable as error:
                paid = bound if error.paid else Spending(requests=1)
                self.cache.done(number, key, paid, None)
                raise
            except Exception:  # a refusal
                paid = Spending(requests=1)
                self.cache.done(number, key, paid, None)
                raise
            paid = caps.cost(_used(text, "prompt_tokens", bound_in), _used(text, "completion_tokens", bound_out))
            text = self._slim(text)
            self.cache.done(number, key, paid, text)
            return text
        finally:
            self.budget.settle(bound, Spending() if number is None else paid)

    def _slim(self, text: str) -> str:
        """Without log-probabilities that nothing reads; any other answer as it came."""
        answer = _json(text) if self.endpoint.logprobs else None
        if not isinstance(answer, dict) or not isinstance(answer.get("choices"), list):
            return text
        return orjson.dumps(slim(answer)).decode()


def _used(text: str, name: str, bound: int) -> int:
    """Tokens as the server counts them, else the bound."""
    answer = _json(text)
    usage = answer.get("usage") if isinstance(answer, dict) else None
    count = usage.get(name) if isinstance(usage, dict) else None
    return count if type(count) is int and count >= 0 else bound


def _json(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _content(text: str) -> tuple[str, Any]:
    """(content, logprobs) of a whole answer; InvalidReply for any other."""
    answer = _json(text)
    choices = answer.get("choices") if isinstance(answer, dict) else None
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        raise InvalidReply("no chat completion with one choice")
    choice = choices[0]
    if choice.get("finish_reason") != "stop":
        raise InvalidReply(f"finish_reason is {choice.get('finish_reason')!r:.40}, not 'stop'")
    message = choice.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    if not isinstance(content, str):
        raise InvalidReply("no content")
    return content, choice.get("logprobs")
