"""Readers of Parquet shards and tensor files. Each returns uint8 images and int64 labels, or raises
UserError that names the file that is missing, truncated or altered."""

import hashlib
import io
import re
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from fastresnet.data.pictures import as_pixels, read_picture
from fastresnet.errors import UserError

Arrays = tuple[np.ndarray, np.ndarray]
"""Images uint8 [N, C, H, W] and labels int64 [N]."""


def read_tensor_file(path: Path) -> dict[str, Arrays]:
    """Reads an .npz file with the arrays SPLIT_images and SPLIT_labels for the splits train and test."""
    keys = {split: (f"{split}_images", f"{split}_labels") for split in ("train", "test")}
    allowed = ", ".join(key for pair in keys.values() for key in pair)
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {split: (file[images], file[labels]) for split, (images, labels) in keys.items()}
    except (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path}: not a readable .npz with arrays {allowed}: {error}") from error
    for split, (images, labels) in arrays.items():
        if (
            images.dtype != np.uint8
            or labels.dtype.kind not in "iu"
            or (images.ndim, labels.ndim) != (4, 1)
            or not (images.size and labels.size)
            or len(images) != len(labels)
            or labels.astype(np.int64).min() < 0
        ):
            raise UserError(
                f"{path}: {split}_images must be uint8 [N, C, H, W] and {split}_labels whole numbers from 0 [N], with N > 0; "
                f"got {images.dtype} {list(images.shape)} and {labels.dtype} {list(labels.shape)}"
            )
    return {split: (images, labels.astype(np.int64)) for split, (images, labels) in arrays.items()}


def check_sha256(files: Sequence[Path], sums: Path) -> None:
    """Checks files against a SHA256SUMS file, whose lines hold a digest and a name relative to its folder.

    Raises UserError that names a file if it is not listed or has another digest.
    """
    try:
        lines = (line.split(maxsplit=1) for line in sums.read_text(encoding="utf-8").splitlines() if line.strip())
        listed = {name.removeprefix("*").removeprefix("./"): digest.lower() for digest, name in lines}
    except ValueError as error:  # also for a file that is not text
        raise UserError(f"{sums}: expected a digest and a name on each line: {error}") from error
    for file in files:
        wanted = listed.get(name := file.relative_to(sums.parent).as_posix())
        if wanted is None:
            raise UserError(f"{sums}: does not list {name}")
        with file.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found != wanted:
            raise UserError(f"{file}: altered: sha256 {found[:16]}, {sums} says {wanted[:16]}")


def parquet_shards(folder: Path, split: str) -> list[Path]:
    """The shards `SPLIT-00000-of-0000N.parquet` of a split, anywhere below a folder; empty if there are none.

    Raises UserError that names the first missing shard.
    """
    shards = sorted(folder.rglob(f"{split}-*-of-*.parquet"))
    if shards:
        count = re.search(r"-of-(\d+)", shards[0].name)
        for index in range(int(count[1]) if count else len(shards)):
            wanted = re.sub(r"-\d+-of-", f"-{index:05d}-of-", shards[0].name)
            if not any(shard.name == wanted for shard in shards):
                raise UserError(f"{shards[0].with_name(wanted)}: missing")
    return shards


def read_parquet(shards: Sequence[Path], label_column: str, progress: bool) -> Arrays:
    """Reads Hugging Face image shards, with a column `img` or `image` of encoded bytes and a column of labels."""
    import pyarrow
    import pyarrow.parquet

    images: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    for shard in shards:
        try:
            table = pyarrow.parquet.read_table(shard)
        except (pyarrow.ArrowException, OSError) as error:
            raise UserError(f"{shard}: truncated or altered: {' '.join(str(error).split())}") from error
        image_column = next((name for name in ("img", "image") if name in table.column_names), None)
        if image_column is None or label_column not in table.column_names:
            raise UserError(f"{shard}: expected columns img or image, and {label_column}; got {', '.join(table.column_names)}")
        encoded = (cell["bytes"].as_py() for cell in table[image_column])
        bar = tqdm(encoded, desc=f"decoding {shard.name}", total=len(table), unit="image", disable=not progress)
        decoded = [read_picture(io.BytesIO(content), name=f"{shard} row {row}") for row, content in enumerate(bar)]
        images.append(_stack([as_pixels(picture) for picture in decoded], shard))
        labels.append(table[label_column].to_numpy().astype(np.int64))
    return np.concatenate(images), np.concatenate(labels)


def _stack(images: list[np.ndarray], where: Path) -> np.ndarray:
    shapes = {image.shape for image in images}
    if len(shapes) != 1:
        raise UserError(f"{where}: images must all have one shape [C, H, W], got {sorted(shapes) or 'no image'}")
    return np.stack(images)
