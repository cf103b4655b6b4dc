"""The official files: names, md5 sums and addresses as torchvision knows them, fetched so that a break costs little."""

import fcntl
import hashlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from fastresnet.config.datasets import DatasetSpec
from fastresnet.data.vision import import_torchvision
from fastresnet.errors import UserError

_CHUNK_BYTES = 1 << 18
_TIMEOUT_SECONDS = 30


@dataclass(frozen=True)
class OfficialFiles:
    """What to download (file name -> md5 and addresses, best first) and, for CIFAR, what is inside the archive."""

    downloads: dict[str, tuple[str, tuple[str, ...]]]
    subfolder: str = "."
    archive: str = ""
    unpacked_folder: str = ""
    train: dict[str, str] = field(default_factory=dict)
    test: dict[str, str] = field(default_factory=dict)


def official_files(spec: DatasetSpec) -> OfficialFiles:
    """The official files of a data set, read off torchvision's own class."""
    published = getattr(import_torchvision("datasets"), str(spec.torchvision_class))
    if spec.torchvision_class == "FashionMNIST":
        return OfficialFiles(
            downloads={name: (md5, tuple(mirror + name for mirror in published.mirrors)) for name, md5 in published.resources},
            subfolder="FashionMNIST/raw",
        )
    return OfficialFiles(
        downloads={published.filename: (published.tgz_md5, (published.url,))},
        archive=published.filename,
        unpacked_folder=published.base_folder,
        train=dict(published.train_list),
        test=dict(published.test_list),
    )


@contextmanager
def fetching(spec: DatasetSpec, folder: Path) -> Iterator[None]:
    """The block in which a data set is downloaded into a folder, by one process at a time: another would find a part of it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{spec.name}.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def download(spec: DatasetSpec, folder: Path, *, progress: bool) -> list[Path]:
    """Fetches the official files of a data set into a folder, keeping those that are already right.

    Raises UserError naming the ways out if no server delivers.
    """
    official = official_files(spec)
    target = folder / official.subfolder
    target.mkdir(parents=True, exist_ok=True)
    return [fetch_file(target / name, md5, addresses, progress=progress) for name, (md5, addresses) in official.downloads.items()]


def fetch_file(file: Path, md5: str, addresses: tuple[str, ...], *, progress: bool) -> Path:
    """Fetches one file, going on from where an earlier try broke off. Raises UserError if no address delivers it whole."""
    if file.is_file() and _md5(file) == md5:
        return file
    partial = file.with_name(file.name + ".partial")
    failures = []
    for address in addresses:
        try:
            _resume(address, partial, progress=progress)
        except (OSError, http.client.HTTPException) as error:  # URLError, HTTPError and timeouts are OSErrors
            failures.append(f"{address}: {getattr(error, 'reason', None) or error}")
            continue
        found = _md5(partial)
        if found == md5:
            partial.replace(file)
            return file
        partial.unlink()
        failures.append(f"{address}: md5 {found}, expected {md5}")
    raise UserError(
        f"{file.name} could not be fetched ({'; '.join(failures)}). Ways out: run the command again to go on where it broke "
        f"off; put the file at {file}; or name a folder that holds the official files or Hugging Face Parquet shards "
        "with --data-dir or FASTRESNET_DATA"
    )


def _resume(address: str, partial: Path, *, progress: bool) -> None:
    have = partial.stat().st_size if partial.exists() else 0
    # the addresses are torchvision's own, and what they give is compared with its md5
    request = urllib.request.Request(address, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing beyond what is here: complete, or wrong, as the md5 will tell
            return
        raise
    with response:
        if response.status != 206:  # the server sends the whole file again
            have = 0
        length = int(response.headers.get("Content-Length") or 0)
        bar = tqdm(
            desc=f"fetching {partial.stem}",
            total=have + length or None,
            initial=have,
            unit="B",
            unit_scale=True,
            disable=not progress,
        )
        with bar, partial.open("ab" if have else "wb") as out:
            while chunk := response.read(_CHUNK_BYTES):
                out.write(chunk)
                bar.update(len(chunk))
    if length and partial.stat().st_size < have + length:
        raise ConnectionError(f"broke off after {partial.stat().st_size} of {have + length} bytes")


def _md5(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
