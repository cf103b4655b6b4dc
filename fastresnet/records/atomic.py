"""Files that appear whole or not at all, whatever stops their writer. Free of torch.

with replacing(path) as partial:
    partial.write_text(...)
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from fastresnet.errors import UserError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to, which takes the place of `path` once the block is done.

    If the block raises, or the disk does not take all of it, `path` is as it was and what was written is removed. A killed
    writer leaves `NAME.0.partial` behind (a higher number where several write `NAME` at a time), which is no file of
    anybody's: the next to write `path` takes it over. A link stays one and a file keeps its permissions. An OSError names
    `path`. Raises UserError if something else than a file is there.
    """
    target = followed(path)
    with _named(path):
        partial, lock = _own_partial(target)
        with lock:
            try:
                os.truncate(partial, 0)  # what a killed writer left
                yield partial
                with partial.open("rb") as file:
                    os.fsync(file.fileno())  # else a power cut could leave the new name with nothing under it
                with suppress(FileNotFoundError):
                    shutil.copymode(target, partial)
                partial.replace(target)
            except BaseException:
                partial.unlink(missing_ok=True)
                raise


def followed(path: Path) -> Path:
    """Where a file lies once links are followed. Raises UserError if what is there is no file, a device or a pipe say."""
    target = Path(os.path.realpath(path))
    if os.path.lexists(target) and not target.is_file():
        raise UserError(f"{path}: must name a file; what is there is none")
    return target


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Errors that name no file, as those of writing do, or the partial one, which nobody asked for, name `path`."""
    try:
        yield
    except OSError as error:
        if error.filename is not None and not str(error.filename).endswith(".partial"):
            raise
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def _own_partial(path: Path) -> tuple[Path, BinaryIO]:
    """The first of the names that no living process writes to, and the open file by whose lock the others know."""
    number = 0
    while True:
        partial = path.with_name(f"{path.name}.{number}.partial")
        file = partial.open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            number += 1
        else:
            if _is(partial, file):
                return partial, file
        file.close()  # here also if another has just finished with it, and it has its final name now


def _is(path: Path, file: BinaryIO) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
