"""A second build of the book does again only what something has changed for."""

from unittest.mock import Mock

import nbformat
import pytest

from fastresnet.book import build, notebooks
from fastresnet.book.notebooks import ChapterFailed

from .conftest import ROOT

BOTH = ["preface", "book"]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with one chapter, whose notebooks and pages are only pretended to be made."""
    for file in ("fastresnet/code.py", "params/quick/preface.yml", "results/a/b/c.json", "book/glossary.md", "_config.yml"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("as it was")
    (tmp_path / "_toc.yml").touch()
    (tmp_path / "book" / "preface.ipynb").write_bytes((ROOT / "book" / "preface.ipynb").read_bytes())
    for module in (build, notebooks):
        monkeypatch.setattr(module, "project_root", lambda: tmp_path)
    monkeypatch.setattr(build, "CHAPTERS", ("preface",))
    monkeypatch.setattr(build, "live_results", lambda: tmp_path / "_build" / "live")
    monkeypatch.setattr(build, "is_committed", lambda _: False)
    return tmp_path


@pytest.fixture
def steps(project, monkeypatch):
    """Builds the book and returns the steps that were taken."""

    def run(versions, **_):
        for version in versions:
            notebook = nbformat.read(project / "book" / "preface.ipynb", 4)
            for cell in notebook.cells:
                cell["execution_count"] = 1
            notebook.metadata["papermill"] = {"parameters": {}, "duration": 1.0}
            version.output.parent.mkdir(parents=True, exist_ok=True)
            nbformat.write(notebook, version.output)
            yield version.output

    def render(source, output, *, strict):
        (output / "_build" / "html").mkdir()
        build.book_page().touch()

    monkeypatch.setattr(build, "run_side_by_side", run)
    monkeypatch.setattr(build, "render", render)
    return lambda **how: [name.removeprefix("chapter ") for name, _ in build.build_book(**how)]


@pytest.mark.parametrize(
    ("changed", "again"),
    [
        (None, []),
        ("fastresnet/code.py", BOTH),
        ("fastresnet/new.js", BOTH),
        ("fastresnet/__pycache__/code.cpython-311.pyc", []),
        ("params/quick/preface.yml", BOTH),
        ("results/a/b/c.json", BOTH),
        ("results/a/b/d.json", BOTH),
        ("results/a/b/d.json.0.partial", []),
        ("_build/chapters/preface.ipynb", BOTH),
        ("book/glossary.md", ["book"]),
        ("_config.yml", ["book"]),
    ],
)
def test_what_has_changed_decides_what_is_made_again(project, steps, changed, again):
    assert steps() == BOTH
    if changed:
        (project / changed).parent.mkdir(exist_ok=True)
        (project / changed).write_text("changed")
    assert steps() == again
    assert steps() == []
    assert steps(everything=True) == BOTH


def test_other_packages_make_everything_again(steps, monkeypatch):
    steps()
    monkeypatch.setattr(build.metadata, "distributions", lambda: ())
    assert steps() == BOTH


def test_strictness_is_part_of_the_page(steps):
    steps(strict=False)
    assert steps(strict=True) == ["book"]


def test_changed_notebook_trains_its_runs_anew(project, steps):
    steps()
    (project / "_build" / "live" / "preface").mkdir(parents=True)
    (project / "_build" / "live" / "other").mkdir()
    notebook = project / "book" / "preface.ipynb"
    notebook.write_text(notebook.read_text() + "\n")
    assert steps() == BOTH
    assert [each.name for each in (project / "_build" / "live").iterdir()] == ["other"]


def test_failure_leaves_no_page_and_is_tried_again(project, steps, monkeypatch):
    steps()
    (project / "fastresnet" / "code.py").write_text("changed")
    with monkeypatch.context() as patch:
        patch.setattr(build, "run_side_by_side", Mock(side_effect=ChapterFailed("no")))
        with pytest.raises(ChapterFailed):
            steps()
    assert not build.book_page().exists()
    assert steps() == BOTH


def test_page_that_was_removed_is_made_again(steps):
    steps()
    build.book_page().unlink()
    assert steps() == ["book"]
