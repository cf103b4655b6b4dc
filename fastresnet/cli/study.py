"""The commands of the group study."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from fastresnet.cli.options import AsJson, Assignments, DataDir, Device, Edition, Force, check_overwrite, print_table, study_app
from fastresnet.config.seeds import check_seed
from fastresnet.errors import UserError
from fastresnet.records.record import in_percent


@study_app.command("list")
def study_list() -> None:
    """List the studies and the questions of their experiments."""
    from fastresnet.study import STUDIES, open_study

    for study in STUDIES:
        print(study)
        for experiment in open_study(study, edition="cpu").experiments.values():
            print(f"  {experiment.id}: {experiment.question}")


@study_app.command("run")
def study_run(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="One study or several.")],
    edition: Edition = "quick",
    only: Annotated[
        list[str] | None, typer.Option(metavar="EXPERIMENT", help="One experiment, by its id; may be repeated.")
    ] = None,
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
    from fastresnet.study import by_seed, open_study, train_all, without_record

    parameters = parse_assignments(changes or [])
    if "edition" in parameters:
        raise UserError("-p edition: choose the edition with --edition")
    if device:
        parameters["device"] = device
    studies = [open_study(name, edition=edition, parameters=parameters, results=results, data_dir=data_dir) for name in names]
    experiments = list(dict.fromkeys(experiment for study in studies for experiment in study.experiments))
    for option, asked in (("--only", only), ("--first", first)):
        if unknown := set(asked or []) - set(experiments):
            raise UserError(
                f"{option} {min(unknown)}: no such experiment in {', '.join(names)}; allowed: {', '.join(experiments)}"
            )
    runs = [run for study in studies for run in study.runs() if not only or run.experiment in only]
    store = studies[0].store
    if any(study.store.folders != store.folders for study in studies):
        raise UserError(f"-p: changes some of {', '.join(names)}, whose records lie elsewhere then; run each by itself")
    store.check_writable()
    missing = without_record(by_seed(runs, first) if first else runs, store)
    print(f"{', '.join(names)}, {edition} edition: {len(runs)} runs wanted, {len(missing)} to train", flush=True)
    trained = train_all(missing, store, data_dir, studies[0].device, progress=sys.stderr.isatty(), dask=dask)
    for done, (run, record) in enumerate(trained, 1):
        print(
            f"[{done}/{len(missing)}] {run.experiment} {run.variant}, seed {run.seed}: {record.outcome.status}, "
            f"accuracy {in_percent(record.test_accuracy)}, {record.seconds.train:.1f} s of training",
            flush=True,
        )


@study_app.command("status")
def study_status(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME...]", help="Studies; default: all.")] = None,
    edition: Annotated[str | None, typer.Option(help="Only this scale of the work: quick, cpu or gpu.")] = None,
    as_json: AsJson = False,
    results: Annotated[str | None, typer.Option(help="Folder, or URL, of records to count, instead of the study's own.")] = None,
) -> None:
    """Count the runs wanted and recorded, by study, edition and experiment, and estimate the hours that are left."""
    from fastresnet.records.store import check_records
    from fastresnet.study import STUDIES, find_study, open_study
    from fastresnet.study.project import editions_of
    from fastresnet.study.status import status

    for name in names or ():
        find_study(name)
    if results is not None:
        check_records(results)
    wanted = [(name, each) for name in names or STUDIES for each in ([edition] if edition else editions_of(name))]
    rows = status([open_study(name, edition=each, results=results) for name, each in wanted])
    if as_json:
        print(json.dumps(rows, indent=1))
    else:
        print_table(tuple(rows[0]), [tuple("unknown" if each is None else str(each) for each in row.values()) for row in rows])


@study_app.command("verify")
def study_verify(
    sample: Annotated[int, typer.Option(min=3, help="Variants drawn at random and trained once more.")] = 5,
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
    drawn = verification.draw(sample, studies=study or [], longest=longest, device=device, seed=seed)
    done = []
    for each in verification.recheck(drawn, data_dir=data_dir, device=device, seed=seed):
        done.append(each)
        candidate = each.candidate
        print(
            f"[{len(done)}/{sample}] {candidate.study} {candidate.experiment} {candidate.variant}, seed {each.record.seed}: "
            f"{in_percent(each.record.test_accuracy)}, recorded {in_percent(candidate.recorded_accuracy)} "
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
        check_overwrite("FILE", file)
    count = write_export(file, results)
    print(f"{file}: {count} {'sheets' if file.suffix == '.xlsx' else 'runs'}")
