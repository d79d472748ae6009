"""No test of the judge waits long or goes through a proxy."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        from quality.judge import client
    except ModuleNotFoundError:  # without the extra `[judge]` only tests without a client run
        return
    monkeypatch.setattr(client, "SLOWEST_S", 0.02)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
