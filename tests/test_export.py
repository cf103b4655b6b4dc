"""The record as a workbook or a table."""

import pandas as pd
import pytest

from fastresnet.records.store import load_frame
from fastresnet.report.export import FORMATS, best_records, write_export
from fastresnet.study.project import committed_results

from .conftest import command_here, no_more_than, refused


@pytest.fixture(scope="module")
def workbook(tmp_path_factory):
    pytest.importorskip("openpyxl")
    path = tmp_path_factory.mktemp("export") / "study.xlsx"
    sheets = write_export(path)
    read = pd.read_excel(path, sheet_name=None)
    assert len(read) == sheets
    return read


def test_workbook_has_a_sheet_an_experiment_in_the_studys_order(workbook):
    ids = [results.experiment.id for _, results in best_records()]
    assert list(workbook) == ["contents", *ids]
    assert list(workbook["contents"]["sheet"]) == ids
    positions = [ids.index(name) for name in ("M2a", "F8", "C7", "C13", "fashion-80")]
    assert positions == sorted(positions)


def test_sheet_holds_every_epoch_of_every_run(workbook):
    results = next(results for _, results in best_records() if results.experiment.id == "F8")
    sheet = workbook["F8"]
    assert len(sheet) == sum(len(record.epochs) for records in results.records.values() for record in records)
    assert sheet["test_accuracy"].tolist() == pytest.approx(results.epochs()["test_accuracy"].tolist())


@pytest.mark.parametrize(("suffix", "read"), [(".csv", pd.read_csv), (".parquet", pd.read_parquet)])
def test_table_has_a_row_a_run_with_its_configuration(tmp_path, suffix, read):
    path = tmp_path / f"study{suffix}"
    written = write_export(path)
    table, expected = read(path), load_frame(committed_results())
    assert len(table) == written == len(expected)
    assert set(table.columns) == set(expected.columns)
    assert table["test_accuracy"].tolist() == pytest.approx(expected["test_accuracy"].astype(float).tolist(), nan_ok=True)
    assert '"kind"' in table["train.schedule"].iloc[0]


@pytest.mark.slow
@pytest.mark.parametrize("suffix", FORMATS)
def test_file_is_replaced_whole_or_not_at_all(tmp_path, suffix):
    """Beside it lies what a user may well have named so."""
    path, other = tmp_path / f"study{suffix}", tmp_path / f"study.partial{suffix}"
    write_export(path)
    size = path.stat().st_size
    for each in (path, other):
        each.write_text("old")
    with no_more_than(size * 9 // 10), pytest.raises(OSError, match="File too large") as raised:
        write_export(path)
    assert raised.value.filename == str(path)
    assert path.read_text() == "old"
    write_export(path)
    assert path.read_bytes()[:3] != b"old"
    assert other.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 2


def test_impossible_files_are_refused(tmp_path):
    assert "must end in .xlsx, .csv, .parquet" in refused(command_here("study", "export", tmp_path / "study.ods"))
    assert "a folder that exists" in refused(command_here("study", "export", tmp_path / "nowhere" / "study.csv"))
    assert not list(tmp_path.iterdir())
    (tmp_path / "pipe.csv").symlink_to("/dev/null")
    assert "pipe.csv: must name a file" in refused(command_here("study", "export", tmp_path / "pipe.csv"))
