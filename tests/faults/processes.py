"""Command lines in processes of their own, forked from one that has torch loaded: they start in a moment and die for real."""

import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.faults.loaded"])


class Process:
    """A command line that runs in `folder`, which also holds its cache; what it prints is kept."""

    def __init__(self, arguments, folder, *, before=None, **environment):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._began = folder / "began"
        self._began.unlink(missing_ok=True)
        environment = {"XDG_CACHE_HOME": str(folder / "cache")} | environment
        self._process = _context.Process(target=_main, args=([*map(str, arguments)], folder, environment, before))
        self._process.start()

    def kill(self, after, how):
        """Sends a signal some seconds after the command line began. Returns whether the process had not ended by then."""
        while not self._began.exists() and self.running:
            time.sleep(0.01)
        self._process.join(after)
        running = self.running
        if running:
            os.kill(self._process.pid, how)
        return running

    def wait(self, seconds=300):
        """Its exit code; minus the number of a signal that ended it."""
        self._process.join(seconds)
        assert self._process.exitcode is not None, "did not end"
        return self._process.exitcode

    @property
    def running(self):
        return self._process.exitcode is None

    @property
    def output(self):
        return (self.folder / "stdout").read_text(errors="replace")

    @property
    def errors(self):
        return (self.folder / "stderr").read_text(errors="replace")


def run(arguments, folder, **options):
    """Runs a command line to its end. Returns it and its wall seconds."""
    start = time.perf_counter()
    process = Process(arguments, folder, **options)
    process.wait()
    return process, time.perf_counter() - start


def _main(arguments, folder, environment, before):
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has its background jobs ignore it
    os.chdir(folder)
    for stream, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    sys.argv = ["fastresnet", *arguments]
    from fastresnet.cli import main

    if before:
        before(folder)
    Path("began").touch()
    main()


def left_over(folder):
    """Files that no finished writer leaves."""
    return [path for path in Path(folder).rglob("*") if "partial" in path.name]
