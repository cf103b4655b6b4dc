"""Folders of files, on this machine or behind a URL that fsspec supports, such as s3://bucket/path. Does not import torch.

    folder = open_folder("s3://bucket/results")
    folder.write("study/experiment/run.json", content)

A file appears under its name whole or not at all: a local file is renamed after writing, and an object store replaces an
object in one operation. Each of fsspec's file systems looks for credentials in its own places, such as the environment.
Credentials are never stored.
"""

import errno
import glob
import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Protocol

import platformdirs

from fastresnet.errors import UserError
from fastresnet.records.atomic import followed, replacing

Place = Path | str
"""A folder or a file: a path, or a URL."""
_FILES_AT_ONCE = 256
"""Most remote files that are read concurrently and held in memory."""


_PATIENCE = {"config_kwargs": {"connect_timeout": 10, "retries": {"max_attempts": 2}}}
"""S3 client settings with which a wrong address fails within seconds instead of minutes."""


class Folder(Protocol):
    """A folder whose files are identified by names relative to it, with slashes."""

    def names(self, pattern: str) -> list[str]:
        """Sorted names that match a glob pattern and have as many parts as it; empty if the folder does not exist. Raises OSError
        or UserError if it cannot be listed."""

    def read(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Yields the name and the content of each file, in the order of the names."""

    def get(self, name: str) -> bytes | None:
        """The content of a file, without listing the folder; None if the file does not exist."""

    def write(self, name: str, content: bytes) -> Place:
        """Writes a file atomically and returns its place."""

    def take(self, file: Path, name: str) -> Place:
        """Moves a local file into this folder atomically and returns its new place."""

    def remove(self, name: str) -> None:
        """Removes a file if it exists."""

    def place(self, name: str) -> Place:
        """The path or URL of a file, whether or not it exists."""

    def check_writable(self) -> None:
        """Raises UserError unless files can be written to this folder."""


def is_url(place: Place) -> bool:
    """Whether a place is a URL, including `file://`."""
    return "://" in str(place)


def at_home(path: str | Path) -> Path:
    """A path whose leading `~/` is the user's home folder. Raises UserError for what is no path."""
    check_path(path)
    return Path(path).expanduser() if Path(path).parts[:1] == ("~",) else Path(path)


def check_path(path: object) -> None:
    """Raises UserError unless a value can be the path or the URL of a file or a folder."""
    if not isinstance(path, str | os.PathLike) or "\0" in str(path):
        raise UserError(f"{path!r:.200}: is no path; allowed: a text without null characters, or a pathlib.Path")


def absolute(place: Place) -> Place:
    """A place as it is named from any working directory: a path becomes absolute, a URL stays."""
    return place if is_url(place) else Path(place).absolute()


def open_folder(place: Place) -> Folder:
    """The folder at a path or URL. Raises UserError with the reason if the URL cannot be used on this machine."""
    check_path(place)
    if not str(place).strip():
        raise UserError(f"{str(place)!r}: names no folder")
    if not is_url(place):
        return LocalFolder(Path(place))
    scheme, _, path = str(place).partition("://")
    if scheme in ("file", "local"):
        if not path.startswith("/"):
            raise UserError(f"{place}: allowed after {scheme}:// is a path that begins with /, as in file:///tmp/results")
        return LocalFolder(Path(path))
    if not path.strip("/"):  # fsspec would take it for a local folder
        raise UserError(f"{place}: must name a folder after {scheme}://, as in s3://bucket/results")
    return RemoteFolder(str(place))


def split_place(place: Place) -> tuple[Place, str]:
    """Splits the place of a file into its folder and its name there."""
    if not is_url(place):
        return Path(place).parent, Path(place).name
    folder, slash, name = str(place).rpartition("/")
    return folder + slash, name


def cache_folder() -> Path:
    """The user's cache folder for fastresnet. It respects XDG_CACHE_HOME. Raises UserError if the user has no home."""
    try:
        return Path(platformdirs.user_cache_dir("fastresnet"))
    except RuntimeError as error:
        raise UserError(f"no folder for a cache: {error}") from error


def usable_cache(subfolder: str, consequence: str) -> Path | None:
    """Makes a subfolder of the cache if missing and returns it. Returns None if it is not writable, with a warning that ends in
    `consequence`."""
    folder = Path(subfolder)
    try:
        folder = cache_folder() / subfolder
        folder.mkdir(parents=True, exist_ok=True)
        LocalFolder(folder).check_writable()
    except (OSError, UserError) as error:
        warnings.warn(f"{folder}: cannot be used ({getattr(error, 'strerror', None) or error}): {consequence}", stacklevel=2)
        return None
    return folder


def local_file(place: Place) -> Path | None:
    """The path of a file on this machine; None for one behind a URL. Raises UserError like `open_folder`."""
    where, name = split_place(place)
    folder = open_folder(where)
    return folder.path / name if isinstance(folder, LocalFolder) else None


def check_file(path: Path) -> None:
    """Raises UserError unless a local file can be created or replaced at a path."""
    target = followed(path)
    folder = LocalFolder(target.parent)
    folder.check_writable()
    partial = f"{target.name}.0.partial"  # a file is written under this name first
    check_length(folder.nearest_existing() / partial, path)  # in a folder that does not exist, no name is too long
    check_length(target.with_name(partial), path)


def check_length(probe: Path, path: Path) -> None:
    """Raises UserError, naming `path`, if the name of `probe` is too long for the file system; `probe` need not exist."""
    try:
        os.lstat(probe)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise UserError(f"{path}: {error.strerror} for what is written there") from error


class LocalFolder:
    """A folder of this machine's file system."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def names(self, pattern: str) -> list[str]:
        try:
            os.scandir(self.path).close()  # glob finds nothing in a file, or in a folder that may not be read
        except FileNotFoundError:
            return []
        except NotADirectoryError as error:
            raise UserError(f"{self.path}: must name a folder; {self.nearest_existing()} is none") from error
        # faster than pathlib's
        return sorted(name.replace(os.sep, "/") for name in glob.glob(pattern, root_dir=self.path))  # noqa: PTH207

    def read(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        for name in names:
            try:
                yield name, (self.path / name).read_bytes()
            except OSError as error:  # a link to nowhere, a folder, or a file that may not be read
                raise UserError(f"{self.path / name}: cannot be read: {error.strerror}") from error

    def get(self, name: str) -> bytes | None:
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, content: bytes) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            partial.write_bytes(content)
        return path

    def take(self, file: Path, name: str) -> Path:
        file.replace(followed(self.path / name))
        return self.path / name

    def remove(self, name: str) -> None:
        (self.path / name).unlink(missing_ok=True)

    def place(self, name: str) -> Path:
        return self.path / name

    def nearest_existing(self) -> Path:
        """The nearest folder or file above that exists: missing folders are created in it."""
        return next((each for each in (self.path, *self.path.parents) if os.path.lexists(each)), Path())

    def check_writable(self) -> None:
        there = self.nearest_existing()
        if not there.is_dir():
            raise UserError(f"{self.path}: must name a folder; {there} is none")
        if not os.access(there, os.W_OK | os.X_OK):  # permission bits do not show a read-only disk
            raise UserError(f"{self.path}: must name a folder that can be written to; {there} cannot")


class RemoteFolder:
    """A folder behind a URL. Its listings are not cached."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        with self._reached():
            import fsspec

            options = _PATIENCE if self.url.startswith("s3://") else {}
            self._system, self._root = fsspec.url_to_fs(self.url, use_listings_cache=False, **options)

    def names(self, pattern: str) -> list[str]:
        with self._reached():
            found = self._system.find(self._root)  # one listing for the whole tree
        names = (path.removeprefix(self._root).lstrip("/") for path in found)
        names = (name for name in names if "/." not in f"/{name}")  # a local folder's hidden files match no pattern, either
        return sorted(name for name in names if name.count("/") == pattern.count("/") and PurePosixPath(name).match(pattern))

    def read(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        names = list(names)
        for start in range(0, len(names), _FILES_AT_ONCE):
            some = names[start : start + _FILES_AT_ONCE]
            paths = [f"{self._root}/{name}" for name in some]
            with self._reached():
                contents = self._system.cat_ranges(paths, None, None, on_error="raise")
            yield from zip(some, contents, strict=True)

    def get(self, name: str) -> bytes | None:
        with self._reached(), suppress(FileNotFoundError):
            content: bytes = self._system.cat_file(f"{self._root}/{name}")
            return content
        return None

    def write(self, name: str, content: bytes) -> str:
        with self._reached():
            self._system.pipe_file(f"{self._root}/{name}", content)
        return self.place(name)

    def take(self, file: Path, name: str) -> str:
        place = self.write(name, file.read_bytes())
        file.unlink()
        return place

    def remove(self, name: str) -> None:
        with self._reached(), suppress(FileNotFoundError):
            self._system.rm_file(f"{self._root}/{name}")

    def place(self, name: str) -> str:
        return f"{self.url}/{name}"

    def check_writable(self) -> None:
        probe = f"{self._root}/.writable"
        with self._reached():
            self._system.pipe_file(probe, b"")
            with suppress(OSError):  # another process has removed it, or removal is not allowed
                self._system.rm_file(probe)

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except ImportError as error:
            raise UserError(f"{self.url}: {error}; for S3, pip install 'fastresnet[cloud]'") from error
        except Exception as error:  # the errors of fsspec's file systems and their libraries share no base class
            reason = " ".join(str(error).split()) or type(error).__name__
            raise UserError(f"{self.url}: cannot be used: {reason}") from error
