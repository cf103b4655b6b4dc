"""Environment of a process: checks that processes can communicate, and environment variables without the user's settings.

Does not import torch.
"""

import os
import shutil
import socket
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

from fastresnet.errors import MachineFault

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # Linux's folder for memory that processes share
_SOCKET = "listener-12345678"
"""A name as Python's multiprocessing gives its sockets; those of a chapter's kernel have shorter ones."""
_USERS = ("PYTHON", "IPYTHON", "JUPYTER", "MPL", "MATPLOTLIB", "LANG", "LC_", "COLUMNS", "LINES")
"""How the names of variables begin that hold the user's settings of Python, IPython, Jupyter, matplotlib, locale and terminal."""


def environment_without_user_settings() -> dict[str, str]:
    """This process's environment variables without the user's settings; Python then imports nothing from the working folder, and
    docutils reads no file of the user or the system."""
    own = {"PYTHONSAFEPATH": "1", "DOCUTILSCONFIG": ""}
    return {name: value for name, value in os.environ.items() if not name.startswith(_USERS)} | own


def git(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Asks git about the checkout that holds a folder. Raises OSError without git, and subprocess.TimeoutExpired after 10 s.

    The checkout may belong to another user, whose code already runs here. Variables that name another checkout, as in a hook or
    an alias of that one, do not count.
    """
    command = ("git", "-c", "safe.directory=*", "--literal-pathspecs", "-C", folder, *arguments)
    variables = {
        name: value for name, value in os.environ.items() if not name.startswith("GIT_") or name.startswith("GIT_CONFIG")
    }
    return subprocess.run(command, capture_output=True, text=True, timeout=10, env=variables)


def check_sockets() -> None:
    """Raises MachineFault unless sockets can be made in the folder for temporary files. It may be full, or its path too long."""
    folder = "TMPDIR"
    try:
        folder = tempfile.gettempdir()
        with tempfile.TemporaryDirectory(prefix="pymp-") as made, socket.socket(socket.AF_UNIX) as probe:
            probe.bind(str(Path(made) / _SOCKET))
            Path(made, "probe").write_bytes(bytes(2**16))  # a disk without room still takes sockets
    except OSError as error:
        reason = error.strerror or error
        raise MachineFault(f"{folder}: processes cannot talk through this folder ({reason}); set TMPDIR to another") from error


def check_loopback() -> None:
    """Raises MachineFault unless processes can connect over 127.0.0.1, which may be down in a network namespace of its own."""
    try:
        with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname(), timeout=10):
            pass
    except OSError as error:
        reason = error.strerror or error
        raise MachineFault(f"127.0.0.1: processes cannot talk through this machine's loopback ({reason}); set it up") from error


def check_shared_memory(num_bytes: int, purpose: str) -> None:
    """Raises MachineFault, naming `purpose`, if fewer than `num_bytes` of shared memory are free."""
    with suppress(FileNotFoundError):  # on other systems than Linux
        free = shutil.disk_usage(_SHARED_MEMORY).free
        if free < num_bytes:
            raise MachineFault(
                f"{purpose}: {num_bytes / 2**20:,.1f} MiB of shared memory are needed and {free / 2**20:,.1f} MiB are free in "
                f"{_SHARED_MEMORY}; take fewer processes or a smaller batch, or give a container more (--shm-size)"
            )
