"""The commands of the groups chapter and book."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastresnet.cli.options import Assignments, DataDir, Edition, Force, book_app, chapter_app, check_overwrite
from fastresnet.errors import UserError

if TYPE_CHECKING:
    from fastresnet.study import Study
    from fastresnet.study.plan import Planned


@chapter_app.command("compare")
def chapter_compare(one: Path, other: Path) -> None:
    """Show what changed between two executed versions of a chapter."""
    from fastresnet.book.comparison import compare

    for line in compare(one, other):
        print(line)


@chapter_app.command("list")
def chapter_list() -> None:
    """List the chapters and their parameters, with the values of the quick edition, types and meanings."""
    from fastresnet.book.notebooks import CHAPTERS
    from fastresnet.study import STUDIES, parameter_lines

    for chapter in CHAPTERS:
        print(chapter)
        for line in parameter_lines(chapter) if chapter in STUDIES else ():
            print(f"  {line}")


@chapter_app.command("run")
def chapter_run(
    name: str,
    edition: Edition = "quick",
    changes: Assignments = None,
    file: Annotated[Path | None, typer.Option("-f", metavar="FILE.yml", help="More values, before those of -p.")] = None,
    output: Annotated[
        str | None, typer.Option("-o", metavar="OUT.ipynb", help="A file or URL; default: _build/chapters/NAME-EDITION.ipynb.")
    ] = None,
    scale: Annotated[
        float | None, typer.Option(help="Factor on the training images and batch size of the runs to train; 0.1: a tenth.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be trained, and about how long.")] = False,
    data_dir: DataDir = None,
    time_limit: Annotated[
        float | None, typer.Option(min=1, max=1e7, help="Most seconds that the notebook may take after training.")
    ] = None,
    force: Force = False,
) -> None:
    """Run a chapter into a new notebook, after training those of its runs that have no record.

    In the quick edition, experiments are shown at the scale that the book shows: from their records if the changes do not touch
    them.
    """
    from fastresnet.book import notebooks
    from fastresnet.config.parsing import parse_assignments
    from fastresnet.study.project import project_root

    own = parse_assignments(changes or [])
    if scale is not None:
        if "scale" in own:
            raise UserError(f"--scale {scale:g}: comes twice, also as -p scale")
        own["scale"] = scale
    parameters = notebooks.chapter_parameters(name, edition, own, file)
    if data_dir and not data_dir.is_dir():
        raise UserError(f"--data-dir {data_dir}: no such folder")
    if output is not None and not output.strip():
        raise UserError("-o: names no file")
    place = output or project_root() / "_build" / "chapters" / f"{name}-{edition}.ipynb"
    if not dry_run:
        if not force:
            check_overwrite("-o", place, file)
        notebooks.check_request(name, place, parameters)
    planned = _say_plan(name, parameters, data_dir) if parameters else []
    if dry_run:
        if not parameters:
            _say(f"{name}: trains nothing")
        return
    _train(planned)
    done = notebooks.run_chapter(name, place, parameters, data_dir=data_dir, time_limit=time_limit, progress=sys.stderr.isatty())
    print(done)


def _say_plan(name: str, parameters: Mapping[str, Any], data_dir: Path | None) -> "list[tuple[Study, Planned]]":
    """Says which runs a chapter has to train and about how long they take; returns these, each with the study that trains it."""
    from fastresnet.report import hardware
    from fastresnet.study import open_chapter
    from fastresnet.study.plan import plan

    study = open_chapter(name, parameters, data_dir=data_dir)
    planned = [(trainer, each) for trainer, each in plan(study) if each.missing]
    _say(f"{name}: {len(planned)} of {len(study.experiments)} experiments have runs to train")
    for _, each in planned:
        cost = f"about {_duration(sum(each.seconds))}" if each.seconds else "no such run is recorded"
        _say(f"  {each.experiment}, {each.edition} edition: {len(each.missing)} of {each.runs} runs to train, {cost}")
    if costs := [cost for _, each in planned for cost in each.seconds]:
        machines = " or ".join(dict.fromkeys(hardware(record) for _, each in planned for record in each.reference_runs))
        which = "in all" if all(each.seconds for _, each in planned) else "as far as known"
        _say(f"  {which}: about {_duration(sum(costs))} of training and evaluation, by the records of {machines}")
        _say("  starting and loading images come on top")
    return planned


def _train(planned: "Sequence[tuple[Study, Planned]]") -> None:
    """Trains what is planned, and says after each run about how long the others take, by the plan and by the time so far."""
    known = all(each.seconds for _, each in planned)
    costs = [cost for _, each in planned for cost in (each.seconds if known else [1.0] * len(each.missing))]
    done, spent = 0, 0.0
    for trainer, each in planned:
        for run, record in trainer.train_missing(each.experiment, progress=sys.stderr.isatty()):
            done, spent = done + 1, spent + record.seconds.train + record.seconds.evaluate
            left = _duration(spent / sum(costs[:done]) * sum(costs[done:]))
            _say(
                f"[{done}/{len(costs)}] {run.experiment} {run.variant}, seed {run.seed}: {record.outcome.status}, "
                f"about {left} left"
            )


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.{int(seconds < 10)}f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


@chapter_app.command("sweep")
def chapter_sweep(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="One chapter or several.")],
    edition: Edition = "quick",
    changes: Assignments = None,
    files: Annotated[
        list[Path] | None, typer.Option("-f", metavar="FILE.yml", help="Values of a version, before those of -p; repeatable.")
    ] = None,
    folder: Annotated[
        str | None, typer.Option("-o", metavar="FOLDER", help="Folder or URL for NAME-FILE.ipynb; default: _build/chapters.")
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Versions at a time.")] = 2,
    data_dir: DataDir = None,
    time_limit: Annotated[float | None, typer.Option(min=1, max=1e7, help="Seconds for each version.")] = None,
    force: Force = False,
) -> None:
    """Run chapters side by side, each once for every file of parameters."""
    from fastresnet.book import notebooks, side_by_side
    from fastresnet.config.parsing import parse_assignments
    from fastresnet.records.folders import open_folder
    from fastresnet.study.project import project_root

    own = parse_assignments(changes or [])
    opened = open_folder(project_root() / "_build" / "chapters" if folder is None else folder)
    opened.check_writable()
    if data_dir and not data_dir.is_dir():
        raise UserError(f"--data-dir {data_dir}: no such folder")
    versions = [
        side_by_side.ChapterRun(
            name,
            notebooks.chapter_parameters(name, edition, own, file),
            opened.place(f"{notebooks.chapter_file(name).stem}-{file.stem if file else edition}.ipynb"),
        )
        for name in names
        for file in files or (None,)
    ]
    outputs = [version.output for version in versions]
    if len(set(outputs)) < len(outputs):
        raise UserError("two versions would have one name; give the files of -f different names, and each chapter once")
    for version in versions:
        if not force:
            check_overwrite("-o", version.output, *(files or ()))
        notebooks.check_request(version.chapter, version.output, version.parameters)
        if version.parameters:
            _say_plan(version.chapter, version.parameters, data_dir)
    for done in side_by_side.run_side_by_side(versions, jobs=jobs, data_dir=data_dir, time_limit=time_limit):
        print(done, flush=True)


@book_app.command("build")
def book_build(
    lenient: Annotated[bool, typer.Option("--lenient", help="Let warnings of Jupyter Book pass.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Run also chapters that nothing has changed for.")] = False,
) -> None:
    """Run every chapter in the quick edition and render the book; print the seconds of each step, and its place.

    What an earlier build made is kept where nothing that it was made from has changed.
    """
    from fastresnet.book.build import book_page, build_book

    for step, seconds in build_book(strict=not lenient, everything=everything):
        print(f"{step:32} {seconds:6.1f} s", flush=True)
    print(book_page())
