"""Promises of reading runs: what is wrong is named with its line, and nothing is guessed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from curation.pipeline.errors import UsageError
from mixing.regression.runs import read_runs
from tests.mixing.regression.synthetic import SOURCES, TASKS, some_runs, write_csv


def test_csv_and_parquet_give_the_same_runs(tmp_path: Path) -> None:
    runs = some_runs(12)
    path = write_csv(tmp_path / "runs.csv", runs)
    pq.write_table(pyarrow.csv.read_csv(path), tmp_path / "runs.parquet")
    for one in (path, tmp_path / "runs.parquet"):
        found = read_runs([one])
        assert (found.sources, found.tasks) == (SOURCES, TASKS)
        assert np.allclose(found.weights, runs.weights)
        assert np.array_equal(found.losses, runs.losses)


def test_two_files_are_joined_by_name_and_not_by_place(tmp_path: Path) -> None:
    runs = some_runs(9)
    table = pyarrow.csv.read_csv(write_csv(tmp_path / "runs.csv", runs))
    mixes = table.select(["name", *(f"weight.{one}" for one in SOURCES)])
    ends = table.select(["name", *(f"loss.{one}" for one in TASKS)]).take(pa.array(range(9)[::-1]))
    pyarrow.csv.write_csv(mixes, tmp_path / "a.csv")
    pyarrow.csv.write_csv(ends, tmp_path / "b.csv")
    files = [tmp_path / "a.csv", tmp_path / "b.csv"]
    assert np.array_equal(read_runs(files, on="name").losses, runs.losses)
    with pytest.raises(UsageError, match="--on"):
        read_runs(files)
    with pytest.raises(UsageError, match="no column 'nam'"):
        read_runs(files, on="nam")
    pyarrow.csv.write_csv(ends.slice(0, 8), tmp_path / "b.csv")
    with pytest.raises(UsageError, match="line 2: name 'run0' is in no row"):
        read_runs(files, on="name")


def test_weights_written_with_few_decimals_are_taken_as_shares(tmp_path: Path) -> None:
    runs = some_runs(20)
    path = tmp_path / "runs.csv"
    write_csv(path, type(runs)(runs.sources, runs.tasks, runs.weights.round(3), runs.losses))
    assert np.allclose(read_runs([path]).weights.sum(1), 1, atol=1e-15)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("loss.talk", "nan", r"line 4: loss.talk is 'nan', not a number"),
        ("loss.talk", "inf", r"line 4: loss.talk"),
        ("loss.talk", "", r"line 4: loss.talk is ''"),
        ("loss.talk", "-1", r"line 4: loss.talk is -1: a loss is above 0"),
        ("weight.web", "high", r"line 4: weight.web is 'high'"),
        ("weight.web", "-0.1", r"line 4: weight.web is -0.1"),
        ("weight.web", "3", r"line 4: weights add to"),
    ],
)
def test_a_wrong_cell_is_named(tmp_path: Path, column: str, value: str, message: str) -> None:
    path = write_csv(tmp_path / "runs.csv", some_runs(12))
    lines = path.read_text().splitlines()
    cells = lines[3].split(",")
    cells[lines[0].split(",").index(column)] = value
    path.write_text("\n".join([*lines[:3], ",".join(cells), *lines[4:]]))
    with pytest.raises(UsageError, match=message):
        read_runs([path])


def test_a_missing_value_of_parquet_is_refused(tmp_path: Path) -> None:
    table = pyarrow.csv.read_csv(write_csv(tmp_path / "runs.csv", some_runs(12)))
    column = table.column_names.index("loss.talk")
    rows = table["loss.talk"].to_pylist()
    rows[4] = None
    pq.write_table(table.set_column(column, "loss.talk", pa.array(rows)), tmp_path / "runs.parquet")
    with pytest.raises(UsageError, match=r"row 5: loss\.talk is None"):
        read_runs([tmp_path / "runs.parquet"])


def test_one_mix_run_often_is_one_mix(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "runs.csv", some_runs(12).take(np.zeros(50, np.int64)))
    with pytest.raises(UsageError, match="runs of 1 mixes"):
        read_runs([path])


def test_files_without_runs_are_refused(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "runs.csv", some_runs(6))
    with pytest.raises(UsageError, match="runs of 6 mixes for 5 sources: fewer than the 7"):
        read_runs([path])
    with pytest.raises(UsageError, match=r"no column begins with 'mix\.'"):
        read_runs([path], weight="mix.")
    with pytest.raises(UsageError, match="no such file"):
        read_runs([tmp_path / "run.csv"])
    path.write_text("weight.a,loss.b\n")
    with pytest.raises(UsageError, match="no runs in it"):
        read_runs([path])
    path.write_text("weight.a,loss.b\n1\n")
    with pytest.raises(UsageError, match="line 2: 1 cells, and the header has 2"):
        read_runs([path])
    path.write_text("weight.a,weight.a,loss.b\n1,0,2\n")
    with pytest.raises(UsageError, match="two columns have one name"):
        read_runs([path])
