"""One HTTP request to the judge, and its repetition while the endpoint is busy or out of reach.

429, 408 and 5xx: back-off with full jitter, not before the server's Retry-After, which holds for all threads.
What a failure means for the account: a refused request costs nothing; one whose answer got lost (time-out, broken
connection) may have been paid and counts at its upper bound.
"""

from __future__ import annotations

import email.utils
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

import httpx
import orjson
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from curation.pipeline.errors import UsageError
from curation.pipeline.progress import printable
from quality.judge.endpoint import Endpoint
from quality.judge.failures import Refused, Retryable, Stopped

TRIES = 8  # of one request, at a busy or broken endpoint
SLOWEST_S = 60.0  # of back-off
RETRY_AFTER_S = 600.0  # a server that asks for more is not waited for
BODY_BYTES = 8 << 20  # of an answer
SHOWN = 300
AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})


class Client:
    """Connections to one endpoint, used by several threads."""

    def __init__(self, endpoint: Endpoint, *, parallel: int, backoff_s: float = 0.5, tries: int = TRIES) -> None:
        self.url = endpoint.base_url.rstrip("/") + "/chat/completions"
        self.stop = threading.Event()
        self._tries, self._backoff_s = tries, backoff_s
        self._not_before = 0.0  # monotonic seconds
        self._timeout_s = endpoint.timeout_s
        headers = endpoint.headers()
        self._secret = headers.get("Authorization", "").removeprefix("Bearer ")
        self._http = httpx.Client(
            headers={"User-Agent": "curate-lm", "Content-Type": "application/json", **headers},
            timeout=httpx.Timeout(endpoint.timeout_s, connect=min(15.0, endpoint.timeout_s)),
            limits=httpx.Limits(max_connections=parallel, max_keepalive_connections=parallel),
            follow_redirects=False,  # a redirect would carry the document elsewhere
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def retrying(self, once: Callable[[], str]) -> str:
        """Call `once` (one request with its account) until it gives an answer; raises its last Retryable."""
        busy = wait_random_exponential(multiplier=self._backoff_s, max=SLOWEST_S)

        def wait(state: RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            return max(busy(state), error.after_s if isinstance(error, Retryable) else 0.0)

        return Retrying(
            stop=stop_after_attempt(self._tries),
            wait=wait,
            retry=retry_if_exception_type(Retryable),
            sleep=self._sleep,
            reraise=True,
        )(once)

    def wait_turn(self) -> None:
        """Until the server's last Retry-After is over."""
        while (left := self._not_before - time.monotonic()) > 0:
            self._sleep(left)
        if self.stop.is_set():
            raise Stopped

    def post(self, body: dict[str, Any], key: str) -> str:
        """The body of a 200 answer.  Raises Retryable, Refused, or UsageError where asking again cannot help.

        `key` goes along as Idempotency-Key: a gateway that knows it charges a repeated request once.
        """
        deadline = time.monotonic() + self._timeout_s  # httpx's time-outs are per read: a dripping server would hold us
        try:
            with self._http.stream(
                "POST", self.url, content=orjson.dumps(body), headers={"Idempotency-Key": key}
            ) as answer:
                parts, size = [], 0
                for part in answer.iter_bytes():
                    parts.append(part)
                    size += len(part)
                    if size > BODY_BYTES or time.monotonic() > deadline:
                        raise Retryable("an answer too long or too slow", paid=answer.status_code == 200)
                data = b"".join(parts)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise Retryable(f"no connection to {self.url}: {error}", paid=False) from None
        except httpx.HTTPError as error:  # a cut answer, a time-out: the request was on its way
            raise Retryable(f"{type(error).__name__} while waiting for {self.url}", paid=True) from None
        if answer.status_code == 200:
            return data.decode("utf-8", "replace")
        raise self._failure(answer, data)

    def _failure(self, answer: httpx.Response, data: bytes) -> Exception:
        status = answer.status_code
        text = data.decode("utf-8", "replace")
        if self._secret:  # a server may quote it
            text = text.replace(self._secret, "…")
        told = f"{self.url} answers {status}: {printable(' '.join(text[:SHOWN].split()))}"
        if status in AGAIN:
            after = retry_after(answer.headers.get("retry-after"))
            if after > RETRY_AFTER_S:
                return UsageError(f"{told} and asks to wait {after:,.0f} s", "run the same command again later")
            if after:
                self._not_before = max(self._not_before, time.monotonic() + after)
            return Retryable(told, paid=False, after_s=after)
        if status in (401, 403):
            return UsageError(told, "is the key in the named environment variable, and is it right?")
        if status == 404:
            return UsageError(told, "the address ends in /v1 as a rule; the model must be one that is served")
        if 300 <= status < 400:
            return UsageError(told, "redirects are not followed: give the address it leads to")
        return Refused(told)

    def _sleep(self, seconds: float) -> None:
        if self.stop.wait(seconds):
            raise Stopped


def retry_after(value: str | None) -> float:
    """Seconds of a Retry-After header in either of its forms (RFC 9110, 10.2.3); 0 where there is none."""
    if not value:
        return 0.0
    if value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError):
        return 0.0
