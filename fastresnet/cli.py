"""The command line: the one place that prints. Torch is loaded by the commands that need it, not by `--help`."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from fastresnet import __version__
from fastresnet.errors import UserError

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="Fast, honest, re-runnable training of small ResNets.",
)
data_app = typer.Typer(no_args_is_help=True, help="Data sets: what there is, fetching and checking it.")
study_app = typer.Typer(no_args_is_help=True, help="The study's experiments: run what is missing, see what is there.")
chapter_app = typer.Typer(no_args_is_help=True, help="Chapters of the book: run one with parameters of your own.")
book_app = typer.Typer(no_args_is_help=True, help="The book: every chapter run, checked and rendered.")
app.add_typer(data_app, name="data")
app.add_typer(study_app, name="study")

DataDir = Annotated[Path | None, typer.Option(help="Folder with official files or Parquet shards; also FASTRESNET_DATA.")]
Device = Annotated[str | None, typer.Option(help="cuda, mps or cpu; default: the fastest there is.")]
Edition = Annotated[str, typer.Option(help="Scale of the work: quick, cpu or gpu.")]


def main() -> None:
    """Runs the command line; a request that cannot be served ends in one line and exit code 2."""
    try:
        app()
    except UserError as error:
        print(f"fastresnet: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("fastresnet: interrupted; run the same command again to continue", file=sys.stderr)
        raise SystemExit(130) from None


@study_app.command("list")
def study_list() -> None:
    """Studies and the questions of their experiments."""
    from fastresnet.studies import STUDIES
    from fastresnet.study import open_study

    for name in STUDIES:
        print(name)
        for experiment in open_study(name, edition="cpu").experiments.values():
            print(f"  {experiment.id:4} {experiment.question}")


@study_app.command("run")
def study_run(
    name: str,
    edition: Edition = "quick",
    only: Annotated[str | None, typer.Option(metavar="EXPERIMENT", help="One experiment, by its id.")] = None,
    data_dir: DataDir = None,
    device: Device = None,
    results: Annotated[Path | None, typer.Option(help="Folder for new records.")] = None,
) -> None:
    """Train the runs of a study that no record answers; an interrupted study continues where it stopped."""
    from fastresnet.study import open_study

    overrides: dict[str, Any] = {"device": device} if device else {}
    study = open_study(name, edition=edition, results=results, data_dir=data_dir, **overrides)
    total, missing = len(study.runs(only)), len(study.missing(only))
    print(f"{name}, {edition} edition: {total} runs wanted, {total - missing} recorded, {missing} to train", flush=True)
    for done, (run, record) in enumerate(study.train_missing(only, progress=sys.stderr.isatty()), 1):
        accuracy = "-" if record.test_accuracy is None else f"{record.test_accuracy:.2%}"
        print(
            f"[{done}/{missing}] {run.experiment} {run.variant}, seed {run.seed}: {record.outcome.status}, "
            f"accuracy {accuracy}, {record.seconds.train:.1f} s of training",
            flush=True,
        )
