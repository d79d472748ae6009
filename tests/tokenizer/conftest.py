"""Encoders for tests: verdicts are remembered in a directory of the session, and few code points and texts tried."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tokenizer.vocabularies import small_vocabulary
from tokenizer.encoding import canary, risk, verdicts
from tokenizer.formats.export import export

# Latin (U+017F), Arabic with new letters of Unicode 17 (U+088F), Telugu and Kannada, new marks (U+1ACF), plane 3
FEW_POINTS = (range(0x80, 0x200), range(0x880, 0xD00), range(0x1AC0, 0x1B00), range(0x323A0, 0x323C0))


@pytest.fixture(scope="session")
def session_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def few_probes(session_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(session_cache))
    monkeypatch.setattr(risk, "PROBED", FEW_POINTS)
    monkeypatch.setattr(verdicts, "PROBED", FEW_POINTS)
    monkeypatch.setattr(canary, "FUZZ_TEXTS", 2_000)


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of `small_vocabulary`."""
    return export(small_vocabulary(), tmp_path_factory.mktemp("tokenizer") / "small")
