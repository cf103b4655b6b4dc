"""Atomic writing: a file appears whole or not at all, even if its writer is killed. Does not import torch.

with replacing(path) as partial:
    partial.write_text(...)
"""

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path

from fastresnet.errors import UserError

_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP)
"""What file systems answer that have no locks. For ENOSYS, filelock makes a file that names its owner instead."""
_WRITERS = 1000
"""More processes than write one file at a time. Some file systems answer a request for a new lock as if somebody held it."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path` to write to. That file replaces `path` at the end of the block.

    If the block raises or the disk is full, `path` is unchanged and the temporary file is removed. A killed writer leaves
    `NAME.0.partial` and `NAME.0.lock` behind, with a higher number if several write `NAME` at a time; the next writer of `path`
    reuses them. A symbolic link stays a link, and a file keeps its permissions. An OSError names `path`. Raises UserError if
    `path` exists and is not a file.
    """
    target = followed(path)
    with named(path), _own_partial(target) as partial:
        partial.write_bytes(b"")  # a killed writer may have left content
        yield partial
        with partial.open("rb") as file:
            os.fsync(file.fileno())  # else a power cut could leave an empty file
        with suppress(FileNotFoundError):
            shutil.copymode(target, partial)
        partial.replace(target)


def followed(path: Path) -> Path:
    """The path with symbolic links resolved. Raises UserError if it exists and is a folder, device, pipe or other non-file."""
    target = Path(os.path.realpath(path))
    if os.path.lexists(target) and not target.is_file():
        raise UserError(f"{path}: must name a file; this path exists and is not a file")
    return target


@contextmanager
def named(path: Path | str) -> Iterator[None]:
    """Makes an OSError in the block name `path` if it names no file, as errors of writing do, or only the temporary or lock file
    beside `path`."""
    try:
        yield
    except OSError as error:
        if error.filename is not None and not str(error.filename).endswith((".partial", ".lock")):
            raise
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


@contextmanager
def _own_partial(path: Path) -> Iterator[Path]:
    """Yields the first temporary path whose lock no living process holds, or one of a name of its own where the file system has
    no locks. Removes the file and its lock afterwards."""
    if not path.parent.is_dir():  # filelock would create the folder
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    for number in range(_WRITERS):
        partial, lock = (path.with_name(f"{path.name}.{number}.{suffix}") for suffix in ("partial", "lock"))
        held = _acquired(lock)
        if held is None:
            continue
        if isinstance(held, nullcontext):
            partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}.partial")
        with held:
            try:
                yield partial
            finally:
                partial.unlink(missing_ok=True)
                lock.unlink(missing_ok=True)  # while held: a process that has just opened it sees that it is gone
        return
    raise OSError(errno.ENOLCK, "no file beside it can be locked", str(path))


def _acquired(lock: Path, *, wait: bool = False) -> AbstractContextManager[object] | None:
    """The lock as a context, acquired; None if another process holds it. Where the file system has no locks, it does nothing."""
    from filelock import FileLock, Timeout  # not above: it loads asyncio, which slows down `fastresnet --help`

    try:
        return FileLock(lock).acquire(blocking=wait)
    except Timeout:
        return None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return nullcontext()


@contextmanager
def claimed(path: Path, *, wait: bool = False) -> Iterator[bool]:
    """Keeps the name `path` for this process during the block, by a lock beside it; the file need not exist. Yields whether it
    could: with `wait`, it waits for another process that has it. Where the file system admits that it has no locks, it can."""
    lock = path.with_name(f"{path.name}.lock")
    held = _acquired(lock, wait=wait)
    if held is None:
        yield False
        return
    with held:
        try:
            yield True
        finally:
            lock.unlink(missing_ok=True)
