"""Runs a chapter with papermill, and checks what papermill does not.

Parameters are checked against the chapter's own types before a kernel starts. The output appears under its name only if
every cell ran, without error and with the parameters asked for. Until then its suffix is `.partial.ipynb`, and after a
failure it is kept with the suffix `.failed.ipynb`. The status in a notebook's metadata is ignored: it says completed after
a time-out, a killed kernel and Ctrl-C as well.
"""

import os
import re
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import nbformat

from fastresnet.config.parsing import read_yaml
from fastresnet.errors import UserError
from fastresnet.records.atomic import named, replacing
from fastresnet.records.folders import Folder, Place, check_file, local_file, open_folder, split_place
from fastresnet.study import STUDIES, declare, edition_parameters, merged, open_chapter, open_study
from fastresnet.study.project import project_root

PARAMETERS_TAG = "parameters"
CHAPTERS = ("preface", *STUDIES, "explorer", "runs", "architectures", "throughput", "faults")
"""The notebooks, in the order of the book. Those without a study of their own have no parameters."""


class ChapterFailed(RuntimeError):
    """A chapter did not run to its end. The message says where it stopped and where the unfinished notebook is."""


def chapter_file(name: str) -> Path:
    """The notebook of a chapter. Raises UserError for an unknown name."""
    if name not in CHAPTERS:
        raise UserError(f"no chapter {name!r}; allowed: {', '.join(CHAPTERS)}")
    return project_root() / "book" / f"{name}.ipynb"


def chapter_parameters(name: str, edition: str, changes: Mapping[str, Any], file: Path | None = None) -> dict[str, Any]:
    """A chapter's parameters: its edition's, replaced by those of `file`, then by `changes`.

    Raises UserError that names each unknown parameter, value that is not allowed, or experiment that they make impossible, and
    a device to train on that is not here.
    """
    chapter_file(name)  # refuses an unknown one
    if name not in STUDIES:
        if changes or file:
            raise UserError(f"chapter {name}: takes no parameters, got {', '.join(changes) or file}")
        if edition != "quick":
            raise UserError(f"--edition {edition}: chapter {name} has no editions; leave it out")
        return {}
    values = edition_parameters(name, edition)
    # what is changed of the quick edition is changed of what the book shows
    original = edition_parameters(name, "cpu" if edition == "quick" else edition)
    shown = dict(original)
    for where, layer in ((str(file), read_yaml(file) if file else {}), (f"parameters of {name}", changes)):
        if "edition" in layer and layer["edition"] != edition:
            raise UserError(f"{where}: edition: choose it with --edition, got {layer['edition']!r}")
        values = merged(
            values, {**layer, "changed": [*values["changed"], *(key for key in layer if key not in values["changed"])]}
        )
        shown = merged(shown, layer)
        declare(name, shown, where, original)
    # an edition's own device is needed only where something is left to train
    if values.get("device") and (
        values["device"] != original.get("device") or open_study(name, edition=edition, parameters=values).missing()
    ):
        from fastresnet.compute.device import choose_device

        choose_device(values["device"])
    return values


def run_chapter(
    name: str,
    output: Place,
    parameters: Mapping[str, Any],
    *,
    data_dir: Path | None = None,
    time_limit: float | None = None,
    progress: bool = False,
) -> Place:
    """Executes a chapter with checked parameters and returns where the executed notebook is: `output`, a path or a URL.

    `time_limit` is for the whole chapter, in seconds. Raises ChapterFailed if a cell fails or the time is over,
    KeyboardInterrupt if it is interrupted, and OSError if the notebook cannot be written. In each case an earlier file under
    the output's name is left as it was.
    """
    import papermill
    from papermill.exceptions import PapermillException

    from fastresnet.book.kernel import own_kernel

    check_request(name, output, parameters)
    source = chapter_file(name)
    where, file = split_place(output)
    folder, failed, partial = open_folder(where), f"{Path(file).stem}.failed.ipynb", _partial(output)
    folder.remove(failed)
    partial.parent.mkdir(parents=True, exist_ok=True)
    try:
        with named(output), _limit(time_limit) as expired, own_kernel(data_dir) as options:
            papermill.execute_notebook(
                _literal(source),
                _literal(partial),
                dict(parameters),
                kernel_name="python3",
                cwd=project_root(),
                progress_bar=progress,
                log_output=False,
                store_widget_state=False,  # a page with widget state loads a script from another host
                **options,
            )
        _remove_paths(partial)
        check_executed(partial, parameters)
    except OSError:
        partial.unlink(missing_ok=True)  # a full disk cuts it short
        raise
    except BaseException as error:
        remains = f"; as far as it got: {_kept(partial, folder, failed)}" if partial.exists() else ""
        if expired.is_set():
            raise ChapterFailed(f"{name}: not done after {time_limit:g} s, stopped{remains}") from None
        if isinstance(error, PapermillException | ChapterFailed | RuntimeError):
            raise ChapterFailed(f"{name}: {_last_line(error)}{remains}") from error
        raise
    try:
        return folder.take(partial, file)
    except UserError as error:
        raise ChapterFailed(f"{name}: done, but not kept: {error}; it is {partial}") from error


def _remove_paths(notebook: Path) -> None:
    """Removes the paths that papermill notes in a notebook's metadata: they are absolute, and the output's is gone at the end."""
    content = nbformat.read(notebook, 4)
    for path in ("input_path", "output_path"):
        content.metadata.papermill.pop(path, None)
    with replacing(notebook) as changed:
        nbformat.write(content, changed)


def check_request(name: str, output: Place, parameters: Mapping[str, Any]) -> None:
    """Raises UserError unless `run_chapter` can run a chapter, write it to `output`, and keep the records of runs it trains."""
    check_source(chapter_file(name), parameters)
    where, file = split_place(output)
    if Path(file).suffix != ".ipynb":
        raise UserError(f"{output}: the output must be named .ipynb")
    open_folder(where).check_writable()
    for path in filter(None, (local_file(output), _partial(output))):
        check_file(path)
    for written in map(str, (chapter_file(name), output)):
        if written.encode(errors="replace").decode() != written:
            raise UserError(f"{written}: papermill writes its paths into a notebook; allowed: a path that is UTF-8 text")
    if name in STUDIES:
        open_chapter(name, parameters).check_page()


def _partial(output: Place) -> Path:
    """The notebook while it runs: beside the output, or in the build folder if the output is not on this machine."""
    file = local_file(output) or project_root() / "_build" / "chapters" / split_place(output)[1]
    return file.with_name(f"{file.stem}.{os.getpid()}.partial.ipynb")


def _literal(path: Path) -> str:
    """A path as text with its braces doubled, since papermill treats them as placeholders."""
    return str(path).replace("{", "{{").replace("}", "}}")


def _kept(partial: Path, folder: Folder, name: str) -> str:
    """Keeps an unfinished chapter and returns its place as text. A failed move is only noted in this text, since the reason why
    the chapter failed matters more."""
    with suppress(OSError, ValueError, AttributeError):  # a notebook that was not finished may be half written
        _remove_paths(partial)
    try:
        return str(folder.take(partial, name))
    except (UserError, OSError) as error:
        return f"{partial}, not kept at {folder.place(name)} ({error})"


def _last_line(error: BaseException) -> str:
    """The last line of an error's message, which names the cause, without the coloured traceback, which may be empty."""
    said = f"{error.ename}: {error.evalue}" if hasattr(error, "ename") and hasattr(error, "evalue") else str(error)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", said)
    lines = [line for line in plain.splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


@contextmanager
def _limit(seconds: float | None) -> Iterator[threading.Event]:
    """Interrupts the main thread after a time, and turns SIGTERM into an interruption, so that kernels are shut down. Yields an
    event that is set once the time is over."""
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        os.kill(os.getpid(), signal.SIGINT)

    def terminate(*_: object) -> None:
        raise KeyboardInterrupt

    timer = threading.Timer(seconds, expire) if seconds else None
    before = signal.signal(signal.SIGTERM, terminate)
    # a shell makes background processes ignore SIGINT, which the limit relies on
    before_interrupt = signal.signal(signal.SIGINT, signal.default_int_handler)
    if timer:
        timer.daemon = True
        timer.start()
    try:
        yield expired
    finally:
        if timer:
            timer.cancel()
        signal.signal(signal.SIGTERM, before)
        signal.signal(signal.SIGINT, before_interrupt)


def check_source(notebook: Path, parameters: Mapping[str, Any]) -> None:
    """Raises UserError unless a notebook has exactly one parameters cell, and that defines all of these parameters.

    Without parameters it needs no such cell.
    """
    cells = [cell for cell in nbformat.read(notebook, 4).cells if PARAMETERS_TAG in cell.metadata.get("tags", [])]
    if not parameters and not cells:
        return
    if len(cells) != 1:
        raise UserError(f"{notebook}: {len(cells)} cells are tagged {PARAMETERS_TAG!r}, exactly one is allowed")
    names = set(re.findall(r"^(\w+)\s*=", cells[0].source, re.MULTILINE))
    unknown = sorted(set(parameters) - names)
    if unknown:
        raise UserError(f"{notebook}: no parameter {', '.join(unknown)}; its cell has {', '.join(sorted(names))}")


def check_executed(notebook: Path, parameters: Mapping[str, Any]) -> None:
    """Raises ChapterFailed unless every cell of an executed notebook ran, without error, with these parameters."""
    executed = nbformat.read(notebook, 4)
    if reason := unfinished(executed):
        raise ChapterFailed(f"{notebook}: {reason}")
    used = executed.metadata.get("papermill", {}).get("parameters")
    if used != dict(parameters):
        raise ChapterFailed(f"{notebook}: was executed with other parameters than asked for")


def unfinished(notebook: nbformat.NotebookNode) -> str | None:
    """Which cell of a notebook was not executed to its end, and why; None if all were."""
    for number, cell in enumerate(notebook.cells, 1):
        if cell.cell_type != "code" or not cell.source.strip():
            continue
        if cell.execution_count is None:
            return f"cell {number} was never executed"
        for out in cell.outputs:
            if out.output_type == "error":
                return f"cell {number} ended in {out.ename}: {out.evalue}"
    return None
