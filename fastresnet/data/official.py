"""The official files of a data set, which torchvision downloads, checks and reads.

A folder holds them packed, as they are published, or unpacked, as torchvision leaves them. Nothing is written beside a
user's files: packed files are unpacked into a temporary folder. A download moves files into place once all are correct.
"""

import http.client
import io
import shutil
import socket
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import BaseFileLock, FileLock

from fastresnet.config.datasets import DatasetSpec
from fastresnet.data.formats import Arrays
from fastresnet.data.vision import import_torchvision
from fastresnet.errors import UserError

Files = Mapping[str, Mapping[str, str | None]]
"""The files of each split: name below the data folder -> md5, or None if only the digest of the images is checked."""
_TIMEOUT_SECONDS = 30


@dataclass(frozen=True)
class Official:
    """What torchvision knows of a data set: the class that reads it, and its files, packed and unpacked."""

    torchvision_class: Any
    packed: Files
    unpacked: Files


def torchvision_files(spec: DatasetSpec) -> Official:
    """Returns what torchvision knows of a data set, from torchvision's class for it."""
    torchvision_class = getattr(import_torchvision("datasets"), str(spec.torchvision_class))
    if spec.torchvision_class == "FashionMNIST":
        # no md5, since Linux distributions repack the same images
        names = [f"FashionMNIST/raw/{name.removesuffix('.gz')}" for name, _ in torchvision_class.resources]
        unpacked = {"train": dict.fromkeys(names[:2]), "test": dict.fromkeys(names[2:])}
        packed = {split: {f"{name}.gz": None for name in files} for split, files in unpacked.items()}
        return Official(torchvision_class, packed, unpacked)
    archive = {torchvision_class.filename: torchvision_class.tgz_md5}
    meta = (torchvision_class.meta["filename"], torchvision_class.meta["md5"])
    listed = {"train": torchvision_class.train_list, "test": [*torchvision_class.test_list, meta]}
    batches = {split: {f"{torchvision_class.base_folder}/{name}": md5 for name, md5 in files} for split, files in listed.items()}
    return Official(torchvision_class, {"train": archive, "test": archive}, batches)


def find(spec: DatasetSpec, folder: Path) -> Files | None:
    """The official files in a folder; None if there are none. Packed files come first, since a download renews them.

    Raises UserError that names a missing file if only some are there.
    """
    official = torchvision_files(spec)
    missing = []
    for form in (official.packed, official.unpacked):
        names = _names(form)
        absent = [name for name in names if not (folder / name).is_file()]
        if not absent:
            return form
        if len(absent) < len(names):
            missing.append(absent[0])
    if missing:
        raise UserError(f"{folder / missing[0]}: missing")
    return None


def read(spec: DatasetSpec, folder: Path, form: Files) -> dict[str, Arrays]:
    """Reads both splits from the files that `find` found. Raises UserError that names truncated or altered files.

    CIFAR comes as archives and pickles, which can write files and run code, so none is opened before its md5 is checked.
    """
    official, utils = torchvision_files(spec), import_torchvision("datasets.utils")
    for name, md5 in _names(form).items():
        if not utils.check_integrity(folder / name, md5):
            raise UserError(f"{folder / name}: truncated or altered: its md5 is not {md5}")
    with _unpacked(folder, _names(form)) if form == official.packed else nullcontext(folder) as readable:
        return {split: _read_split(official, readable, split, [folder / name for name in form[split]]) for split in form}


@contextmanager
def _unpacked(folder: Path, names: Mapping[str, str | None]) -> Iterator[Path]:
    extract = import_torchvision("datasets.utils").extract_archive
    with tempfile.TemporaryDirectory() as scratch:
        for name in names:
            place = Path(scratch, name).parent
            place.mkdir(parents=True, exist_ok=True)
            try:
                extract(folder / name, place)
            except (OSError, EOFError, zlib.error) as error:
                raise UserError(f"{folder / name}: cannot be unpacked into {scratch}: {error}") from error
        yield Path(scratch)


def _read_split(official: Official, folder: Path, split: str, files: list[Path]) -> Arrays:
    try:
        dataset = official.torchvision_class(folder, train=split == "train")
        images, labels = np.asarray(dataset.data), np.asarray(dataset.targets, np.int64)
        if len(images) != len(labels):
            raise ValueError(f"{len(images)} images and {len(labels)} labels")
    except Exception as error:  # torchvision raises various types, depending on where it fails on a wrong file
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{', '.join(map(str, files))}: truncated or altered: {reason}") from error
    return images[:, None] if images.ndim == 3 else np.ascontiguousarray(images.transpose(0, 3, 1, 2)), labels


def download_lock(spec: DatasetSpec, folder: Path) -> BaseFileLock:
    """The lock to hold while downloading a data set into a folder, so that no other process finds an incomplete one."""
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / f"{spec.name}.lock")


def fetch(spec: DatasetSpec, folder: Path, *, progress: bool) -> list[Path]:
    """Downloads the official files that are missing from a folder or wrong, and returns the paths of all of them.

    The caller must hold the `download_lock`. Raises UserError that names the ways out if the download fails.
    """
    official = torchvision_files(spec)
    names = _names(official.packed)
    scratch, patience = folder / f"{spec.name}.partial", socket.getdefaulttimeout()
    shutil.rmtree(scratch, ignore_errors=True)  # a killed process left it
    socket.setdefaulttimeout(_TIMEOUT_SECONDS)  # torchvision would wait for ever
    try:
        for name in names:
            for place in (scratch / name, folder / name):
                place.parent.mkdir(parents=True, exist_ok=True)
            if (folder / name).is_file():
                shutil.copy2(folder / name, scratch / name)  # keeps its time, which is part of the fingerprint
                (scratch / name).chmod(0o644)  # a download may have to overwrite it
        with nullcontext() if progress else redirect_stderr(io.StringIO()):  # torchvision always shows a bar
            official.torchvision_class(scratch, download=True)
        return [(scratch / name).replace(folder / name) for name in names]
    except (OSError, RuntimeError, http.client.HTTPException) as error:
        raise UserError(
            f"{spec.name} could not be fetched into {folder} ({' '.join(str(error).split())}). Ways out: run the command "
            f"again; put {', '.join(names)} there; or name a folder that holds the official files or Hugging Face Parquet "
            "shards with --data-dir or FASTRESNET_DATA"
        ) from error
    finally:
        socket.setdefaulttimeout(patience)
        shutil.rmtree(scratch, ignore_errors=True)


def _names(form: Files) -> dict[str, str | None]:
    return {name: md5 for files in form.values() for name, md5 in files.items()}
