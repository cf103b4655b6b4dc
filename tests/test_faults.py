"""The fault matrix as a page shows it."""

import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from fastresnet.chapters.faults import FaultMatrix, FaultRow, fault_caption, fault_file, fault_table, read_matrix
from fastresnet.errors import UserError

from .made_up import MACHINE


@pytest.fixture
def matrix():
    def row(fault, done, tried, held):
        return FaultRow(fault=fault, done=done, promise="it ends", tried=tried, held=held, seconds=30.4)

    rows = (row("Killed", "at once", 60, 60), row("Killed", "at once", 40, 40), row("Killed", "late", 20, 19))
    rows += (row("Stopped", "at once", 7, 7),)
    return FaultMatrix(rows=rows, machine=MACHINE, versions={"torch": "2.13"}, source_revision="abc")


def test_table_has_a_row_a_fault_and_names_each_kind_once(matrix):
    table = fault_table(matrix)
    assert table["fault"].tolist() == ["Killed", "", "Stopped"]
    assert table["tried"].tolist() == [100, 20, 7]
    assert table["seconds"].tolist() == [61, 30, 30]
    assert table["held"].tolist() == [100, 19, 7]


def test_caption_adds_up(matrix):
    assert fault_caption(matrix) == "*127 tries, 126 held, 2 minutes; P, 1 thread per process; torch 2.13; revision abc.*"


def test_matrix_survives_the_disk_and_another_file_is_refused(matrix, tmp_path):
    (tmp_path / "faults.json").write_text(matrix.model_dump_json())
    assert read_matrix(tmp_path / "faults.json") == matrix
    (tmp_path / "faults.json").write_text("{}")
    with pytest.raises(UserError, match="not a fault matrix: .*; write it with: make faults"):
        read_matrix(tmp_path / "faults.json")


def test_committed_matrix_holds_throughout():
    rows = read_matrix(fault_file()).rows
    assert [(row.fault, row.done) for row in rows if row.held < row.tried] == []
    tried = Counter()
    for row in rows:
        tried[row.fault] += row.tried
    assert min(tried.values()) >= 3
    assert tried["Killed"] >= 100
    assert tried["Senseless input"] >= 10_000
    assert len(tried) >= 13


TRIES = """
import pytest

@pytest.mark.faults("skipped", "at once", "no row")
def test_skipped(attempts):
    pytest.skip("cannot be tried here")

@pytest.mark.faults("idle", "at once", "no row")
def test_idle(attempts):
    pass

@pytest.mark.faults("tried", "at once", "one of three holds")
def test_tried(attempts):
    with attempts.attempt("no error"), pytest.raises(ValueError):
        pass
    with attempts.attempt("an error"):
        raise ValueError
    with attempts.attempt("held"):
        pass
"""


def test_row_counts_what_was_tried_and_what_held(tmp_path):
    shutil.copy(Path(__file__).parent / "faults" / "conftest.py", tmp_path)
    (tmp_path / "test_tries.py").write_text(TRIES)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--faults", "faults.json", "test_tries.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert "2 failed, 1 skipped" in done.stdout, done.stdout
    assert [(row.fault, row.tried, row.held) for row in read_matrix(tmp_path / "faults.json").rows] == [("tried", 3, 1)]
