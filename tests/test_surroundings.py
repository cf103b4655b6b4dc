"""What surrounds a run neither changes it nor is blamed on it: the user's settings, terminals, caches, processes that fail."""

import errno
import io
import json
import multiprocessing
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import nbformat
import pytest

from fastresnet import cli
from fastresnet.book import build
from fastresnet.book.kernel import own_kernel
from fastresnet.compute import surroundings
from fastresnet.compute.provenance import source_revision
from fastresnet.data import worker_batches
from fastresnet.errors import MachineFault
from fastresnet.records.folders import usable_cache
from fastresnet.training.runs import train

from .conftest import command_here, study_of, write_notebook

TOO_LONG = "x" * 300
"""A folder of this name can be neither made nor looked into, even by the superuser."""


@pytest.fixture
def loading(tiny):
    """A run whose images are loaded by a process of their own."""
    return tiny.with_changes({"data.loader": "worker", "data.num_workers": 1, "train.epochs": 1})


def test_recipes_are_printed_on_an_ascii_terminal_with_standard_error_closed(monkeypatch):
    printed = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(printed, encoding="ascii", write_through=True))
    monkeypatch.setattr(sys, "stderr", None)
    monkeypatch.setattr(sys, "argv", ["fastresnet", "recipes"])
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    assert b" \\xb1 " in printed.getvalue()


SPAWNING = """
import multiprocessing
from fastresnet import cli

cli.app = lambda **_: multiprocessing.get_context("spawn").Process(target=print, args=("mine",)).start()
cli.main()
"""


LOSING = """
import os, signal, time
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which nohup makes these tests ignore
from fastresnet import cli

class Loses:
    def __del__(self):
        {}

cli.app = lambda **_: Loses() and None or time.sleep({})
cli.main()
"""


@pytest.mark.parametrize(
    ("lost", "waits", "code", "said"),
    [
        ("os.kill(os.getpid(), signal.SIGTERM)", 10, 130, "interrupted; what is recorded is kept, .*"),
        ("os.kill(os.getpid(), signal.SIGHUP)", 10, 130, "interrupted; what is recorded is kept, .*"),
        ("raise RuntimeError('a process is gone')", 0, 0, "warning: RuntimeError: a process is gone"),
    ],
    ids=["SIGTERM", "SIGHUP", "error"],
)
def test_what_python_cannot_raise_is_said_on_one_line_and_interrupts(lost, waits, code, said):
    program = LOSING.format(lost, waits)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == code
    assert re.fullmatch(f"fastresnet: {said}\n", done.stderr)


def test_memory_that_is_not_there_is_one_line(monkeypatch):
    monkeypatch.setattr(cli, "app", lambda **_: bytearray(2**62))
    done = command_here()
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "out of memory" in done.stderr


def test_hangup_ends_nothing_that_was_started_with_nohup():
    program = (
        "import os, signal\nfrom fastresnet import cli\ncli.app = lambda **_: os.kill(os.getpid(), signal.SIGHUP)\ncli.main()"
    )
    assert subprocess.run(["nohup", sys.executable, "-c", program], capture_output=True).returncode == 0


def test_processes_import_nothing_from_the_working_folder(tmp_path):
    """A spawned one imports before it knows its parent's path."""
    (tmp_path / "socket.py").write_text("raise SystemExit('not mine')")
    done = subprocess.run([sys.executable, "-P", "-c", SPAWNING], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "mine\n", done.stderr


def test_study_trains_without_checkpoints_where_the_cache_cannot_be_used(tiny, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / TOO_LONG))
    with pytest.warns(UserWarning, match="checkpoints: cannot be used .*: a run that is interrupted has to begin again"):
        ((_, record),) = study_of(tmp_path, one=tiny).train_missing()
    assert record.outcome.status == "finished"


@pytest.mark.parametrize("fault", [OSError(errno.ENOSPC, "No space left on device"), MachineFault("no shared memory")])
def test_fault_of_the_surroundings_ends_a_study_and_is_not_recorded(tiny, fault, monkeypatch, tmp_path):
    from fastresnet.training import runs

    monkeypatch.setattr(runs, "train_epochs", Mock(side_effect=fault))
    with pytest.raises(type(fault)):
        list(study_of(tmp_path, one=tiny).train_missing())
    assert not list(tmp_path.rglob("*.json"))


def test_user_without_a_home_does_without_a_cache(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    with pytest.warns(UserWarning, match="checkpoints: cannot be used .*home"):
        assert usable_cache("checkpoints", "") is None


def test_machine_without_loopback_is_named_before_a_local_cluster_starts(monkeypatch, tiny, tmp_path):
    unavailable = OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")
    monkeypatch.setattr(socket, "create_server", Mock(side_effect=unavailable))
    with pytest.raises(MachineFault, match="loopback \\(Cannot assign"):
        list(study_of(tmp_path, one=tiny).train_missing(dask="local"))


def test_revision_is_this_checkout_s_also_within_a_hook_of_another(monkeypatch, tmp_path):
    here = source_revision.__wrapped__()
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    for name in ("GIT_DIR", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY"):
        with monkeypatch.context() as hook:
            hook.setenv(name, str(tmp_path / ".git"))
            assert source_revision.__wrapped__() == here, name


def long_folder(monkeypatch, tmp_path):
    """Makes a folder with a path too long for sockets that for temporary files."""
    folder = tmp_path / ("y" * 100)
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setitem(multiprocessing.current_process()._config, "tempdir", str(folder))


def test_long_path_of_temporary_files_is_named_before_any_training(loading, monkeypatch, tmp_path):
    long_folder(monkeypatch, tmp_path)
    with pytest.raises(MachineFault, match=r"y{100}: processes cannot talk through this folder \(.*\); set TMPDIR to another"):
        train(loading)


def test_folder_of_temporary_files_without_room_is_named_before_any_training(loading, monkeypatch):
    monkeypatch.setattr(Path, "write_bytes", Mock(side_effect=OSError(errno.ENOSPC, "No space left on device")))
    with pytest.raises(MachineFault, match=r"talk through this folder \(No space left on device\); set TMPDIR to another"):
        train(loading)


def test_too_little_shared_memory_is_named_before_any_training(loading, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2 * 32 * 28 * 28 * 4 - 1))
    with pytest.raises(MachineFault, match="num_workers 1, batches of 32: .* shared memory are needed .*--shm-size"):
        train(loading)


def test_system_without_a_folder_of_shared_memory_is_not_asked(monkeypatch, tmp_path):
    monkeypatch.setattr(surroundings, "_SHARED_MEMORY", tmp_path / "nowhere")
    surroundings.check_shared_memory(2**60, "a run")


def killed(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def test_killed_process_that_loads_images_ends_the_run_with_one_line(loading, monkeypatch):
    monkeypatch.setattr(worker_batches._TransformedImages, "__getitem__", killed)
    with pytest.raises(MachineFault, match=r"data\.num_workers 1: DataLoader worker .*") as raised:
        train(loading)
    assert "\n" not in str(raised.value)


def test_process_that_cannot_send_its_images_ends_the_run(loading, monkeypatch, tmp_path):
    long_folder(monkeypatch, tmp_path)
    monkeypatch.setattr(worker_batches, "check_sockets", lambda: None)  # as if the folder had filled up since
    with pytest.raises(MachineFault, match=r"data\.num_workers 1: DataLoader worker .* exit"):
        train(loading)


def test_process_that_loads_images_says_nothing_of_its_own(monkeypatch, capsys):
    for place, name in ((sys, "excepthook"), (worker_batches.Queue, "_on_queue_feeder_error")):
        monkeypatch.setattr(place, name, getattr(place, name))
    worker_batches._end_if_unable_to_send(0)
    sys.excepthook(ConnectionResetError, ConnectionResetError(), None)
    assert capsys.readouterr().err == ""


def test_processes_that_cannot_be_started_are_named(loading, monkeypatch):
    refused = BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
    monkeypatch.setattr(os, "fork", Mock(side_effect=refused))
    with pytest.raises(MachineFault, match="num_workers 1: the processes that load images cannot work .*temporarily"):
        train(loading)


def test_book_is_rendered_without_the_user_s_settings(monkeypatch, tmp_path):
    given = []
    monkeypatch.setattr(build.subprocess, "run", lambda *_, env, **__: given.append(env) or SimpleNamespace(returncode=0))
    for name in ("PYTHONPATH", "MPLBACKEND", "LC_ALL", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
    build.render(tmp_path, tmp_path, strict=True)
    assert {"PYTHONPATH", "MPLBACKEND", "LC_ALL", "OMP_NUM_THREADS", "PYTHONSAFEPATH"} & set(given[0]) == {
        "OMP_NUM_THREADS",
        "PYTHONSAFEPATH",
    }


@pytest.mark.slow
def test_book_is_rendered_without_the_user_s_settings_of_docutils(monkeypatch, tmp_path):
    for place, text in {
        "home/.docutils": "[general]\ninitial_header_level: 4",
        "source/_config.yml": "title: A book",
        "source/_toc.yml": "format: jb-book\nroot: index",
        "source/index.md": "# A page",
    }.items():
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_text(text)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    build.render(tmp_path / "source", tmp_path, strict=False)
    assert "<h4>" not in (tmp_path / "_build" / "html" / "index.html").read_text()


def test_kernel_that_does_not_start_says_why():
    with pytest.raises(MachineFault, match=r"^Kernel died \(No module named zmq\)$"), own_kernel() as options:
        folder = Path(options["config"].OwnKernel.connection_file).parent
        (folder / "log").write_text("Traceback\nNo module named zmq\n")
        raise RuntimeError("Kernel died")


HOSTILE = """
from pathlib import Path
from fastresnet.book import notebooks

notebooks.project_root = Path.cwd
notebooks.chapter_file = lambda name: Path("source.ipynb")
notebooks.run_chapter("trial", Path("out.ipynb"), {"number": 2})
"""
CELLS = """
import calendar, json, os, subprocess, sys
import fastresnet
import matplotlib.pyplot as plt
from fastresnet.report import style
style.use()
plt.figure(figsize=(1, 1)).text(0, 0, "±")
assert calendar.isleap(2024) and "TAINTED" not in os.environ and "tainted" not in globals()
assert not {"/tainted", ""} & set(sys.path)
usetex, colour = plt.rcParams["text.usetex"], plt.rcParams["axes.facecolor"]
print(sys.executable, usetex, colour, open(os.devnull).encoding, plt.get_backend())
"""


@pytest.mark.slow
def test_nothing_of_the_user_s_reaches_the_kernel_of_a_chapter(tmp_path):
    """All at once, and without a network and with settings of the system's, where the system lets a process have its own."""
    home, noise = tmp_path / "home", "import atexit, os; _ = atexit.register(os.write, 2, b'noise')"
    write_notebook(tmp_path / "source.ipynb", "number = 1", CELLS, noise, tags=["parameters"])
    for place, text in {
        "calendar.py": "raise SystemExit('not mine')",
        "matplotlibrc": "text.usetex: True\naxes.facecolor: red",
        "home/ipython/profile_default/startup/00.py": "tainted = 1",
        "home/ipython/profile_default/ipython_kernel_config.py": "c.IPKernelApp.exec_lines = ['tainted = 1']",
        "home/.config/matplotlib/matplotlibrc": "axes.facecolor: red",
        "home/startup.py": "tainted = 1",
        "etc/ipython/startup/00.py": "tainted = 1",
        "etc/ipython/ipython_kernel_config.py": "c.IPKernelApp.exec_lines = ['tainted = 1']",
        "home/jupyter/kernels/python3/kernel.json": json.dumps({"argv": ["false"], "display_name": "", "language": "python"}),
    }.items():
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text(text)
    theirs = {
        "HOME": home,
        "XDG_CACHE_HOME": home / TOO_LONG,
        "IPYTHONDIR": home / "ipython",
        "JUPYTER_PATH": home / "jupyter",
        "JUPYTER_RUNTIME_DIR": home / TOO_LONG,
        "MATPLOTLIBRC": tmp_path / "matplotlibrc",
        "MPLBACKEND": "TkAgg",
        "PYTHONPATH": "/tainted",
        "PYTHONSTARTUP": home / "startup.py",
        "PYTHONWARNINGS": "error",
        "LC_ALL": "C",
        "TERM": "dumb",
    }
    apart = ["unshare", "--net", "--mount", "sh", "-c", 'mount --bind etc /usr/local/etc && exec "$@"', "sh"]
    if subprocess.run([*apart, "true"], cwd=tmp_path, capture_output=True).returncode:
        apart = []
    done = subprocess.run(
        [*apart, sys.executable, "-P", "-W", "default", "-c", HOSTILE],
        cwd=tmp_path,
        env={**os.environ, **{name: str(value) for name, value in theirs.items()}},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "noise" not in done.stderr
    out = nbformat.read(tmp_path / "out.ipynb", 4)
    (printed,) = (each for cell in out.cells for each in cell.outputs if each.output_type == "stream")
    assert printed.text == f"{sys.executable} False white utf-8 module://matplotlib_inline.backend_inline\n"
    assert str(tmp_path) not in json.dumps(out.metadata)
