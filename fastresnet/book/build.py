"""The book: every chapter run, checked, and rendered by Jupyter Book into `_build/html`."""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat

from fastresnet.book.notebooks import CHAPTERS, ChapterFailed, chapter_parameters, check_executed, run_chapter
from fastresnet.compute.surroundings import environment_of_its_own
from fastresnet.errors import UserError
from fastresnet.study.project import is_committed, live_results, project_root

TIME_LIMIT_SECONDS = 600.0
"""Time limit per chapter. A chapter of the quick edition takes well under a minute."""


class Steps:
    """Times the steps of a build: seconds by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Times the block as a step of this name."""
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start


def build_book(*, strict: bool = True) -> tuple[Path, dict[str, float]]:
    """Runs all chapters in the quick edition and renders the book; returns its first page and the seconds of each step.

    The runs of the quick edition are trained anew each time. With `strict` a warning fails the build. Raises ChapterFailed if a
    chapter or the rendering fails. The page of an earlier build is then gone, so that it cannot pass for a new one.
    """
    root = project_root()
    build = root / "_build"
    for stale in (build / "html", build / "source", build / "chapters", live_results()):
        if is_committed(stale):
            raise UserError(f"{stale}: leads to files of the checkout, which a build would remove")
        shutil.rmtree(stale, ignore_errors=True)
    steps = Steps()
    for name in CHAPTERS:
        with steps.step(f"chapter {name}"):
            parameters = chapter_parameters(name, "quick", {})
            run_chapter(name, build / "chapters" / f"{name}.ipynb", parameters, time_limit=TIME_LIMIT_SECONDS)
    source = stage(root, build)
    with steps.step("book"):
        render(source, root, strict=strict)
    return build / "html" / "index.html", steps.seconds


def stage(root: Path, build: Path) -> Path:
    """Gathers the sources of the book: its pages, and the executed copy of each chapter, checked once more."""
    source = build / "source"
    shutil.copytree(root / "book", source / "book", ignore=shutil.ignore_patterns("*.ipynb", ".ipynb_checkpoints"))
    shutil.copytree(root / "params", source / "params")  # pages show some of them
    for file in ("_config.yml", "_toc.yml"):
        shutil.copy(root / file, source / file)
    for name in CHAPTERS:
        executed = build / "chapters" / f"{name}.ipynb"
        check_executed(executed, chapter_parameters(name, "quick", {}))
        nbformat.write(_for_the_page(nbformat.read(executed, 4)), source / "book" / executed.name)
    return source


def _for_the_page(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Leaves out the parameters that papermill injected, and copies each figure's description from its output to its cell, where
    MyST-NB looks for it."""
    for cell in notebook.cells:
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.metadata["tags"].append("remove-cell")
        for output in cell.get("outputs", []):
            if alt := output.get("metadata", {}).get("image/svg+xml", {}).get("alt"):
                cell.metadata["mystnb"] = {"image": {"alt": alt}}
    return notebook


def render(source: Path, output: Path, *, strict: bool) -> None:
    """Renders the book by Jupyter Book. Raises ChapterFailed with the end of its output if it fails or, with `strict`, warns."""
    command = [sys.executable, "-X", "utf8", "-c", "from jupyter_book.cli.main import main; main()", "build", str(source)]
    command += ["--path-output", str(output), "--all", "--quiet"] + (["-W", "--keep-going"] if strict else [])
    done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", env=environment_of_its_own())
    if done.returncode != 0:
        shutil.rmtree(output / "_build" / "html", ignore_errors=True)
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise ChapterFailed(f"jupyter-book ended with exit code {done.returncode}:\n{tail}")
