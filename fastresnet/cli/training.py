"""The commands train, recipes, predict and tune."""

import csv
import os
import sys
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from fastresnet.cli.options import Changes, DataDir, Device, Force, VariantOf, app, check_output, check_overwrite
from fastresnet.config.seeds import check_seed
from fastresnet.errors import UserError
from fastresnet.records.atomic import followed
from fastresnet.records.folders import at_home, check_file
from fastresnet.records.record import in_percent


@app.command()
def train(
    what: Annotated[
        str, typer.Argument(metavar="RECIPE|FILE.yml", help="A recipe, or a file with sections data, model and train.")
    ],
    changes: Changes = None,
    variant: VariantOf = None,
    seed: int = 0,
    seeds: Annotated[int, typer.Option(min=1, metavar="N", help="Train N times, with seeds from --seed on.")] = 1,
    data_dir: DataDir = None,
    device: Device = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Save the state here every epoch, and resume from it; removed at the end.")
    ] = None,
    record: Annotated[Path | None, typer.Option(help="Write the run's record here, as JSON.")] = None,
    save: Annotated[Path | None, typer.Option(help="Write the trained network here.")] = None,
    start: Annotated[Path | None, typer.Option("--from", help="Begin with the weights of a network saved before.")] = None,
    force: Force = False,
) -> None:
    """Train a network as a recipe or a YAML file configures it.

    Over several processes: torchrun --nproc-per-node N -m fastresnet train ...
    """
    checkpoint = at_home(checkpoint) if checkpoint else None
    outputs = {name: file for name, file in (("checkpoint", checkpoint), ("record", record), ("save", save)) if file}
    for (one, file), (other, same) in combinations((outputs | ({"from": start} if start else {})).items(), 2):
        if followed(file) == followed(same) and (one, other) != ("save", "from"):  # a network may replace its own file
            raise UserError(f"--{one} and --{other}: both name {file}; allowed: a file each")
    if outputs and seeds > 1:
        raise UserError(f"--{next(iter(outputs))}: names the file of one run, got --seeds {seeds}; allowed: --seeds 1")
    for each in (seed, seed + seeds - 1):
        check_seed(each)
    launched = "TORCHELASTIC_RUN_ID" in os.environ
    if not launched or os.environ.get("GROUP_RANK", "0") == "0":  # of the machines in a torchrun, only the first writes
        if checkpoint:
            check_file(checkpoint)  # its folder need not exist yet
        check_output("record", record)
        check_output("save", save)
    from fastresnet import report
    from fastresnet.compute.processes import open_process_group
    from fastresnet.data.sources import SPLITS
    from fastresnet.models.saved import load_model, save_model
    from fastresnet.records import store
    from fastresnet.training import runs
    from fastresnet.training.checkpoints import own_checkpoint

    results = []
    progress = sys.stderr.isatty()
    with open_process_group() as group:
        config = _run_config(what, changes or [], device, variant, group)
        kind, _, path = config.data.name.partition(":")
        images = [Path(path).expanduser() / split for split in (SPLITS if kind == "folder" else [""] if path else [])]
        for name, file in () if force else outputs.items():
            check_overwrite(f"--{name}", file, Path(what), *images)
        origin = load_model(start) if start else None
        for each in range(seed, seed + seeds):
            with own_checkpoint(checkpoint if group.is_first else None):
                result = runs.train(
                    config,
                    each,
                    start=origin,
                    data_dir=data_dir,
                    device=device,
                    checkpoint=checkpoint,
                    progress=progress,
                    group=group,
                )
            results.append(result)
            if group.is_first and seeds > 1:
                print(report.describe_briefly(result.record), flush=True)
    if not group.is_first:
        return
    records = [each.record for each in results]
    diverged = [each.seed for each in records if each.outcome.status == "diverged"]
    try:  # both outputs are tried, before anything is printed; the checkpoint goes once they are there
        if record:
            store.write_record(records[0], record)
    finally:
        if save and not diverged:
            save_model(result.saved, save)
    if checkpoint:
        checkpoint.unlink(missing_ok=True)
    print(report.describe_run(records[0]) if seeds == 1 else report.describe_runs(records), flush=True)
    if diverged:
        unsaved = "; the network is not saved" if save else ""
        raise RuntimeError(f"the loss stopped being a finite number, seed {', '.join(map(str, diverged))}{unsaved}")


def _run_config(what: str, changes: list[str], device: str | None, variant: str | None, group: Any) -> Any:
    """The configuration of a recipe or of a YAML file, with `changes` applied. Says which variant of a recipe was chosen."""
    from fastresnet.config import RunConfig
    from fastresnet.config.parsing import load_yaml, parse_assignments
    from fastresnet.config.recipes import RECIPES

    if what.endswith((".yml", ".yaml")):
        if variant:
            raise UserError(f"--variant {variant}: only a recipe has variants, got {what}")
        config = load_yaml(Path(what), RunConfig)
    elif what in RECIPES:
        RECIPES[what].config("cpu").with_changes(parse_assignments(changes))  # refuses before anything is timed
        config = RECIPES[what].config(_variant(RECIPES[what], device, variant, group))
    else:
        raise UserError(f"{what!r}: neither a recipe nor a .yml file; recipes: {', '.join(RECIPES)}")
    return config.with_changes(parse_assignments(changes))


def _variant(recipe: Any, device: str | None, wanted: str | None, group: Any) -> Any:
    """The wanted variant of a recipe, or the one that the first process chooses and prints."""
    from fastresnet.compute.device import choose_device
    from fastresnet.config.recipes.base import Variant
    from fastresnet.training.variants import choose_variant

    if wanted in get_args(Variant):
        return wanted
    if wanted:
        raise UserError(f"--variant {wanted}: no such variant; allowed: {', '.join(get_args(Variant))}")
    choice = group.from_first(lambda: choose_variant(recipe, choose_device(device)))
    if group.is_first:
        print(f"fastresnet: {choice}", file=sys.stderr)
    return choice.variant


@app.command()
def recipes(
    here: Annotated[bool, typer.Option("--here", help="Show the variant chosen on this machine, and why.")] = False,
) -> None:
    """List the recipes, with their purpose and, in a checkout, their recorded results."""
    if here:
        from fastresnet.compute.device import choose_device
        from fastresnet.config.recipes import RECIPES
        from fastresnet.training.variants import choose_variant

        for recipe in RECIPES.values():
            print(choose_variant(recipe, choose_device()))
        return
    from fastresnet.chapters.frontier import recorded_runs
    from fastresnet.config.recipes import RECIPES
    from fastresnet.report import describe_runs

    for recipe in RECIPES.values():
        print(f"{recipe.name}\n  " + recipe.description.replace("\n", "\n  "))
        for device, records in recorded_runs(recipe.name).items():
            print(f"  {device}: {describe_runs(records)}")


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(help="A network that train --save wrote.")],
    images: Annotated[list[Path], typer.Argument(readable=False, help="Image files of any size.")],
) -> None:
    """Classify images: print file, class and probability, separated by tabs, one image per line.

    A name that holds a tab, a line break or a quotation mark is quoted, as in other such tables.
    An image that cannot be read is named on standard error; the others are still classified, and the exit code is 1.
    """
    from fastresnet.models.saved import load_model

    saved = load_model(model)
    table = csv.writer(sys.stdout, "excel-tab", lineterminator="\n")
    code = 0
    for image, answer in saved.predict_files(images):
        if isinstance(answer, UserError):
            print(f"fastresnet: {answer}", file=sys.stderr)
            code = 1
        else:
            probability, label = answer.max(dim=0)
            table.writerow((image, saved.class_names[int(label)], f"{float(probability):.3f}"))
            sys.stdout.flush()
    raise typer.Exit(code)


@app.command()
def tune(
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE|FILE.yml", help="A recipe, or a YAML file, that trains a speed net with Muon.")
    ],
    trials: Annotated[int, typer.Option(min=1)] = 20,
    seeds: Annotated[int, typer.Option(min=1, help="Runs per trial; one clearly behind is stopped after its first runs.")] = 2,
    changes: Changes = None,
    variant: VariantOf = None,
    storage: Annotated[Path | None, typer.Option(help="Keep the search in this file; continue the one that it holds.")] = None,
    data_dir: DataDir = None,
    device: Device = None,
) -> None:
    """Search for better settings on images held out of the training set."""
    check_output("storage", storage)
    from fastresnet.compute.processes import ALONE
    from fastresnet.training.tuning import search

    config = _run_config(recipe, changes or [], device, variant, ALONE)

    study = search(config, trials=trials, seeds=seeds, storage=storage, data_dir=data_dir, device=device)
    best = f"trial {study.best_trial.number} of {len(study.trials)}"
    print(f"best mean accuracy on held-out images {in_percent(study.best_value)}, {best}")
    for name, value in study.best_params.items():
        print(f"  {name} = {value:.4g}")
