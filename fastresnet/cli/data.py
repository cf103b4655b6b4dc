"""The commands data list, data fetch and data verify."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from fastresnet.cli.options import DataDir, data_app, print_table
from fastresnet.errors import UserError


@data_app.command("list")
def data_list() -> None:
    """List the data sets, with their sizes and licences."""
    from fastresnet.config.datasets import SPECS

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
    print_table(("name", "train + test", "pixels", "classes", "title", "licence"), rows)
    print(
        "Your own: folder:PATH (train/CLASS/*.png, test/CLASS/*.png) or tensors:PATH.npz "
        "(train_images, train_labels, test_images, test_labels)"
    )


@data_app.command("fetch")
def data_fetch(
    name: str,
    data_dir: Annotated[Path | None, typer.Option(help="Where to put it; default: the cache.")] = None,
) -> None:
    """Download the official files that are missing or damaged, and check them."""
    from fastresnet.data import official, sources

    spec = sources.find_spec(name)
    if spec.torchvision_class is None:
        print(f"{name}: nothing to fetch, {spec.licence}")
        return
    folder = data_dir or sources.cache_folder() / "data"
    with official.download_lock(spec, folder):
        files = official.fetch(spec, folder, progress=sys.stderr.isatty())
    for file in files:
        print(f"{name}: {file}")
    print(_checked(sources.verify(name, folder, progress=sys.stderr.isatty())))


@data_app.command("verify")
def data_verify(
    name: Annotated[str | None, typer.Argument(help="Default: every data set that is found.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Read every byte of a data set again and compare it with what was published, if it was."""
    from fastresnet.config.datasets import SPECS
    from fastresnet.data import sources

    if name:
        print(_checked(sources.verify(name, data_dir, progress=sys.stderr.isatty())))
        return
    failures = []
    for each in SPECS:
        try:
            print(_checked(sources.verify(each, data_dir, progress=sys.stderr.isatty())), flush=True)
        except sources.DatasetNotFound as absent:
            print(absent)
        except UserError as error:
            failures.append(str(error))
    if failures:
        raise UserError("; ".join(dict.fromkeys(failures)))


def _checked(dataset: Any) -> str:
    from fastresnet.config.datasets import SPECS

    if spec := SPECS.get(dataset.name):
        state = f"{'content' if spec.train_digest else 'files'} as published ({dataset.source})"
    else:
        state = "all of them readable"
    return f"{dataset.name}: {len(dataset.train):,} + {len(dataset.test):,} images, {state}"
