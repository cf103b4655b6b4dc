"""Files that appear whole or not at all, whatever stops their writer. Free of torch.

with replacing(path) as partial:
    partial.write_text(...)
"""

import glob
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to, which takes the place of `path` once the block is done.

    If the block raises, or the disk does not take all of it, `path` is as it was and what was written is removed. A killed
    writer leaves `NAME.HOST.PID.partial` behind, which is no file of anybody's: the next to write `path` on that machine
    removes it.
    """
    host = socket.gethostname()
    partial = path.with_name(f"{path.name}.{host}.{os.getpid()}.partial")
    try:
        yield partial
        with partial.open("rb") as file:
            os.fsync(file.fileno())  # else a power cut could leave the new name with nothing under it
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    for left in path.parent.glob(f"{glob.escape(f'{path.name}.{host}')}.*.partial"):
        if not _alive(left.name.split(".")[-2]):
            left.unlink(missing_ok=True)


def _alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:  # somebody else's
        return True
    return True
