"""What the commands share: groups, options, and a table. Torch is loaded only by the commands that need it."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from fastresnet.errors import UserError
from fastresnet.records.folders import Place, check_file, local_file

DataDir = Annotated[
    Path | None,
    typer.Option(
        resolve_path=True, help="Folder with official files or Parquet shards; default: FASTRESNET_DATA, then the cache."
    ),
]
Device = Annotated[str | None, typer.Option(help="cuda, mps or cpu; default: the fastest there is.")]
VariantOf = Annotated[
    str | None, typer.Option("--variant", help="Of the recipe: cpu, cpu-bf16, cpu-amx or cuda; default: the fastest here.")
]
Edition = Annotated[str, typer.Option(help="Scale of the work: quick, cpu or gpu.")]
Force = Annotated[bool, typer.Option("--force", help="Replace even inputs and committed files.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _assignments(texts: list[str] | None) -> list[str] | None:
    """Raises UserError unless every text is KEY=VALUE, before the command line calls a stray VALUE an unexpected argument."""
    from fastresnet.config.parsing import parse_assignments

    parse_assignments(texts or [])
    return texts


Assignments = Annotated[
    list[str] | None, typer.Option("-p", metavar="KEY=VALUE", callback=_assignments, help="A value of your own; repeatable.")
]
Changes = Annotated[
    list[str] | None, typer.Option("-p", metavar="SECTION.KEY=VALUE", callback=_assignments, help="Replace a value.")
]

HELP: dict[str, Any] = {"no_args_is_help": True, "add_completion": False, "pretty_exceptions_enable": False}
app = typer.Typer(help="Fast, honest, re-runnable training of small ResNets.", **HELP)
data_app = typer.Typer(help="Data sets: list, fetch, verify.", **HELP)
study_app = typer.Typer(help="The study's experiments: list, run what is missing, see what is there.", **HELP)
chapter_app = typer.Typer(help="Chapters of the book: run one with parameters of your own.", **HELP)
book_app = typer.Typer(help="The book: every chapter run, checked and rendered.", **HELP)
for name, group in (("data", data_app), ("study", study_app), ("chapter", chapter_app), ("book", book_app)):
    app.add_typer(group, name=name)


def check_output(option: str, file: Path | None) -> None:
    """Raises UserError unless the file that an option names, if any, can be written."""
    if file is None:
        return
    check_file(file)
    if not file.parent.is_dir():
        raise UserError(f"--{option} {file}: must name a file in a folder that exists")


def check_overwrite(option: str, place: Place, *inputs: Path | None) -> None:
    """Raises UserError if what is written to a place would change an input of the command, a file or a folder, or a file of the
    checkout."""
    from fastresnet.study.project import is_committed  # not above: it loads pandas, which slows down `fastresnet --help`

    file = local_file(place)
    if file is None:
        return
    check_file(file)
    for each in (each for each in inputs if each and each.exists()):
        if each.resolve() in file.resolve().parents or (file.exists() and file.samefile(each)):
            raise UserError(f"{option} {place}: would change what the command reads; allowed: another name, or --force")
    if is_committed(file):
        raise UserError(f"{option} {place}: would replace a file of the checkout; allowed: another name, or --force")


def print_table(header: Iterable[str], rows: Sequence[tuple[str, ...]]) -> None:
    """Prints plain aligned columns, the same in a terminal and in a file."""
    lines = [tuple(header), *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
