"""The command line, with a module for each group of commands. It is the only part of the package that prints."""

import io
import os
import re
import signal
import sys
import threading
import time
import warnings
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from fastresnet import __version__
from fastresnet.cli import chapters, data, study, training  # noqa: F401  # each adds its commands
from fastresnet.cli.options import app
from fastresnet.errors import UserError

_INTERRUPTED = 130
_SECONDS_TO_SPEAK = 5
_ClickError: Any = typer.BadParameter.__mro__[2]  # whether click lies inside typer or beside it depends on typer's version


def main(commands: typer.Typer | None = None) -> None:
    """Runs the command line `commands`, by default this package's own.

    Exit codes: 2 for a request that cannot be served, 1 for work that failed, 130 for Ctrl-C and SIGTERM.
    """
    _open_streams()
    os.environ["PYTHONSAFEPATH"] = "1"  # else a calendar.py in the working folder replaces Python's in processes that are started
    # of the processes that torchrun starts on a machine, only the first prints: all meet the same errors
    silent = "TORCHELASTIC_RUN_ID" in os.environ and os.environ.get("LOCAL_RANK", "0") != "0"
    warnings.showwarning = lambda message, *_: None if silent else print(f"fastresnet: warning: {message}", file=sys.stderr)
    warnings.filterwarnings("default", category=UserWarning)  # PYTHONWARNINGS could make errors of this package's own warnings
    for each in (signal.SIGTERM, signal.SIGHUP):  # a scheduler and a closed terminal end a run as Ctrl-C does
        if signal.getsignal(each) != signal.SIG_IGN:  # as nohup makes it
            signal.signal(each, signal.default_int_handler)
    sys.unraisablehook = _unraisable
    try:
        Path.cwd()
    except FileNotFoundError:
        _stop("the working folder is gone; change to another", 1)
    try:
        # a shell leaves the ~ in --option=~/path as it is
        arguments = [re.sub(r"^(--[\w-]+=)(~(?:/.*)?)$", _at_home, each, flags=re.DOTALL) for each in sys.argv[1:]]
        # raises errors, returns the code of an exit
        code = (commands or app)(args=arguments, prog_name="fastresnet", standalone_mode=False)
    except _ClickError as error:
        # an error without a message means a group without a command, whose help has been shown
        _stop(_with_help(error), 2) if error.format_message() else sys.exit(2)
    except UserError as error:
        if silent:
            with suppress(KeyboardInterrupt):  # torchrun ends all processes once one has ended; the first needs time to print why
                time.sleep(_SECONDS_TO_SPEAK)
            raise SystemExit(2) from error
        _stop(" ".join(str(error).split("\n")), 2)
    except RecursionError:
        _stop("the request is nested too deeply", 2)
    except MemoryError:
        _stop("out of memory: the machine, or a limit on this process, leaves too little", 1)
    except RuntimeError as error:  # a run or a chapter that failed, already recorded or kept
        _stop(str(error), 1)
    except OSError as error:  # for example a full disk, or a file where a folder should be
        if error.filename is None and sys.stdout is sys.__stdout__:  # standard output, flushed again at the end
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        _stop(f"{error.filename or 'file system'}: {error.strerror or error}", 1)
    except KeyboardInterrupt:
        code = _INTERRUPTED
    except ImportError as error:
        if not isinstance(error.__cause__, KeyboardInterrupt):  # C extensions turn KeyboardInterrupt into ImportError
            _name_extra(error)
            raise
        code = _INTERRUPTED
    if code == _INTERRUPTED and not silent:
        _stop("interrupted; what is recorded is kept, and a study or a checkpoint goes on from there", _INTERRUPTED)
    sys.exit(code)


def _at_home(option: re.Match[str]) -> str:
    return option[1] + os.path.expanduser(option[2])  # noqa: PTH111


def _open_streams() -> None:
    """Makes printing safe: a closed stdout or stderr discards text, and characters that it cannot encode are escaped."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name) or open(os.devnull, "w")  # noqa: PTH123, SIM115  # open until the process ends
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
        setattr(sys, name, stream)


def _unraisable(lost: Any) -> None:
    """Interrupts once more if Python has lost an interruption, as it does in `__del__` and while it forks. It warns of other
    exceptions that cannot be raised, on one line."""
    if isinstance(lost.exc_value, KeyboardInterrupt):
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()  # now it would be lost again
    else:
        warnings.warn(f"{lost.exc_type.__name__}: {lost.exc_value}", stacklevel=2)


def _name_extra(error: ImportError) -> None:
    """Exits with a line on how to install a missing package, if it belongs to an extra of this one."""
    package = (error.name or "").partition(".")[0]
    for requirement in metadata.requires("fastresnet") or ():
        found = re.fullmatch(rf"{re.escape(package)}\b[^;]*; *extra == ['\"](\w+)['\"]", requirement, re.IGNORECASE)
        if found and package not in ("", "fastresnet"):  # which one of its own extras requires
            _stop(f"{package} is not installed; get it with: pip install 'fastresnet[{found[1]}]'", 2)


def _with_help(error: Any) -> str:
    place = f" (see {error.ctx.command_path} --help)" if error.ctx else ""
    return f"{' '.join(error.format_message().split())}{place}"


def _stop(message: str, code: int) -> NoReturn:
    print(f"fastresnet: {message}", file=sys.stderr)
    raise SystemExit(code)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"fastresnet {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    for name in ("FASTRESNET_DATA", "XDG_CACHE_HOME"):  # also read by processes that are started in other folders
        if place := os.environ.get(name):
            os.environ[name] = str(Path(place).absolute())
    if "TORCHELASTIC_RUN_ID" in os.environ and context.invoked_subcommand != "train":
        raise UserError(f"torchrun: {context.invoked_subcommand} is the work of one process; allowed: train")
