"""Compares two executed versions of a chapter: parameters, verdicts, tables and texts."""

import difflib
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import nbformat

from fastresnet.book.notebooks import unfinished
from fastresnet.errors import UserError


def compare(one: Path, other: Path) -> Iterator[str]:
    """Yields lines that say what changed between two executed versions of a chapter, below the headings of their sections.

    Raises UserError for a file that is not an executed notebook, or for files of two different chapters.
    """
    first, second = _executed(one), _executed(other)
    if _title(first) != _title(second):
        raise UserError(f"{one} and {other}: not the same chapter: {_title(first)!r} and {_title(second)!r}")
    yield from _changed_parameters(first, second)
    after = {cell.id: cell for cell in second.cells if cell.cell_type == "code"}
    heading = told = ""
    for cell in first.cells:
        if cell.cell_type == "markdown":
            heading = next((line for line in cell.source.splitlines() if line.startswith("#")), heading)
        elif cell.id in after and (lines := list(_changed_lines(_shown(cell), _shown(after[cell.id])))):
            if heading != told:
                told = heading
                yield f"\n{heading}"
            yield from lines
    own, others = ({cell.id for cell in notebook.cells if cell.cell_type == "code"} for notebook in (first, second))
    for path, alone in ((one, len(own - others)), (other, len(others - own))):
        if alone:
            yield f"\n{path}: {alone} cell{'s' * (alone != 1)} that the other version does not have"


def _executed(path: Path) -> nbformat.NotebookNode:
    try:
        notebook = nbformat.read(path, 4)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file") from error
    except Exception as error:  # nbformat raises many types, json's and its own
        raise UserError(f"{path}: not a notebook ({type(error).__name__})") from error
    if "papermill" not in notebook.metadata:
        raise UserError(f"{path}: was never run; get one with: fastresnet chapter run NAME -o FILE.ipynb")
    if any("id" not in cell for cell in notebook.cells):
        raise UserError(f"{path}: its cells have no ids; allowed: notebooks of format 4.5 or later")
    if reason := unfinished(notebook):
        raise UserError(f"{path}: {reason}; only chapters that ran to their end are compared")
    return notebook


def _title(notebook: nbformat.NotebookNode) -> str:
    lines = (line for cell in notebook.cells if cell.cell_type == "markdown" for line in cell.source.splitlines())
    return next((line.removeprefix("# ") for line in lines if line.startswith("# ")), "")


def _changed_parameters(first: nbformat.NotebookNode, second: nbformat.NotebookNode) -> Iterator[str]:
    before, after = (notebook.metadata.papermill.get("parameters", {}) for notebook in (first, second))
    for name in dict.fromkeys([*before, *after]):
        if before.get(name) != after.get(name):
            yield f"{name}: {before.get(name)} -> {after.get(name)}"


def _shown(cell: nbformat.NotebookNode) -> list[str]:
    """The lines of text in a cell's outputs, one per row of a table; pictures have none."""
    lines = []
    for output in cell.outputs:
        data = output.get("data", {})
        text = data.get("text/markdown") or _rows(data.get("text/html", "")) or data.get("text/plain") or output.get("text", "")
        lines += [line.rstrip() for line in text.splitlines() if not re.match(r"<.* at 0x[0-9a-f]+>|<Figure ", line)]
    return lines


def _rows(html: str) -> str:
    """The text of some HTML, without scripts and styles, with a line for each row of its tables."""
    rows = re.sub(r"(?s)<(script|style)\b.*?</\1>", "", html).split("</tr>")
    return "\n".join(filter(None, (" ".join(unescape(re.sub(r"(?s)<[^>]*>", " ", row)).split()) for row in rows)))


def _changed_lines(before: list[str], after: list[str]) -> Iterator[str]:
    changes = list(difflib.unified_diff(before, after, lineterm="", n=0))[2:]  # the first two lines name the files
    yield from (f"  {line[0]} {line[1:]}" for line in changes if not line.startswith("@@"))
