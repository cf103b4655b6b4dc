"""The commands of the groups study, chapter and book."""

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from fastresnet.cli.options import (
    AsJson,
    Assignments,
    DataDir,
    Device,
    Edition,
    Force,
    book_app,
    chapter_app,
    check_kept,
    print_table,
    study_app,
)
from fastresnet.config.seeds import check_seed
from fastresnet.errors import UserError


@study_app.command("list")
def study_list() -> None:
    """List the studies and the questions of their experiments."""
    from fastresnet.study import STUDIES, open_study

    for study in STUDIES:
        print(study)
        for experiment in open_study(study, edition="cpu").experiments.values():
            print(f"  {experiment.id:4} {experiment.question}")


@study_app.command("run")
def study_run(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="One study or several.")],
    edition: Edition = "quick",
    only: Annotated[str | None, typer.Option(metavar="EXPERIMENT", help="One experiment, by its id.")] = None,
    first: Annotated[
        list[str] | None,
        typer.Option(metavar="EXPERIMENT", help="Train seed by seed, and within a seed this experiment first; may be repeated."),
    ] = None,
    changes: Assignments = None,
    data_dir: DataDir = None,
    device: Device = None,
    results: Annotated[
        str | None, typer.Option(help="Folder, or URL, to look for records and to keep new ones in, instead of the study's own.")
    ] = None,
    dask: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS|local|SLURM.yml", help="Spread the runs: over a Dask cluster, this machine, SLURM's jobs."),
    ] = None,
) -> None:
    """Train the runs of studies that have no record; an interrupted study continues where it stopped."""
    from fastresnet.config.parsing import parse_assignments
    from fastresnet.study import by_seed, open_study, train_all, unanswered

    parameters = parse_assignments(changes or [])
    if "edition" in parameters:
        raise UserError("-p edition: choose the edition with --edition")
    if device:
        parameters["device"] = device
    studies = [open_study(name, edition=edition, parameters=parameters, results=results, data_dir=data_dir) for name in names]
    runs = [run for study in studies for run in study.runs(only)]
    if unknown := set(first or []) - {run.experiment for run in runs}:
        raise UserError(f"--first {min(unknown)}: no such experiment in {', '.join(names)}")
    store = studies[0].store  # studies of one edition with the same parameters share a store
    store.check_writable()
    missing = unanswered(by_seed(runs, first) if first else runs, store)
    print(f"{', '.join(names)}, {edition} edition: {len(runs)} runs wanted, {len(missing)} to train", flush=True)
    trained = train_all(missing, store, data_dir, studies[0].device, progress=sys.stderr.isatty(), dask=dask)
    for done, (run, record) in enumerate(trained, 1):
        accuracy = "-" if record.test_accuracy is None else f"{record.test_accuracy:.2%}"
        print(
            f"[{done}/{len(missing)}] {run.experiment} {run.variant}, seed {run.seed}: {record.outcome.status}, "
            f"accuracy {accuracy}, {record.seconds.train:.1f} s of training",
            flush=True,
        )


@study_app.command("status")
def study_status(
    as_json: AsJson = False,
    results: Annotated[str | None, typer.Option(help="Folder, or URL, of records to count, instead of the study's own.")] = None,
) -> None:
    """Count the runs wanted and recorded, by study, edition and experiment."""
    from fastresnet.study import STUDIES, open_study
    from fastresnet.study.project import editions_of
    from fastresnet.study.status import status

    rows = status([open_study(study, edition=edition, results=results) for study in STUDIES for edition in editions_of(study)])
    if as_json:
        print(json.dumps(rows, indent=1))
    else:
        print_table(tuple(rows[0]), [tuple(map(str, row.values())) for row in rows])


@study_app.command("verify")
def study_verify(
    sample: Annotated[int, typer.Option(min=1, help="Variants drawn at random and trained once more.")] = 5,
    study: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only of this study; may be repeated.")] = None,
    longest: Annotated[float, typer.Option(min=0, metavar="SECONDS", help="Only runs that took no longer than this.")] = 300.0,
    margin: Annotated[float, typer.Option(min=0, max=100, metavar="POINTS", help="Difference of accuracy allowed.")] = 3.0,
    seed: Annotated[int | None, typer.Option(help="Draw the same variants and seeds again.")] = None,
    data_dir: DataDir = None,
    device: Device = None,
) -> None:
    """Train a random sample of recorded runs again with fresh seeds; exit code 1 unless they agree with the record."""
    from fastresnet.report import verification
    from fastresnet.study import find_study

    if seed is not None:
        check_seed(seed)
    for name in study or []:
        find_study(name)
    drawn = verification.draw(sample, studies=study or [], longest=longest, seed=seed)
    done = []
    for each in verification.recheck(drawn, data_dir=data_dir, device=device, seed=seed):
        done.append(each)
        candidate, accuracy = each.candidate, each.record.test_accuracy
        print(
            f"[{len(done)}/{sample}] {candidate.study} {candidate.experiment} {candidate.variant}, seed {each.record.seed}: "
            f"{'-' if accuracy is None else f'{accuracy:.2%}'}, recorded {candidate.recorded_accuracy:.2%} "
            f"(n = {len(candidate.records)})",
            flush=True,
        )
    verdict = verification.judge(done, margin / 100)
    print(f"{verdict.question} {verdict.outcome.capitalize()}. {verdict.found} {verdict.statistics}".rstrip())
    if verdict.outcome != "yes":
        raise typer.Exit(1)


@study_app.command("export")
def study_export(
    file: Annotated[Path, typer.Argument(help="FILE.xlsx: one sheet per experiment; .csv or .parquet: one row per run.")],
    results: Annotated[str | None, typer.Option(help="Folder, or URL, of records, instead of the study's own.")] = None,
    force: Force = False,
) -> None:
    """Write the study's record to a workbook or a table."""
    from fastresnet.report.export import write_export

    if not force:
        check_kept("FILE", file, Path(results) if results else None)
    count = write_export(file, results)
    print(f"{file}: {count} {'sheets' if file.suffix == '.xlsx' else 'runs'}")


@chapter_app.command("compare")
def chapter_compare(one: Path, other: Path) -> None:
    """Show what changed between two executed versions of a chapter."""
    from fastresnet.book.comparison import compare

    for line in compare(one, other):
        print(line)


@chapter_app.command("list")
def chapter_list() -> None:
    """List the chapters and their parameters, with the values of the quick edition."""
    from fastresnet.book.notebooks import CHAPTERS, chapter_parameters

    for chapter in CHAPTERS:
        print(chapter)
        for key, value in chapter_parameters(chapter, "quick", {}).items():
            print(f"  {key} = {json.dumps(value)}")


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
    time_limit: Annotated[float | None, typer.Option(min=1, help="Seconds for the chapter, once its runs are trained.")] = None,
    force: Force = False,
) -> None:
    """Run a chapter into a new notebook, after training those of its runs that have no record.

    Experiments that the changes do not touch are shown as the book shows them, from their records.
    """
    from fastresnet.book import notebooks
    from fastresnet.config.parsing import parse_assignments
    from fastresnet.study.project import project_root

    notebooks.chapter_file(name)
    own = parse_assignments(changes or []) | ({} if scale is None else {"scale": scale})
    parameters = notebooks.chapter_parameters(name, edition, own, file)
    if data_dir and not data_dir.is_dir():
        raise UserError(f"--data-dir {data_dir}: no such folder")
    place = output or project_root() / "_build" / "chapters" / f"{name}-{edition}.ipynb"
    if not dry_run:
        if not force:
            check_kept("-o", place, file)
        notebooks.check_request(name, place, parameters)
    if parameters:
        _train_planned(name, parameters, data_dir, dry_run=dry_run)
    if dry_run:
        return
    done = notebooks.run_chapter(name, place, parameters, data_dir=data_dir, time_limit=time_limit, progress=sys.stderr.isatty())
    print(done)


def _train_planned(name: str, parameters: dict[str, Any], data_dir: Path | None, *, dry_run: bool) -> None:
    """Says which runs a chapter needs and about how long they take, and trains them."""
    from fastresnet.study import open_chapter
    from fastresnet.study.plan import plan

    study = open_chapter(name, parameters, data_dir=data_dir)
    planned = [(trainer, each) for trainer, each in plan(study) if each.missing]
    print(
        f"{name}: {len(study.experiments) - len(planned)} of {len(study.experiments)} experiments are recorded", file=sys.stderr
    )
    for _, each in planned:
        cost = "no such run is recorded" if each.seconds is None else f"about {_duration(each.seconds)}"
        print(
            f"  {each.experiment}, {each.edition} edition: {len(each.missing)} of {each.runs} runs to train, {cost}",
            file=sys.stderr,
        )
    if dry_run:
        return
    number, done, start = sum(len(each.missing) for _, each in planned), 0, time.monotonic()
    for trainer, each in planned:
        for run, record in trainer.train_missing(each.experiment, progress=sys.stderr.isatty()):
            done += 1
            left = _duration((time.monotonic() - start) / done * (number - done))
            print(
                f"[{done}/{number}] {run.experiment} {run.variant}, seed {run.seed}: {record.outcome.status}, about {left} left",
                file=sys.stderr,
                flush=True,
            )


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


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
    time_limit: Annotated[float | None, typer.Option(min=1, help="Seconds for each version.")] = None,
    force: Force = False,
) -> None:
    """Run chapters side by side, each once for every file of parameters."""
    from fastresnet.book import notebooks
    from fastresnet.config.parsing import parse_assignments
    from fastresnet.records.folders import open_folder
    from fastresnet.study.project import project_root

    own = parse_assignments(changes or [])
    opened = open_folder(folder or project_root() / "_build" / "chapters")
    opened.check_writable()
    if data_dir and not data_dir.is_dir():
        raise UserError(f"--data-dir {data_dir}: no such folder")
    versions = [
        notebooks.Version(
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
            check_kept("-o", version.output, *(files or ()))
        notebooks.check_request(version.chapter, version.output, version.parameters)
    for done in notebooks.run_side_by_side(versions, jobs=jobs, data_dir=data_dir, time_limit=time_limit):
        print(done, flush=True)


@book_app.command("build")
def book_build(
    lenient: Annotated[bool, typer.Option("--lenient", help="Let warnings of Jupyter Book pass.")] = False,
) -> None:
    """Run every chapter in the quick edition and render the book; print its place and the seconds of each step."""
    from fastresnet.book.build import build_book

    page, seconds = build_book(strict=not lenient)
    for step, taken in seconds.items():
        print(f"{step:32} {taken:6.1f} s")
    print(page)
