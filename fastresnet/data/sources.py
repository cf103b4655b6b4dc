"""Finds a data set in a local folder, or else downloads it. It is checked, decoded once and then cached.

    dataset = load_dataset("cifar10", data_dir=Path("~/data").expanduser())

A local folder is `data_dir`, else the environment variable FASTRESNET_DATA, else a folder in the user's cache. It may
hold torchvision's official files or Hugging Face Parquet shards. The decoded images of every source are sorted into the same
order, and their digest is compared with the expected one, so that no wrong file is used.
"""

import hashlib
import os
import shlex
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from fastresnet.config import DataConfig
from fastresnet.config.datasets import SPECS, DatasetSpec
from fastresnet.config.parsing import parse
from fastresnet.data import formats, official
from fastresnet.data.builtin import draw_standin, read_sample
from fastresnet.data.images import Dataset, ImageSet, canonical_order, content_digest, from_tensors
from fastresnet.data.pictures import MODES, read_class_folders
from fastresnet.errors import UserError
from fastresnet.records.atomic import replacing
from fastresnet.records.folders import at_home, cache_folder

SPLITS = ("train", "test")
_BUILT_IN = {"fashion-sample": ("the package", read_sample), "cifar10-standin": ("a formula", draw_standin)}


class DatasetNotFound(UserError):
    """No local folder holds the data set."""


@dataclass(frozen=True)
class Source:
    """Local files of a whole data set, with a description and a function that reads them, with or without a progress bar."""

    description: str
    folder: Path
    files: Mapping[str, tuple[Path, ...]]
    read: Callable[[bool], dict[str, formats.Arrays]]

    def fingerprint(self) -> str:
        """A hash that changes if a file is replaced, so that the decoded copy of older files is never used."""
        files = (file for split in SPLITS for file in self.files[split])
        facts = [(str(file), (stat := file.stat()).st_size, stat.st_mtime_ns) for file in files]
        return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


def data_folders(data_dir: str | Path | None) -> list[Path]:
    """The local folders to search, from first to last. Raises UserError if the requested folder does not exist."""
    asked_for = data_dir or os.environ.get("FASTRESNET_DATA")
    if asked_for and not at_home(asked_for).is_dir():
        raise UserError(f"{asked_for}: no such folder; --data-dir or FASTRESNET_DATA must name one that exists")
    return [at_home(folder) for folder in (asked_for, cache_folder() / "data") if folder]


def load_dataset(
    name: str,
    data_dir: str | Path | None = None,
    *,
    channels: int | None = None,
    image_size: int | None = None,
    progress: bool = False,
) -> Dataset:
    """Loads a data set by name (`fastresnet data list`), `folder:PATH` or `tensors:PATH.npz`. A path may begin with `~`.

    Two options concern the pictures of a folder: with `channels` 1 or 3 they are read as grey or RGB, otherwise as grey if none
    has colour; if they differ in size, they are resized to squares of side `image_size`.

    Raises UserError that names the file that is missing, truncated or altered, what was expected and how to repair it.

    >>> fr.load_dataset("fashion-sample").test
    ImageSet(1,000 images [1, 28, 28], 10 classes)
    """
    name = parse({"name": name, "image_size": image_size}, DataConfig, "load_dataset").name
    kind, _, path = name.partition(":")
    if kind == "folder":
        return _from_folder(name, Path(path).expanduser(), channels, image_size, progress)
    if kind == "tensors":
        return _from_npz(name, Path(path).expanduser())
    spec = find_spec(name)
    if spec.torchvision_class is None:
        description, read = _BUILT_IN[name]
        return _checked(spec, {split: read(split) for split in SPLITS}, description)
    *asked_for, cache = data_folders(data_dir)
    source = find_source(spec, asked_for) or fetched_source(spec, cache, progress=progress)
    cached = cache_folder() / "decoded" / f"{name}-{source.fingerprint()}.npz"
    try:
        if cached.exists():
            return _checked(spec, formats.read_tensor_file(cached), f"{source.description}, decoded before", source)
    except (UserError, OSError):  # a damaged cache, or one that cannot be read, is no loss: the source is still there
        with suppress(OSError):
            cached.unlink(missing_ok=True)
    dataset = _checked(spec, decode(spec, source, progress=progress), source.description, source)
    try:
        _write_npz(cached, dataset)
    except OSError as error:
        warnings.warn(f"{cached}: not kept ({error.strerror}): the next start has to decode {name} again", stacklevel=2)
    return dataset


def fetched_source(spec: DatasetSpec, folder: Path, *, progress: bool) -> Source:
    """The official files in a folder, downloaded if missing. Raises UserError if the download fails or a file is wrong."""
    with suppress(UserError):  # without a lock, since the folder may be one that can only be read
        if source := find_source(spec, [folder]):
            return source
    with official.download_lock(spec, folder):
        source = find_source(spec, [folder])
        if source is None:
            official.fetch(spec, folder, progress=progress)
            source = find_source(spec, [folder])
            assert source is not None  # fetch() raises unless every official file is there
        return source


def verify(name: str, data_dir: Path | None = None, *, progress: bool = False) -> Dataset:
    """Reads and checks a local source again without the cache. It searches only `data_dir` if that is given.

    Raises DatasetNotFound if there is no local source, and UserError if a file is missing or wrong.
    """
    if ":" in name or (spec := find_spec(name)).torchvision_class is None:
        return load_dataset(name, image_size=32)  # pictures of a folder may differ in size
    places = data_folders(data_dir)[:1] if data_dir else data_folders(None)
    source = find_source(spec, places)
    if source is None:
        raise DatasetNotFound(f"{name}: not found in {', '.join(map(str, places))}; get it with: fastresnet data fetch {name}")
    return _checked(spec, decode(spec, source, progress=progress), source.description, source)


def find_spec(name: str) -> DatasetSpec:
    """The specification of a data set by its name. Raises UserError for an unknown name."""
    if name not in SPECS:
        raise UserError(f"no data set {name!r}; allowed: {', '.join(SPECS)}, folder:PATH, tensors:PATH.npz")
    return SPECS[name]


def find_source(spec: DatasetSpec, folders: Sequence[Path]) -> Source | None:
    """The source of a data set in the first folder that has one, or None. Raises UserError if it is incomplete."""
    for folder in folders:
        try:
            source = _official_source(spec, folder) or _parquet_source(spec, folder)
        except UserError as error:
            raise UserError(f"{error}; {_mend(spec, folder)}") from error
        if source:
            return source
    return None


def decode(spec: DatasetSpec, source: Source, *, progress: bool) -> dict[str, formats.Arrays]:
    """Reads both splits and sorts them into canonical order. Adds the command that repairs the files to any UserError."""
    try:
        arrays = source.read(progress)
    except UserError as error:
        raise UserError(f"{error}; {_mend(spec, source.folder)}") from error
    return {split: _in_canonical_order(*each) for split, each in arrays.items()}


def _mend(spec: DatasetSpec, folder: Path) -> str:
    # the folder is named because it is searched first: official files fetched elsewhere would not be found
    command = f"fastresnet data fetch {spec.name} --data-dir {shlex.quote(str(folder))}"
    return f"replace that file, or get the official ones with: {command}"


def _official_source(spec: DatasetSpec, folder: Path) -> Source | None:
    form = official.find(spec, folder)
    if form is None:
        return None
    description = "official IDX files" if spec.torchvision_class == "FashionMNIST" else "official pickled batches"
    files = {split: tuple(folder / name for name in form[split]) for split in SPLITS}
    return Source(description, folder, files, lambda _: official.read(spec, folder, form))


def _parquet_source(spec: DatasetSpec, folder: Path) -> Source | None:
    shards = {split: _shards(spec, folder, split) for split in SPLITS}
    if not any(shards.values()):
        return None
    for split in SPLITS:
        if not shards[split]:
            raise UserError(f"{folder}: no Parquet shard of the {split} split of {spec.name}")
    if spec.train_digest is None:
        _check_unpinned(spec, folder, [file for files in shards.values() for file in files])

    def read(progress: bool) -> dict[str, formats.Arrays]:
        return {split: formats.read_parquet(shards[split], spec.label_column, progress) for split in SPLITS}

    return Source("Hugging Face Parquet shards", folder, shards, read)


def _check_unpinned(spec: DatasetSpec, folder: Path, files: list[Path]) -> None:
    """Checks Parquet files against a SHA256SUMS list, since no digest of their images is known and they have no checksum."""
    sums = folder / "SHA256SUMS"
    if not sums.is_file():
        raise UserError(
            f"{sums}: missing; {spec.title} as Parquet shards can only be checked against such a list (sha256, file name)"
        )
    formats.check_sha256(files, sums)


def _shards(spec: DatasetSpec, folder: Path, split: str) -> tuple[Path, ...]:
    found = (formats.parquet_shards(folder / name, split) for name in spec.parquet_folders)
    return tuple(next(filter(None, found), ()))


def _checked(spec: DatasetSpec, arrays: dict[str, formats.Arrays], description: str, source: Source | None = None) -> Dataset:
    """Compares count, shape and digest of decoded arrays with the specification. Raises UserError that names the files."""
    splits = {}
    for split, count, pinned in (("train", spec.num_train, spec.train_digest), ("test", spec.num_test, spec.test_digest)):
        images, labels = arrays[split]
        where = ", ".join(map(str, source.files[split])) if source else f"{spec.name} ({description})"
        mend = _mend(spec, source.folder) if source else "install the package again"
        shape = (count, spec.channels, spec.image_size, spec.image_size)
        if images.shape != shape:
            raise UserError(f"{where}: {split} images are {images.shape}, expected {shape}; {mend}")
        found = content_digest(images, labels)
        if pinned not in (None, found):
            raise UserError(
                f"{where}: altered: these are not the published {split} images of {spec.title}: digest {found[:16]}, "
                f"expected {str(pinned)[:16]}; {mend}"
            )
        splits[split] = ImageSet(torch.from_numpy(images), torch.from_numpy(labels), spec.class_names)
    return Dataset(spec.name, splits["train"], splits["test"], spec.mean, spec.std, description)


def _from_folder(name: str, folder: Path, channels: int | None, image_size: int | None, progress: bool) -> Dataset:
    mode = MODES.get(channels) if channels else None
    arrays, class_names = read_class_folders(folder, SPLITS, mode, image_size, progress=progress)
    return _measured(name, arrays, class_names, "image folder")


def _from_npz(name: str, path: Path) -> Dataset:
    arrays = formats.read_tensor_file(path)
    num_classes = int(max(labels.max() for _, labels in arrays.values())) + 1
    if num_classes > sum(len(labels) for _, labels in arrays.values()):
        raise UserError(f"{path}: labels must count classes from 0; the largest, {num_classes - 1}, exceeds the number of images")
    return _measured(name, arrays, tuple(map(str, range(num_classes))), "tensor file")


def _measured(name: str, arrays: dict[str, formats.Arrays], class_names: tuple[str, ...], source: str) -> Dataset:
    ordered = (_in_canonical_order(*arrays.pop(split)) for split in SPLITS)
    train, test = (ImageSet(torch.from_numpy(images), torch.from_numpy(labels), class_names) for images, labels in ordered)
    return from_tensors(name, train, test, source)


def _in_canonical_order(images: np.ndarray, labels: np.ndarray) -> formats.Arrays:
    order = canonical_order(images, labels)
    return images[order], labels[order]


def _write_npz(path: Path, dataset: Dataset) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial, partial.open("wb") as file:
        np.savez(
            file,
            train_images=dataset.train.images.numpy(),
            train_labels=dataset.train.labels.numpy(),
            test_images=dataset.test.images.numpy(),
            test_labels=dataset.test.labels.numpy(),
        )
    for old in path.parent.glob(f"{dataset.name}-*.npz"):
        if old != path:
            old.unlink(missing_ok=True)
