"""Promises of the package's front door: every public name resolves, and importing it loads nothing heavy."""

from __future__ import annotations

import subprocess
import sys

import pytest

import curation


@pytest.mark.parametrize("name", curation.__all__)
def test_every_public_name_resolves_and_is_documented(name: str) -> None:
    assert getattr(curation, name).__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError):
        curation.no_such_name  # noqa: B018


def test_importing_the_package_loads_nothing_heavy() -> None:
    probe = "import sys, curation; sys.exit(str({'numba', 'duckdb', 'pyarrow', 'datatrove'} & set(sys.modules) or ''))"
    assert (
        subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False).stderr.strip() == ""
    )
