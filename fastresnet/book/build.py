"""The book: every chapter run, checked, and rendered by Jupyter Book into `_build/html`.

What an earlier build made is kept as long as nothing that it was made from has changed: the chapter's notebook and parameters,
the records, the code, and the packages.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

import nbformat

from fastresnet.book.notebooks import CHAPTERS, ChapterFailed, chapter_file, chapter_parameters, check_executed
from fastresnet.book.side_by_side import ChapterRun, run_side_by_side
from fastresnet.compute.surroundings import environment_without_user_settings
from fastresnet.errors import UserError
from fastresnet.records.atomic import claimed
from fastresnet.records.folders import LocalFolder
from fastresnet.study.project import is_committed, live_results, project_root

TIME_LIMIT_SECONDS = 600.0
"""Time limit per chapter. A chapter of the quick edition takes well under a minute."""
_JOBS = 4
"""Most chapters at a time: a kernel takes about a GiB of memory."""


def book_page() -> Path:
    """The first page of the built book."""
    return project_root() / "_build" / "html" / "index.html"


def build_book(*, strict: bool = True, everything: bool = False) -> Iterator[tuple[str, float]]:
    """Runs chapters in the quick edition, one per core, and renders the book; yields each step when it is done, with its seconds.

    A chapter is run only if something that it is made from has changed since it was, and the book rendered only if a page has;
    with `everything`, both are always done. A chapter that is run trains its runs of the quick edition anew. With `strict` a
    warning fails the build. Raises ChapterFailed if a chapter or the rendering fails. The page of an earlier build is then gone,
    so that it cannot pass for a new one.
    """
    build = project_root() / "_build"
    LocalFolder(build).check_writable()
    build.mkdir(exist_ok=True)
    with claimed(build / "html") as alone:
        if not alone:
            raise UserError(f"{build / 'html.lock'}: another build of this book is running")
        yield from _build(build, strict=strict, everything=everything)


def _build(build: Path, *, strict: bool, everything: bool) -> Iterator[tuple[str, float]]:
    root = build.parent
    html, source, chapters = (build / name for name in ("html", "source", "chapters"))
    for place in (html, source, chapters, live_results()):
        if is_committed(place):
            raise UserError(f"{place}: leads to files of the checkout, which a build would remove")
    packages = sorted(f"{each.name} {each.version}" for each in metadata.distributions())
    files = _digest(each for folder in ("fastresnet", "params", "results") for each in (root / folder).rglob("*"))
    common = hashlib.sha256(f"{sys.version} {packages} {files}".encode()).hexdigest()
    made_from = {name: f"{common} {_digest([chapter_file(name)])}" for name in CHAPTERS}
    stale = [name for name in CHAPTERS if everything or not _is_made(chapters / f"{name}.ipynb", made_from[name])]
    if stale:
        shutil.rmtree(html, ignore_errors=True)
    for name in stale:
        shutil.rmtree(live_results() / name, ignore_errors=True)
    versions = [ChapterRun(name, chapter_parameters(name, "quick", {}), chapters / f"{name}.ipynb") for name in stale]
    for file in map(Path, run_side_by_side(versions, jobs=min(os.cpu_count() or 1, _JOBS), time_limit=TIME_LIMIT_SECONDS)):
        _note(file, made_from[file.stem])
        yield f"chapter {file.stem}", nbformat.read(file, 4).metadata.papermill.duration
    start = time.perf_counter()
    shutil.rmtree(source, ignore_errors=True)
    stage(root, build)
    pages = f"{common} {_digest(source.rglob('*'))} {strict}"
    if everything or not _is_made(html / "index.html", pages):
        shutil.rmtree(html, ignore_errors=True)
        render(source, root, strict=strict)
        _note(html / "index.html", pages)
        yield "book", time.perf_counter() - start


def _digest(files: Iterable[Path]) -> str:
    """A digest of the names and contents of files."""
    digest = hashlib.sha256()
    # not what Python caches, nor what somebody who writes a file has beside it for a moment
    for file in sorted(each for each in files if each.suffix not in (".pyc", ".partial", ".lock") and each.is_file()):
        digest.update(f"\0{file}\0".encode(errors="surrogateescape"))
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _is_made(file: Path, made_from: str) -> bool:
    """Whether a file is as a build left it that had inputs with the digest `made_from`."""
    note = _note_of(file)
    return file.exists() and note.exists() and note.read_text() == f"{made_from} {_digest([file])}"


def _note(file: Path, made_from: str) -> None:
    _note_of(file).write_text(f"{made_from} {_digest([file])}")


def _note_of(file: Path) -> Path:
    return file.with_name(f".{file.name}.made-from")


def stage(root: Path, build: Path) -> None:
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
    done = subprocess.run(
        command, capture_output=True, encoding="utf-8", errors="replace", env=environment_without_user_settings()
    )
    if done.returncode != 0:
        shutil.rmtree(output / "_build" / "html", ignore_errors=True)
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise ChapterFailed(f"jupyter-book ended with exit code {done.returncode}:\n{tail}")
