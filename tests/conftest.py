"""What several test modules share."""

import io
import itertools
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
import warnings
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
import torch

from fastresnet.cli import main
from fastresnet.config import DataConfig, RunConfig, TrainConfig
from fastresnet.config.models import ResNetConfig
from fastresnet.config.schedules import Constant
from fastresnet.errors import UserError
from fastresnet.models.build import check_image_size
from fastresnet.records.store import Store
from fastresnet.study import Experiment, Study
from fastresnet.training.progress import Watcher

from .made_up import record_of

ROOT = Path(__file__).parents[1]
CHROMIUM = shutil.which("chromium")
TINY = RunConfig(
    data=DataConfig(name="fashion-sample", train_images=128, test_images=50, batch_size=32),
    model=ResNetConfig(depth=10, channels=(8, 8, 16, 16), in_channels=1),
    train=TrainConfig(epochs=2, schedule=Constant(lr=0.05)),
)
"""A run of about a second on the embedded sample."""


@pytest.fixture(scope="session", autouse=True)
def _cache_of_its_own(tmp_path_factory):
    """Keeps decoded data and checkpoints of the tests out of the user's cache."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def _safe_path_of_its_own():
    """A command that a test runs in this process sets this variable, for the processes that it starts."""
    yield
    os.environ.pop("PYTHONSAFEPATH", None)


@pytest.fixture
def tiny():
    return TINY


@pytest.fixture
def record(tiny):
    """A record of a finished run, made without a training."""
    return record_of(tiny, 0.5)


@pytest.fixture
def real_data():
    """The folder of the full data sets; tests that need it are skipped where there is none."""
    folder = os.environ.get("FASTRESNET_DATA")
    if not folder:
        pytest.skip("FASTRESNET_DATA names no folder with the full data sets")
    return Path(folder)


@pytest.fixture
def set_threads():
    """Sets how many threads torch computes with, until the test is over."""
    threads = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(threads)


@pytest.fixture
def one_thread(set_threads):
    """As many threads as a worker of a cluster or one of several processes of a run has here: more would sum in another order."""
    set_threads(1)


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium."""
    if not CHROMIUM:
        pytest.skip("chromium is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-sync", "--disable-background-networking"],
        )
        yield chromium
        chromium.close()


@pytest.fixture
def show(browser, tmp_path):
    """Opens a widget as a page from the disk, and fails if a script on it does, or asks for anything."""
    errors, pages = [], []

    def open_page(widget, ready, *, width=1200, theme="light"):
        path = tmp_path / "page.html"
        head = f'<!doctype html><html lang="en" data-theme="{theme}"><head><meta charset="utf-8"><title>Explorer</title></head>'
        colours = "" if theme == "light" else ' style="background: #14181e; color: #ced6dd; --pst-color-text-base: #ced6dd"'
        path.write_text(f"{head}<body{colours}><main><h1>Explorer</h1>{widget.static_html()}</main></body></html>")
        page = browser.new_page(viewport={"width": width, "height": 1000})
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("request", lambda request: errors.append(request.url) if not request.url.startswith("file:") else None)
        page.goto(path.as_uri())
        page.wait_for_selector(ready, state="attached")
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert not errors


@pytest.fixture(scope="module")
def load_script(browser):
    """Loads a widget's script as the module `explorer` of an empty page."""
    page = browser.new_page()
    load = """async (script) => {
        const blob = new Blob([script], { type: "text/javascript" });
        window.explorer = await import(URL.createObjectURL(blob));
    }"""

    def load_into_page(widget):
        page.evaluate(load, widget._esm)
        return page

    yield load_into_page
    page.close()


def accessibility_findings(page, context=None, impacts=("minor", "moderate", "serious", "critical")):
    """What axe finds on a page, or within a selector on it, with the first piece of HTML that it is found in."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page, context=context).response["violations"]
    return [(each["id"], each["nodes"][0]["html"]) for each in found if each["impact"] in impacts]


def free_port():
    """A port of this machine that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(condition, seconds=120):
    """What a condition answers once that is true; fails if it never is."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return found


# a shell has its background jobs, and so these tests in one, ignore SIGINT, and nohup makes them ignore SIGHUP
PROGRAM = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
from fastresnet.cli import main; main()
"""


def started(*arguments, cwd=ROOT, **environment):
    """The command line as a user starts it."""
    line = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(line, stdout=pipe, stderr=pipe, text=True, cwd=cwd, env={**os.environ, **environment})


def command(*arguments, **options):
    """What the command line answers."""
    with started(*arguments, **options) as process:
        out, err = process.communicate(timeout=300)
    return SimpleNamespace(returncode=process.returncode, stdout=out, stderr=err)


def command_here(*arguments):
    """What `command` answers, from this process, which need not load torch anew."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP)}
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings(), redirect_stdout(out), redirect_stderr(err):
        patch.setattr("sys.argv", ["fastresnet", *map(str, arguments)])
        patch.setattr("sys.unraisablehook", sys.unraisablehook)  # restored, since `main` sets its own
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)
    return SimpleNamespace(returncode=code, stdout=out.getvalue(), stderr=err.getvalue())


def smallest_side(model):
    """The least side of images that a network of this configuration is said to take."""
    for side in itertools.count(1):
        with suppress(UserError):
            check_image_size(model, side)
            return side
    return None


def study_of(folder, seeds=(0,), **variants):
    """A study of one experiment, A, whose records are kept in a folder or at a URL."""
    return Study("trial", "cpu", {"A": Experiment("A", "?", variants, seeds)}, Store([folder]))


def write_notebook(path, *cells, **metadata):
    """Writes a notebook of cells of code; the metadata are those of the first."""
    cells = [nbformat.v4.new_code_cell(source) for source in cells]
    cells[0].metadata |= metadata
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)


class StopAfter(Watcher):
    """Interrupts a run after so many epochs, when its checkpoint is written."""

    def __init__(self, epochs):
        self.epochs = epochs

    def epoch_done(self, epoch):
        if epoch.epoch == self.epochs:
            raise KeyboardInterrupt


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return open, (str(self.file), "w")


@contextmanager
def no_more_than(size):
    """No file may grow beyond so many bytes: the system then answers as a full disk does."""
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


def refused(done):
    """The one line of an answer that refuses a request."""
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("fastresnet: ")
    return done.stderr.strip()
