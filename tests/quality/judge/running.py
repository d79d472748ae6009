"""Documents and runs that the tests of the judge share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

pytest.importorskip("httpx")
pytest.importorskip("tenacity")

from quality.judge.action import label
from quality.judge.endpoint import Endpoint
from tests.quality.judge.server import Judge

ROOT = Path(__file__).parents[3]


def write_documents(path: Path, count: int, *, prefix: str = "d", words: int = 20) -> Path:
    lines = [
        orjson.dumps({"id": f"{prefix}{i}", "source": f"s{i % 3}", "text": f"text {prefix} number {i} " * words})
        for i in range(count)
    ]
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def endpoint(judge: Judge, **more: Any) -> Endpoint:
    return Endpoint(base_url=judge.url, model="m", **{"timeout_s": 20.0, **more})


def run(judge: Judge, documents: Path, out: Path, **more: Any) -> Any:
    settings = {key: more.pop(key) for key in list(more) if key in Endpoint.__dataclass_fields__}
    return label([documents], out, endpoint(judge, **settings), quiet=True, **more)
