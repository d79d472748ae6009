"""The noise registry's file: append-only, checked by line, each experiment and each run counted once."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest

from curation.pipeline.errors import UsageError
from proxy_model.experiment import registry
from proxy_model.experiment.registry import Record, append, matching, pooled, read, show
from tests.proxy_model.experiment.simulated_folder import KEY, experiment

ONE = Record("first", "base", KEY, 4e-6, 3, 0.45, "r1", "l1", "2025-11-22T00:00:00+00:00")


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "ab" / "registry.jsonl"
    assert append(path, [ONE, replace(ONE, arm="tilted", runs="r2")]) == 2
    assert read(path) == (ONE, replace(ONE, arm="tilted", runs="r2"))


def test_a_record_added_again_is_there_once_and_never_changed(tmp_path: Path) -> None:
    path = tmp_path / "registry.jsonl"
    append(path, [ONE])
    before = path.read_bytes()
    assert append(path, [replace(ONE, date="2030-01-01T00:00:00+00:00")]) == 0
    with pytest.raises(UsageError, match="never changed"):
        append(path, [replace(ONE, variance=5e-6)])
    assert path.read_bytes() == before


def test_adding_keeps_earlier_bytes_and_mends_a_missing_line_end(tmp_path: Path) -> None:
    path = tmp_path / "registry.jsonl"
    append(path, [ONE])
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    before = path.read_bytes()
    append(path, [replace(ONE, experiment="second", runs="r9")])
    assert path.read_bytes().startswith(before) and len(read(path)) == 2


def test_writers_do_not_lose_each_others_lines(tmp_path: Path) -> None:
    path = tmp_path / "registry.jsonl"
    some = [replace(ONE, experiment=f"e{i}", runs=f"r{i}") for i in range(12)]
    threads = [threading.Thread(target=append, args=(path, [one])) for one in some]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(one.experiment for one in read(path)) == sorted(one.experiment for one in some)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"{", "no JSON"),
        (b"[]", "not a JSON object"),
        (b'{"format": 2}', "format 2"),
        (orjson.dumps({**orjson.loads(ONE.line()), "variance": 0}), "not above 0"),
        (orjson.dumps({**orjson.loads(ONE.line()), "variance": None}), "no number"),
        (orjson.dumps({**orjson.loads(ONE.line()), "df": 0.5}), "df is 0.5"),
        (orjson.dumps({**orjson.loads(ONE.line()), "key": {"model": "m"}}), "key must name"),
        (ONE.line(), "stands there twice, before in line 1"),
    ],
)
def test_a_wrong_line_is_named_with_file_and_number(tmp_path: Path, line: bytes, said: str) -> None:
    path = tmp_path / "registry.jsonl"
    path.write_bytes(ONE.line() + b"\n" + line)
    with pytest.raises(UsageError, match=rf"registry\.jsonl:3: .*{said}"):
        read(path)


def test_arms_of_one_experiment_are_one_entry_and_a_shared_baseline_counts_once(tmp_path: Path) -> None:
    path = tmp_path / "registry.jsonl"
    append(path, [ONE, replace(ONE, arm="new", runs="r2", variance=8e-6, df=1)])
    append(
        path,
        [
            replace(ONE, experiment="second", lock="l2"),
            replace(ONE, experiment="second", lock="l2", arm="c", runs="r3"),
        ],
    )
    found = matching(path, KEY)
    assert [one.df for one in found] == [4, 3]
    assert found[0].variance == pytest.approx((3 * 4e-6 + 8e-6) / 4)
    assert matching(path, replace(KEY, tokens=1)) == []
    assert pooled(read(path)) == found and registry.registry(path).entries == tuple(found)


def test_a_finished_experiment_lends_the_variance_of_its_runs(tmp_path: Path) -> None:
    folder = experiment(tmp_path / "ab" / "mixes", {"uniform": 4, "tilted": 3}, seed=1)
    records = registry.add(folder)
    told = orjson.loads((folder / "verdict.json").read_bytes())["runs"]
    values = [run["weighted"] for run in told if run["arm"] == "uniform"]
    assert records[0].variance == pytest.approx(np.var(values, ddof=1)) and [one.df for one in records] == [3, 2]
    assert read(tmp_path / "ab" / "registry.jsonl") == records
    (shown,) = show(tmp_path / "ab" / "registry.jsonl")
    assert (shown.df, shown.experiments) == (5, ("mixes",)) and 0 < shown.prior.df <= 2


def test_what_lends_no_noise_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no verdict\.json"):
        registry.add(tmp_path)
    amended = experiment(tmp_path / "amended", {"a": 2, "b": 2}, amended=["alpha"])
    with pytest.raises(UsageError, match="amended after its lock"):
        registry.add(amended)
    single = experiment(tmp_path / "single", {"a": 1, "b": 1}, exploratory=True)
    with pytest.raises(UsageError, match="no arm has two runs"):
        registry.add(single)
