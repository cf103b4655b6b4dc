"""Exports the study's record as a spreadsheet or a table, for work in other programs.

    write_export(Path("study.xlsx"))

A workbook has one sheet per experiment, in the study's order, with one row per epoch, like the original report's lost
spreadsheets. CSV and Parquet have one row per run, with its whole configuration.
"""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pandas as pd

from fastresnet.errors import UserError
from fastresnet.records.atomic import replacing
from fastresnet.records.folders import Place, check_file
from fastresnet.records.store import check_records, load_frame
from fastresnet.study import STUDIES, Results, opened_editions
from fastresnet.study.project import committed_results

FORMATS = (".xlsx", ".csv", ".parquet")


def write_export(path: Path, place: Place | None = None) -> int:
    """Writes the committed record, or the record in a folder or at a URL, to a file; returns the number of sheets or rows.

    The file is written whole or not at all. Raises UserError for a suffix that is not in `FORMATS`, a folder that does not
    exist, a place without records, or a missing package.
    """
    if path.suffix not in FORMATS:
        raise UserError(f"{path}: must end in {', '.join(FORMATS)}")
    if path.is_dir() or not path.parent.is_dir():
        raise UserError(f"{path}: must name a file in a folder that exists")
    check_file(path)
    place = committed_results() if place is None else place
    check_records(place)
    content = io.BytesIO()  # in memory first: a workbook cut short by a full disk raises again when it is garbage-collected
    with replacing(path) as partial:
        count = _write_workbook(content, place) if path.suffix == ".xlsx" else _write_table(content, place, path.suffix)
        partial.write_bytes(content.getbuffer())
    return count


def _write_table(file: BinaryIO, place: Place, suffix: str) -> int:
    frame = load_frame(place).apply(_one_type)
    write = frame.to_csv if suffix == ".csv" else frame.to_parquet
    write(file, index=False)
    return len(frame)


def _one_type(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """A column with lists or mappings, such as a schedule, as JSON text throughout: both formats need one type per column."""
    nested = column.map(lambda value: isinstance(value, dict | list | tuple))
    return column.map(json.dumps, na_action="ignore") if nested.any() else column


def _write_workbook(file: BinaryIO, place: Place) -> int:
    try:
        import openpyxl  # noqa: F401  # pandas writes workbooks with it
    except ModuleNotFoundError as error:
        raise UserError(".xlsx: openpyxl is not installed; get it with: pip install 'fastresnet[book]'") from error
    sheets = list(best_records(place))
    if not sheets:
        raise UserError(
            f"{place}: has no experiment as its edition declares it, for every variant; runs of other parameters, or of a part "
            "of the variants, go into a .csv or .parquet"
        )
    contents = pd.DataFrame(
        {
            "sheet": results.experiment.id,
            "study": study,
            "question": results.experiment.question,
            "edition": results.edition,
            "variants": len(results.records),
            "runs": sum(map(len, results.records.values())),
        }
        for study, results in sheets
    )
    with pd.ExcelWriter(file, engine="openpyxl") as writer:
        contents.to_excel(writer, sheet_name="contents", index=False)
        for _, results in sheets:
            results.epochs().to_excel(writer, sheet_name=results.experiment.id, index=False)
    return len(sheets) + 1


def best_records(place: Place | None = None) -> Iterator[tuple[str, Results]]:
    """Yields study and results of every experiment, from the largest edition that has some seed recorded for every variant.
    Records are the committed ones, or those at `place`."""
    for name in STUDIES:
        editions = opened_editions(name, place)
        ids = dict.fromkeys(experiment for study in editions for experiment in study.experiments)
        for experiment in ids:
            asked = (study for study in editions if experiment in study.experiments)
            if found := next(filter(None, (study.recorded(experiment) for study in asked)), None):
                yield name, found
