"""One finished run that several files look at."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mixing.runs import Finished, executed, make_base, write


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("mixing"))


@pytest.fixture(scope="session")
def one(base: Path) -> Finished:
    return executed(write(base, "one", pack=True, ablation={"tokens": 3_000}))
