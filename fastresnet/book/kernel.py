"""The kernel of a chapter: this environment's interpreter, and nothing of the settings of the user or the system.

Every start of a kernel reads files and variables of both: kernel specifications, IPython's profiles and start-up files,
matplotlib's settings, Python's variables. None of them reaches this kernel. It talks through sockets in a folder of its own,
which needs no network, and what it prints outside of cells is kept there.
"""

import logging
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from traitlets import Unicode
from traitlets.config import Config

from fastresnet.compute.surroundings import check_sockets, environment_without_user_settings
from fastresnet.errors import MachineFault
from fastresnet.records.folders import usable_cache

# IPython would also read configuration and start-up files of the system and of the environment: no variable forbids that
_START = """
from IPython.core.application import ENV_CONFIG_DIRS, SYSTEM_CONFIG_DIRS
from ipykernel.kernelapp import launch_new_instance
ENV_CONFIG_DIRS.clear(), SYSTEM_CONFIG_DIRS.clear(), launch_new_instance()
"""
_COMMAND = (sys.executable, "-X", "utf8", "-c", _START, "-f", "{connection_file}", "--IPKernelApp.ignore_cwd=True")


class OwnKernel(AsyncKernelManager):
    """Starts the kernel of a chapter. Its files lie in `connection_file`'s folder."""

    kernel_spec = KernelSpec(argv=list(_COMMAND), display_name="Python 3", language="python")
    datasets_dir = Unicode().tag(config=True)

    async def start_kernel(self, **options: Any) -> None:  # type: ignore[override]  # asynchronous as its base class
        folder = Path(self.connection_file).parent
        with (folder / "log").open("wb") as log:
            await super().start_kernel(**options, env=_environment(folder, self.datasets_dir), stdout=log, stderr=log)


@contextmanager
def own_kernel(data_dir: Path | None = None) -> Iterator[dict[str, Any]]:
    """Yields the options that make papermill start the kernel, whose files are removed at the end of the block. The kernel looks
    for data sets in `data_dir`.

    Raises MachineFault or OSError, before a kernel starts, if there is no folder for its files, and MachineFault with the reason
    if it does not start.
    """
    check_sockets()
    logging.getLogger("papermill").addHandler(logging.NullHandler())  # it would print what is raised as well
    with tempfile.TemporaryDirectory(prefix="kernel-", ignore_cleanup_errors=True) as folder:
        settings = {"transport": "ipc", "connection_file": str(Path(folder, "kernel.json"))}
        settings |= {"datasets_dir": str(data_dir.resolve())} if data_dir else {}
        try:
            yield {"kernel_manager_class": OwnKernel, "config": Config(OwnKernel=settings)}
        except RuntimeError as error:  # jupyter_client's for a kernel that does not start, without its reason
            log = Path(folder, "log")
            said = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
            if type(error) is RuntimeError and said:
                raise MachineFault(f"{error} ({said[-1]})") from error
            raise


def _environment(folder: Path, data_dir: str) -> dict[str, str]:
    """The kernel's environment variables. Of what the libraries write, only matplotlib's list of fonts is kept between runs."""
    (folder / "matplotlibrc").touch()
    fonts = usable_cache("matplotlib", "matplotlib lists its fonts in every chapter anew") or folder
    own = {"IPYTHONDIR": folder, "MATPLOTLIBRC": folder, "MPLCONFIGDIR": fonts}
    data = {"FASTRESNET_DATA": data_dir} if data_dir else {}
    return environment_without_user_settings() | {name: str(place) for name, place in own.items()} | data
