"""The command python -m benchmarks SUITE, to be run in the checkout."""

from pathlib import Path
from typing import Annotated

import typer

from benchmarks import report
from benchmarks import suite as suites
from fastresnet.cli import main
from fastresnet.cli.options import HELP, DataDir, check_output
from fastresnet.compute.provenance import source_revision

app = typer.Typer(**HELP)


@app.command()
def bench(
    suite: Annotated[str, typer.Argument(help="cpu-quick (minutes), cpu-full (hours) or gpu.")],
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write what was measured here.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of each contest.")] = suites.ROUNDS,
    only: Annotated[list[str] | None, typer.Option(metavar="RECIPE", help="Only this contest; may be repeated.")] = None,
    peer: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only against this peer; may be repeated.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Time the recipes against their peers, run after run in one process."""
    check_output("json", json_file)
    revision = source_revision("benchmarks")  # read first: somebody may commit or edit during the measurement
    rows = []
    for row in suites.run_suite(suite, only=tuple(only or ()), peers=tuple(peer or ()), data_dir=data_dir, rounds=rounds):
        rows.append(row)
        print(report.describe_row(row), flush=True)
        if json_file:  # at once: the next contest may take hours, and fail
            report.write_json(rows, json_file, device=suites.SUITES[suite].device, revision=revision)
    print(report.ratios(rows))


main(app)
