"""A real chat-completion server on loopback that counts what it is paid for and misbehaves on demand.

A fault is chosen by the hash of (request, how often it came): the same on every run, whatever the threads do.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from quality.rubric.rubric import load_rubric

CATEGORIES = load_rubric().category_names
Fault = Callable[[str, int], str | None]  # (request's hash, times it came before) -> kind


def by_rates(rates: dict[str, float]) -> Fault:
    """Faults at these rates."""

    def choose(key: str, times: int) -> str | None:
        at = int(hashlib.sha256(f"{key} {times}".encode()).hexdigest()[:12], 16) / 16**12
        for kind, rate in rates.items():
            if at < rate:
                return kind
            at -= rate
        return None

    return choose


NO_FAULT = by_rates({})


def good_reply(key: str) -> dict[str, Any]:
    """The judgement that belongs to a request."""
    digits = [int(c, 16) for c in key]
    names = ("knowledge_depth", "practicality", "coherence", "conciseness", "educational_value", "helpfulness")
    return {
        "evidence": f"because of {key[:8]}",
        **{name: digits[i] % 6 for i, name in enumerate(names)},
        "category": CATEGORIES[int(key[:8], 16) % len(CATEGORIES)],
        "category2": None,
        "confidence": 0.5,
    }


class Judge(ThreadingHTTPServer):
    """`requests`, `paid` (complete answers), `tokens` by request hash; `seen` keeps bodies and headers."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, fault: Fault = NO_FAULT, *, delay_s: float = 0.0, idempotent: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.fault, self.delay_s, self.idempotent = fault, delay_s, idempotent
        self.lock = threading.Lock()
        self.requests: Counter[str] = Counter()
        self.paid: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.tokens = 0
        self.running = self.most_running = 0
        self.seen: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.kept: dict[str, bytes] = {}  # by Idempotency-Key

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed or gave up is what these tests are about."""

    def __enter__(self) -> Judge:
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Judge
    asked: dict[str, Any]

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        judge = self.server
        data = self.rfile.read(int(self.headers["Content-Length"]))
        key = hashlib.sha256(data).hexdigest()
        with judge.lock:
            times = judge.requests[key]
            judge.requests[key] += 1
            judge.running += 1
            judge.most_running = max(judge.most_running, judge.running)
            judge.seen.append((dict(self.headers), json.loads(data)))
            kind = judge.fault(key, times)
            judge.faults[kind or "none"] += 1
        self.asked = json.loads(data)
        try:
            self._answer(key, kind, len(data))
        finally:
            with judge.lock:
                judge.running -= 1

    def _answer(self, key: str, kind: str | None, size: int) -> None:
        judge = self.server
        if kind in ("429", "429 now"):
            return self._send(429, b'{"error": "slow down"}', {"Retry-After": "0" if kind == "429 now" else "1"})
        if kind is not None and kind.isdigit():
            return self._send(int(kind), b'{"error": "no"} ' + self.headers.get("Authorization", "").encode(), {})
        identity = self.headers.get("Idempotency-Key", "")
        if judge.idempotent and identity in judge.kept:
            return self._send(200, judge.kept[identity], {})
        time.sleep(1.5 if kind == "slow" else judge.delay_s)
        used = {"prompt_tokens": size // 4, "completion_tokens": 120}
        choice = _choice(key, kind)
        if self.asked.get("logprobs"):
            choice["logprobs"] = {"content": _tokens(choice["message"]["content"], self.asked["top_logprobs"])}
        answer = json.dumps({"choices": [choice], "usage": used}).encode()
        if kind == "no json":
            answer = answer[: len(answer) // 2]
        with judge.lock:  # from here on it is paid, whether the client gets it or not
            judge.paid[key] += 1
            judge.tokens += sum(used.values())
            if identity:
                judge.kept[identity] = answer
        self._send(200, answer, {}, cut=kind == "cut")
        return None

    def _send(self, status: int, data: bytes, headers: dict[str, str], *, cut: bool = False) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if cut else data)
        if cut:
            self.close_connection = True


def _tokens(text: str, alternatives: int) -> list[dict[str, Any]]:
    """One token a character: a level has 0.75, the next lower one (or 5) 0.25."""
    made = []
    for char in text:
        others = [{"token": f"other{i}", "logprob": -50.0, "bytes": [0] * 6} for i in range(alternatives - 2)]
        top = [{"token": char, "logprob": -0.28768207}]
        if char in "012345":
            top.append({"token": str((int(char) - 1) % 6), "logprob": -1.38629436})
        made.append({"token": char, "logprob": -0.28768207, "bytes": [0], "top_logprobs": top + others})
    return made


def _choice(key: str, kind: str | None) -> dict[str, Any]:
    reply = good_reply(key)
    text = json.dumps(reply)
    finish = "stop"
    if kind == "fenced":
        text = f"```json\n{json.dumps(reply, indent=1)}\n```"
    elif kind == "prose":
        text = f"Here is my judgement {key[:6]}:\n```json\n{text}\n```"
    elif kind == "truncated":
        text = text[: 20 + int(key[:2], 16) % 60]
    elif kind == "length":
        finish = "length"
    elif kind == "twice":
        text = text + "\n" + text
    elif kind == "wrong schema":
        text = json.dumps({**reply, "knowledge_depth": str(reply["knowledge_depth"])})
    elif kind == "stubborn":
        text = "I cannot help with that."
    return {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text}}
