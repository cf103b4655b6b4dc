"""What changed between two versions of a chapter."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from fastresnet.book.comparison import compare
from fastresnet.errors import UserError

from .conftest import command, command_here, refused


def chapter(path, *, epochs, verdict, title="# A chapter"):
    text = new_output("display_data", data={"text/markdown": f"So? **{verdict}.** It is so.\n\nn = 3"})
    picture = new_output("display_data", data={"text/plain": f"<Figure size 640x480 with {epochs} Axes>"})
    cells = [
        new_markdown_cell(title, id="title"),
        new_markdown_cell("## F1 · A question", id="head"),
        new_code_cell("f()", id="same", execution_count=1, outputs=[new_output("stream", text="always so\n"), picture]),
        new_code_cell("g()", id="verdict", execution_count=2, outputs=[text]),
    ]
    notebook = new_notebook(cells=cells, metadata={"papermill": {"parameters": {"epochs": epochs, "seeds": [0]}}})
    nbformat.write(notebook, path)
    return path


def test_changed_parameters_and_outputs_are_shown_below_their_heading(tmp_path):
    one = chapter(tmp_path / "one.ipynb", epochs=1, verdict="Yes")
    other = chapter(tmp_path / "other.ipynb", epochs=2, verdict="No")
    assert list(compare(one, other)) == [
        "epochs: 1 -> 2",
        "\n## F1 · A question",
        "  - So? **Yes.** It is so.",
        "  + So? **No.** It is so.",
    ]


def test_rows_of_tables_in_html_are_compared_and_lines_of_dashes_too(tmp_path):
    def shown(value):
        html = f"<style>td {{}}</style><table><tr><th>a</th></tr><tr><td>-- {value}</td><td>&lt;2</td></tr></table>"
        data = {"text/html": html, "text/plain": "<IPython.core.display.HTML object>"}
        cell = new_code_cell("f()", id="table", execution_count=1, outputs=[new_output("display_data", data=data)])
        notebook = new_notebook(cells=[new_markdown_cell("# A"), cell], metadata={"papermill": {}})
        nbformat.write(notebook, tmp_path / f"{value}.ipynb")
        return tmp_path / f"{value}.ipynb"

    assert list(compare(shown(1), shown(2)))[1:] == ["  - -- 1 <2", "  + -- 2 <2"]


def test_equal_chapters_have_nothing_to_show(tmp_path):
    one = chapter(tmp_path / "one.ipynb", epochs=1, verdict="Yes")
    assert list(compare(one, one)) == []
    done = command("chapter", "compare", one, one)
    assert (done.returncode, done.stdout) == (0, "")


def test_cells_of_one_version_alone_are_counted(tmp_path):
    one = chapter(tmp_path / "one.ipynb", epochs=1, verdict="Yes")
    longer = nbformat.read(one, 4)
    longer.cells.append(new_code_cell("h()", id="more", execution_count=3, outputs=[]))
    nbformat.write(longer, tmp_path / "longer.ipynb")
    said = [f"\n{tmp_path / 'longer.ipynb'}: 1 cell that the other version does not have"]
    assert list(compare(one, tmp_path / "longer.ipynb")) == list(compare(tmp_path / "longer.ipynb", one)) == said


def test_what_is_no_version_of_the_chapter_is_refused(tmp_path):
    one = chapter(tmp_path / "one.ipynb", epochs=1, verdict="Yes")
    stranger = chapter(tmp_path / "stranger.ipynb", epochs=1, verdict="Yes", title="# Another")
    assert "not the same chapter: 'A chapter' and 'Another'" in refused(command_here("chapter", "compare", one, stranger))
    (tmp_path / "text.ipynb").write_text("no notebook")
    with pytest.raises(UserError, match="not a notebook"):
        list(compare(one, tmp_path / "text.ipynb"))
    with pytest.raises(UserError, match="missing.ipynb: no such file"):
        list(compare(one, tmp_path / "missing.ipynb"))
    fresh = nbformat.read(one, 4)
    del fresh.metadata["papermill"]
    nbformat.write(fresh, tmp_path / "fresh.ipynb")
    with pytest.raises(UserError, match="was never run"):
        list(compare(one, tmp_path / "fresh.ipynb"))


def test_notebook_whose_cells_have_no_ids_is_refused(tmp_path):
    one, other = (chapter(tmp_path / f"{name}.ipynb", epochs=1, verdict="Yes") for name in ("one", "other"))
    notebook = nbformat.read(other, 4)
    notebook.nbformat_minor = 4
    for cell in notebook.cells:
        del cell["id"]
    nbformat.write(notebook, other)
    with pytest.raises(UserError, match=r"other\.ipynb: its cells have no ids"):
        list(compare(one, other))


def test_cell_that_became_a_text_is_one_of_one_version_alone(tmp_path):
    one, other = (chapter(tmp_path / f"{name}.ipynb", epochs=1, verdict="Yes") for name in ("one", "other"))
    notebook = nbformat.read(other, 4)
    notebook.cells[2] = new_markdown_cell("So it was.", id="same")
    nbformat.write(notebook, other)
    assert list(compare(one, other)) == [f"\n{one}: 1 cell that the other version does not have"]


def test_chapter_that_did_not_run_to_its_end_is_refused(tmp_path):
    one = chapter(tmp_path / "one.ipynb", epochs=1, verdict="Yes")
    for name, change, reason in (
        ("stopped", {"execution_count": None}, "cell 3 was never executed"),
        ("failed", {"outputs": [new_output("error", ename="KeyError", evalue="'F9'")]}, "cell 3 ended in KeyError: 'F9'"),
    ):
        notebook = nbformat.read(one, 4)
        notebook.cells[2] |= change
        nbformat.write(notebook, tmp_path / f"{name}.ipynb")
        with pytest.raises(UserError, match=f"{name}.ipynb: {reason}"):
            list(compare(one, tmp_path / f"{name}.ipynb"))
