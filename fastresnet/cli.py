"""The command line: the one place that prints. Torch is loaded by the commands that need it, not by `--help`."""

import json
import sys
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from fastresnet import __version__
from fastresnet.errors import UserError

DataDir = Annotated[
    Path | None, typer.Option(help="Folder with official files or Parquet shards; default: FASTRESNET_DATA, then the cache.")
]
Device = Annotated[str | None, typer.Option(help="cuda, mps or cpu; default: the fastest there is.")]
Edition = Annotated[str, typer.Option(help="Scale of the work: quick, cpu or gpu.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Assignments = Annotated[list[str] | None, typer.Option("-p", metavar="KEY=VALUE", help="A value of your own; repeatable.")]

_HELP: dict[str, Any] = {"no_args_is_help": True, "add_completion": False, "pretty_exceptions_enable": False}
app = typer.Typer(help="Fast, honest, re-runnable training of small ResNets.", **_HELP)
data_app = typer.Typer(help="Data sets: list, fetch, verify.", **_HELP)
study_app = typer.Typer(help="The study's experiments: list, run what is missing, see what is there.", **_HELP)
chapter_app = typer.Typer(help="Chapters of the book: run one with parameters of your own.", **_HELP)
book_app = typer.Typer(help="The book: every chapter run, checked and rendered.", **_HELP)
for name, group in (("data", data_app), ("study", study_app), ("chapter", chapter_app), ("book", book_app)):
    app.add_typer(group, name=name)


_INTERRUPTED = 130


def main() -> None:
    """Runs the command line. Exit codes: 2 for a request that cannot be served, 1 for work that failed, 130 for Ctrl-C."""
    warnings.showwarning = lambda message, *_: print(f"fastresnet: warning: {message}", file=sys.stderr)
    try:
        app()
    except UserError as error:
        _stop(str(error), 2)
    except RuntimeError as error:  # a run or a chapter that failed, already recorded or kept
        _stop(str(error), 1)
    except OSError as error:  # a disk that is full, a file where a folder should be
        _stop(f"{error.filename or 'file system'}: {error.strerror or error}", 1)
    except SystemExit as done:
        if done.code == _INTERRUPTED:  # typer has made an exit of the interruption
            _stop("interrupted; finished runs are recorded, and the same command goes on from there", _INTERRUPTED)
        raise


def _stop(message: str, code: int) -> None:
    print(f"fastresnet: {message}", file=sys.stderr)
    raise SystemExit(code)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"fastresnet {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    pass


@app.command()
def train(
    config: Annotated[Path, typer.Argument(help="YAML file with sections data, model and train.")],
    changes: Annotated[list[str] | None, typer.Option("-p", metavar="SECTION.KEY=VALUE", help="Replace a value.")] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    data_dir: DataDir = None,
    device: Device = None,
    checkpoint: Annotated[Path | None, typer.Option(help="Save the state here every epoch, and resume from it.")] = None,
    record: Annotated[Path | None, typer.Option(help="Write the run's record here, as JSON.")] = None,
) -> None:
    """Train one network as a YAML file configures it."""
    from fastresnet.config import RunConfig, load_yaml, parse_assignment

    run_config = load_yaml(config, RunConfig).with_changes(dict(map(parse_assignment, changes or [])))
    if record and (record.is_dir() or not record.parent.is_dir()):
        raise UserError(f"--record {record}: must name a file in a folder that exists")
    from fastresnet import report, runs, store

    result = runs.train(
        run_config, seed, data_dir=data_dir, device=device, checkpoint=checkpoint, progress=sys.stderr.isatty()
    ).record
    if record:
        store.write_record(result, record)
    if checkpoint:
        checkpoint.unlink(missing_ok=True)
    print(report.describe_run(result))


@data_app.command("list")
def data_list() -> None:
    """What there is, its size and its licence."""
    from fastresnet.data.specs import SPECS

    rows = [
        (
            spec.name,
            f"{spec.num_train:,} + {spec.num_test:,}",
            f"{spec.channels}x{spec.image_size}x{spec.image_size}",
            str(spec.num_classes),
            spec.title,
            spec.licence,
        )
        for spec in SPECS.values()
    ]
    _table(("name", "train + test", "pixels", "classes", "title", "licence"), rows)
    print(
        "Your own: folder:PATH (train/CLASS/*.png, test/CLASS/*.png) or tensors:PATH.npz "
        "(train_images, train_labels, test_images, test_labels)"
    )


@data_app.command("fetch")
def data_fetch(
    name: str,
    data_dir: Annotated[Path | None, typer.Option(help="Where to put it; default: the cache.")] = None,
) -> None:
    """Download the official files, going on from where an earlier try broke off, and check them."""
    from fastresnet.data import sources
    from fastresnet.data.download import download

    spec = sources.find_spec(name)
    if spec.torchvision_class is None:
        print(f"{name}: nothing to fetch, {spec.licence}")
        return
    folder = data_dir or sources.cache_folder() / "data"
    for file in download(spec, folder, progress=sys.stderr.isatty()):
        print(f"{name}: {file}")
    print(_checked(sources.verify(name, folder, progress=sys.stderr.isatty())))


@data_app.command("verify")
def data_verify(
    name: Annotated[str | None, typer.Argument(help="Default: every data set that is found.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Read every byte of a data set again and compare it with what was published."""
    from fastresnet.data import sources
    from fastresnet.data.specs import SPECS

    if name:
        print(_checked(sources.verify(name, data_dir, progress=sys.stderr.isatty())))
        return
    failures = []
    for each in SPECS:
        try:
            print(_checked(sources.verify(each, data_dir, progress=sys.stderr.isatty())), flush=True)
        except sources.NotHere as absent:
            print(absent)
        except UserError as error:
            failures.append(str(error))
    if failures:
        raise UserError("; ".join(failures))


def _checked(dataset: Any) -> str:
    from fastresnet.data.specs import SPECS

    pinned = "content as published" if SPECS[dataset.name].train_digest else "files as published"
    return f"{dataset.name}: {len(dataset.train):,} + {len(dataset.test):,} images, {pinned} ({dataset.source})"


@study_app.command("list")
def study_list() -> None:
    """Studies and the questions of their experiments."""
    from fastresnet.studies import STUDIES
    from fastresnet.study import open_study

    for study in STUDIES:
        print(study)
        for experiment in open_study(study, edition="cpu").experiments.values():
            print(f"  {experiment.id:4} {experiment.question}")


@study_app.command("run")
def study_run(
    name: str,
    edition: Edition = "quick",
    only: Annotated[str | None, typer.Option(metavar="EXPERIMENT", help="One experiment, by its id.")] = None,
    changes: Assignments = None,
    data_dir: DataDir = None,
    device: Device = None,
    results: Annotated[
        Path | None, typer.Option(help="Folder to look for records and to keep new ones in, instead of the study's own.")
    ] = None,
    dask: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Spread the runs: a Dask scheduler, or local.")] = None,
) -> None:
    """Train the runs of a study that no record answers; an interrupted study continues where it stopped."""
    from fastresnet.config import parse_assignment
    from fastresnet.study import open_study

    parameters = dict(map(parse_assignment, changes or []))
    if "edition" in parameters:
        raise UserError("-p edition: choose the edition with --edition")
    if device:
        parameters["device"] = device
    if results and results.exists() and not results.is_dir():
        raise UserError(f"--results {results}: must name a folder")
    study = open_study(name, edition=edition, parameters=parameters, results=results, data_dir=data_dir)
    total, missing = len(study.runs(only)), len(study.missing(only))
    print(f"{name}, {edition} edition: {total} runs wanted, {missing} to train", flush=True)
    for done, (run, record) in enumerate(study.train_missing(only, progress=sys.stderr.isatty(), dask=dask), 1):
        accuracy = "-" if record.test_accuracy is None else f"{record.test_accuracy:.2%}"
        print(
            f"[{done}/{missing}] {run.experiment} {run.variant}, seed {run.seed}: {record.outcome.status}, "
            f"accuracy {accuracy}, {record.seconds.train:.1f} s of training",
            flush=True,
        )


@study_app.command("status")
def study_status(
    as_json: AsJson = False,
    results: Annotated[Path | None, typer.Option(help="Folder of records to count, instead of the study's own.")] = None,
) -> None:
    """Runs wanted and recorded, by study, edition and experiment."""
    from fastresnet.project import EDITIONS
    from fastresnet.studies import STUDIES
    from fastresnet.study import open_study

    studies = [open_study(study, edition=edition, results=results) for study in STUDIES for edition in EDITIONS]
    rows = [row for study in studies for row in study.status()]
    if as_json:
        print(json.dumps(rows, indent=1))
    else:
        _table(tuple(rows[0]), [tuple(map(str, row.values())) for row in rows])


@chapter_app.command("list")
def chapter_list() -> None:
    """Chapters and their parameters, with the values of the quick edition."""
    from fastresnet.chapters import chapter_parameters
    from fastresnet.studies import STUDIES

    for chapter in STUDIES:
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
        Path | None, typer.Option("-o", metavar="OUT.ipynb", help="Default: _build/chapters/NAME-EDITION.ipynb.")
    ] = None,
    data_dir: DataDir = None,
    time_limit: Annotated[
        float | None, typer.Option(min=1, help="Seconds for the whole chapter; default: 600 for quick, else none.")
    ] = None,
) -> None:
    """Run a chapter into a new notebook, training what its parameters ask for and no record answers."""
    from fastresnet import book, chapters
    from fastresnet.config import parse_assignment
    from fastresnet.project import project_root

    chapters.chapter_file(name)
    parameters = chapters.chapter_parameters(name, edition, dict(map(parse_assignment, changes or [])), file)
    if data_dir and not data_dir.is_dir():
        raise UserError(f"--data-dir {data_dir}: no such folder")
    output = output or project_root() / "_build" / "chapters" / f"{name}-{edition}.ipynb"
    if time_limit is None and edition == "quick":
        time_limit = book.TIME_LIMIT_SECONDS
    done = chapters.run_chapter(name, output, parameters, data_dir=data_dir, time_limit=time_limit, progress=sys.stderr.isatty())
    print(done)


@book_app.command("build")
def book_build(
    lenient: Annotated[bool, typer.Option("--lenient", help="Let warnings of Jupyter Book pass.")] = False,
) -> None:
    """Run every chapter in the quick edition and render the book; print where it lies and what each step took."""
    from fastresnet.book import build_book

    page, seconds = build_book(strict=not lenient)
    for step, taken in seconds.items():
        print(f"{step:32} {taken:6.1f} s")
    print(page)


def _table(header: Iterable[str], rows: Sequence[tuple[str, ...]]) -> None:
    """Plain aligned columns, the same in a terminal and in a file."""
    lines = [tuple(header), *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
