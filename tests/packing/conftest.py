"""One finished run for every test that looks at one: it takes seconds, most of them to start processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.packing.runs import EXPORTED, Finished, executed, make_base, write


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sources and a tokenizer; runs of one another reuse what they made."""
    return make_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="session")
def one(base: Path) -> Finished:
    """A run that ends in shards and exports."""
    return executed(write(base, "one", export=EXPORTED))
