"""Files that appear whole or not at all, whatever stops their writer. Free of torch.

with replacing(path) as partial:
    partial.write_text(...)
"""

import errno
import itertools
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fastresnet.errors import UserError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to, which takes the place of `path` once the block is done.

    If the block raises, or the disk does not take all of it, `path` is as it was and what was written is removed. A killed
    writer leaves `NAME.0.partial` and `NAME.0.lock` behind (a higher number where several write `NAME` at a time), which are
    nobody's: the next to write `path` takes them over. A link stays one and a file keeps its permissions. An OSError names
    `path`. Raises UserError if something else than a file is there.
    """
    target = followed(path)
    with _named(path), _own_partial(target) as partial:
        partial.write_bytes(b"")  # a killed writer may have left some
        yield partial
        with partial.open("rb") as file:
            os.fsync(file.fileno())  # else a power cut could leave the new name with nothing under it
        with suppress(FileNotFoundError):
            shutil.copymode(target, partial)
        partial.replace(target)


def followed(path: Path) -> Path:
    """The path of a file once links are followed. Raises UserError if it is a device, a pipe or anything else that is no file."""
    target = Path(os.path.realpath(path))
    if os.path.lexists(target) and not target.is_file():
        raise UserError(f"{path}: must name a file; what is there is none")
    return target


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Errors that name no file, as those of writing do, or one beside it, which nobody asked for, name `path`."""
    try:
        yield
    except OSError as error:
        if error.filename is not None and not str(error.filename).endswith((".partial", ".lock")):
            raise
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


@contextmanager
def _own_partial(path: Path) -> Iterator[Path]:
    """The first of the names that no living process writes to; others know by the lock beside it. Neither is left behind."""
    from filelock import FileLock, Timeout  # not above: it loads asyncio, in the time that `fastresnet --help` takes

    if not path.parent.is_dir():  # filelock would make one
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    for number in itertools.count():
        partial, lock = (path.with_name(f"{path.name}.{number}.{suffix}") for suffix in ("partial", "lock"))
        try:
            held = FileLock(lock).acquire(blocking=False)
        except Timeout:
            continue
        with held:
            try:
                yield partial
            finally:
                partial.unlink(missing_ok=True)
                lock.unlink(missing_ok=True)  # while it is held: whoever has opened it meanwhile sees that it is gone
        return
